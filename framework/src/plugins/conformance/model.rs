//! What a model must hold.

use super::scene::{logits, loss, numbers};
use super::{CheckRow, ensure};
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::forward::Needs;
use crate::network::layout::{Layout, Sizes};
use crate::network::model::{Batch, InputSpec, Model, Output};
use crate::network::params::{Masking, ParamStore};
use crate::options::Table;
use crate::plugins::registry::Registry;
use crate::seed::Seed;
use crate::tensor::Tensor;

const EXAMPLES: usize = 4;
const CLASSES: usize = 3;
/// Examples that models of images, or of plain features, may take; the first that fits.
const INPUTS: [&[usize]; 5] = [&[1, 8, 8], &[3, 16, 16], &[1, 28, 28], &[3, 32, 32], &[16]];

/// A model with an input that it takes.
struct Case {
    model: Box<dyn Model<Cpu>>,
    input: InputSpec,
    layout: Layout,
}

impl Case {
    fn new(registry: &Registry, name: &str, options: &Table) -> Result<Self> {
        let model = registry.model::<Cpu>(name, options)?;
        let mut reasons = vec![];
        for shape in INPUTS {
            let input = InputSpec { shape: shape.to_vec(), classes: CLASSES };
            let tried = model.layout(&input, &Sizes::default()).and_then(|layout| {
                let case = Self { model: registry.model(name, options)?, input: input.clone(), layout };
                case.output(&case.store()?)?;
                Ok(case)
            });
            match tried {
                Ok(case) => return Ok(case),
                Err(reason) => reasons.push(format!("{shape:?}: {reason}")),
            }
        }
        Err(Error::Other(format!("it takes none of these inputs: {}", reasons.join("; "))))
    }

    fn store(&self) -> Result<ParamStore<Cpu>> {
        ParamStore::new(&Cpu::default(), self.layout.clone(), Seed(3), Masking::Held)
    }

    fn batch(&self) -> Result<Batch<Cpu>> {
        let axes: Vec<usize> = std::iter::once(EXAMPLES).chain(self.input.shape.iter().copied()).collect();
        let values = numbers(axes.iter().product(), 5);
        let input = Tensor::from_vec(&Cpu::default(), values, &axes[..])?;
        Ok(Batch { input, classes: (0..EXAMPLES as u32).map(|i| i % CLASSES as u32).collect(), responses: vec![] })
    }

    fn output(&self, store: &ParamStore<Cpu>) -> Result<Tensor<Cpu>> {
        let mut cx = Forward::evaluation(store);
        let (Output::Logits(t) | Output::Loss { prediction: t, .. }) = self.model.forward(&mut cx, &self.batch()?)?;
        Ok(t)
    }

    /// The loss, and the gradient of each parameter.
    fn gradients(&self, store: &ParamStore<Cpu>) -> Result<(f64, Vec<Option<Tensor<Cpu>>>)> {
        let (mut cx, batch) = (Forward::training(store, Needs::WEIGHTS, Seed(7)), self.batch()?);
        let output = self.model.forward(&mut cx, &batch)?;
        let (tape, ..) = cx.finish();
        let (value, root, seed) = match output {
            Output::Loss { loss, .. } => {
                let one = Tensor::from_vec(loss.device(), vec![1.0], loss.shape())?;
                (f64::from(loss.host()[0]), loss, one)
            }
            output => {
                let logits = logits(output)?;
                let (value, gradient) = loss(&logits, &batch)?;
                (value, logits, gradient)
            }
        };
        let grads = tape.backward(&root, seed)?;
        Ok((value, store.iter().map(|p| grads.get(p.value()).cloned()).collect()))
    }
}

pub(super) fn check(registry: &Registry, name: &str, options: &Table) -> Vec<CheckRow> {
    let case = || Case::new(registry, name, options);
    vec![
        CheckRow::of("it declares its parameters, and its output is finite", || {
            let case = case()?;
            let output = case.output(&case.store()?)?;
            ensure(output.shape().first() == Some(&EXAMPLES), || {
                format!("{EXAMPLES} examples give an output {}", output.shape())
            })?;
            ensure(output.host().iter().all(|v| v.is_finite()), || "its output is not finite".into())?;
            let (n, groups) = (case.layout.params.len(), case.layout.groups.len());
            Ok(format!("input {:?}: {n} parameters, {groups} groups, output {}", case.input.shape, output.shape()))
        }),
        CheckRow::of("the same input gives the same bits", || {
            let case = case()?;
            let store = case.store()?;
            ensure(case.output(&store)?.to_vec() == case.output(&store)?.to_vec(), || "two passes differ".into())?;
            Ok("two passes".into())
        }),
        CheckRow::of("its gradient agrees with a finite difference", || gradient(&case()?)),
        CheckRow::of("its groups really shrink together", || shrinks(&case()?)),
    ]
}

/// Along the gradient itself the loss grows by its squared norm.
fn gradient(case: &Case) -> Result<String> {
    let store = case.store()?;
    let (_, grads) = case.gradients(&store)?;
    if let Some((p, _)) = store.iter().zip(&grads).find(|(p, g)| !p.spec().buffer && g.is_none()) {
        return Err(Error::Other(format!("no gradient reaches `{}`", p.spec().name)));
    }
    let norm = grads.iter().flatten().map(|g| g.host().iter().map(|v| f64::from(*v).powi(2)).sum::<f64>()).sum::<f64>();
    ensure(norm.is_finite() && norm > 0.0, || format!("the squared norm of the gradient is {norm}"))?;
    // A step that changes the loss by about 1e-3: large against rounding, small against the curvature.
    let step = (1e-3 / norm) as f32;
    let moved = |by: f32| -> Result<f64> {
        let mut store = store.clone();
        let values = store.iter().zip(&grads).map(|(p, g)| match g {
            Some(g) => p.value().add(&g.scale(by)?),
            None => Ok(p.value().clone()),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        store.set_values(values)?;
        Ok(case.gradients(&store)?.0)
    };
    let found = (moved(step)? - moved(-step)?) / f64::from(2.0 * step);
    let difference = (found - norm).abs() / norm;
    ensure(difference < 0.03, || format!("along the gradient the loss grows by {found}, not by {norm}"))?;
    Ok(format!("relative difference {difference:.0e}"))
}

/// Half of each group's units masked, and the same units cut out, give the same output.
fn shrinks(case: &Case) -> Result<String> {
    let Layout { groups, .. } = &case.layout;
    let half = |g: &crate::network::layout::UnitGroup| -> (String, Vec<bool>) {
        (g.name.clone(), (0..g.units).map(|u| u % 2 == 0).collect())
    };
    let all: Vec<_> = groups.iter().map(half).collect();
    let each = all.iter().map(|g| vec![g.clone()]).chain((all.len() > 1).then(|| all.clone()));
    let mut worst = 0f32;
    for alive in each {
        let names = alive.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ");
        let (mut masked, mut shrunk) = (case.store()?, case.store()?);
        masked.set_alive(alive.clone())?;
        let mut sizes = case.layout.sizes();
        sizes.0.extend(alive.iter().map(|(n, a)| (n.clone(), a.iter().filter(|&&k| k).count())));
        shrunk.shrink(alive, case.model.layout(&case.input, &sizes)?)?;
        let (a, b) = (case.output(&masked)?, case.output(&shrunk)?);
        let scale = a.host().iter().fold(1f32, |m, v| m.max(v.abs()));
        let difference = a.host().iter().zip(b.host().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / scale;
        ensure(a.shape() == b.shape() && difference < 1e-4, || {
            format!("with half of {names} removed the output differs by {difference} from that with them masked")
        })?;
        worst = worst.max(difference);
    }
    Ok(if all.is_empty() {
        "it declares no groups".into()
    } else {
        format!("{} groups, largest difference {worst:.0e}", all.len())
    })
}
