//! What a compressor must hold.

use super::scene::numbers;
use super::{CheckRow, ensure};
use crate::autograd::Tape;
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::network::compressor::{Compressor, Stage, Tokens};
use crate::options::Table;
use crate::plugins::registry::Registry;
use crate::tensor::Tensor;

const SHAPE: [usize; 3] = [2, 13, 6];
const STAGES: [Stage; 3] = [Stage::BeforeEncoder, Stage::Block { index: 0, of: 4 }, Stage::Block { index: 3, of: 4 }];

/// Tokens whose similarity is measured on values of their own, so that a small change of a token changes no decision.
fn tokens(x: Tensor<Cpu>) -> Result<Tokens<Cpu>> {
    let [batch, n, dim] = SHAPE;
    let metric = Tensor::from_vec(x.device(), numbers(batch * n * dim, 3), SHAPE)?;
    let source = Some((0..batch * n).map(|i| (i % n) as u32).collect());
    Ok(Tokens { x, metric: Some(metric), sizes: None, source, protected: 1 })
}

fn values() -> Vec<f32> {
    numbers(SHAPE.iter().product(), 1).into_iter().map(|v| 2.0 * v - 1.0).collect()
}

fn tensor(values: Vec<f32>) -> Result<Tensor<Cpu>> {
    Tensor::from_vec(&Cpu::default(), values, SHAPE)
}

pub(super) fn check(registry: &Registry, name: &str, options: &Table) -> Vec<CheckRow> {
    let build = || registry.compressor::<Cpu>(name, options);
    vec![
        CheckRow::of("protected tokens stay as they are, and no token gets lost", || {
            let c = build()?;
            let run = |at| kept(&c.compress(&mut Tape::off(), tokens(tensor(values())?)?, at)?);
            let counts = STAGES.into_iter().map(run).collect::<Result<Vec<_>>>()?;
            Ok(format!("{} tokens become {counts:?}", SHAPE[1]))
        }),
        CheckRow::of("its gradient agrees with finite differences", || {
            let c = build()?;
            let worst = STAGES.into_iter().map(|at| gradient(c.as_ref(), at)).collect::<Result<Vec<_>>>()?;
            Ok(format!("largest difference {:.0e}", worst.into_iter().fold(0.0, f64::max)))
        }),
        CheckRow::of("where it says that it does not act, it changes nothing", || {
            let c = build()?;
            let idle: Vec<Stage> = STAGES.into_iter().filter(|at| !c.is_active(*at)).collect();
            for at in &idle {
                let found = c.compress(&mut Tape::off(), tokens(tensor(values())?)?, *at)?;
                ensure(found.x.to_vec() == values() && found.sizes.is_none(), || format!("it acts at {at:?}"))?;
            }
            Ok(format!("at {} of {} stages", idle.len(), STAGES.len()))
        }),
        CheckRow::of("the same tokens give the same bits", || {
            let c = build()?;
            for at in STAGES {
                let run = || Result::<_>::Ok(c.compress(&mut Tape::off(), tokens(tensor(values())?)?, at)?.x.to_vec());
                ensure(run()? == run()?, || format!("two calls at {at:?} differ"))?;
            }
            Ok(format!("at {} stages", STAGES.len()))
        }),
    ]
}

fn kept(found: &Tokens<Cpu>) -> Result<usize> {
    let [batch, n, dim] = SHAPE;
    let &[b, after, d] = &*found.x.shape() else {
        return Err(Error::Other(format!("tokens must have three axes, found {}", found.x.shape())));
    };
    ensure((b, d) == (batch, dim) && (1..=n).contains(&after), || format!("{SHAPE:?} became {}", found.x.shape()))?;
    ensure(found.protected == 1, || format!("1 token was protected, {} are now", found.protected))?;
    let (x, y) = (values(), found.x.to_vec());
    for example in 0..batch {
        let (was, is) = (&x[example * n * dim..][..dim], &y[example * after * dim..][..dim]);
        ensure(was == is, || format!("the protected token of example {example} changed"))?;
    }
    if let Some(sizes) = &found.sizes {
        for (example, sizes) in sizes.to_vec().chunks(after).enumerate() {
            let sum: f32 = sizes.iter().sum();
            ensure((sum - n as f32).abs() < 1e-3, || format!("sizes of example {example} sum to {sum}, not {n}"))?;
        }
    } else {
        ensure(after == n, || "there are fewer tokens, but no sizes".into())?;
    }
    let source = found.source.as_ref().ok_or_else(|| Error::Other("the source was asked for, but is gone".into()))?;
    ensure(source.len() == batch * n && source.iter().all(|s| (*s as usize) < after), || {
        format!("the source must name one of {after} tokens for each of {n}, in each example")
    })?;
    Ok(after)
}

/// The largest difference between the gradient and central differences, for an arbitrary weighting of the outputs. Where
/// the step changes which tokens go together, a difference says nothing of the gradient, and is left out.
fn gradient(compressor: &dyn Compressor<Cpu>, at: Stage) -> Result<f64> {
    let (mut tape, x) = (Tape::recording(), tensor(values())?.tracked(true));
    let Tokens { x: y, source, .. } = compressor.compress(&mut tape, tokens(x.clone())?, at)?;
    ensure(y.is_tracked(), || "its output does not depend on its input".into())?;
    let weights: Vec<f32> = numbers(y.count(), 9).into_iter().map(|v| v - 0.5).collect();
    let grads = tape.backward(&y, Tensor::from_vec(y.device(), weights.clone(), y.shape())?)?;
    let found = grads.get(&x).ok_or_else(|| Error::Other("no gradient reaches its input".into()))?.to_vec();
    let value = |i: usize, by: f32| -> Result<Option<f64>> {
        let mut moved = values();
        moved[i] += by;
        let there = compressor.compress(&mut Tape::off(), tokens(tensor(moved)?)?, at)?;
        let sum = there.x.host().iter().zip(&weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum();
        Ok((there.source == source).then_some(sum))
    };
    let (mut worst, mut compared, step) = (0.0, 0, 1e-2);
    let n = found.len();
    for (i, found) in found.into_iter().enumerate() {
        let (Some(above), Some(below)) = (value(i, step)?, value(i, -step)?) else { continue };
        let expected = (above - below) / f64::from(2.0 * step);
        let difference = (f64::from(found) - expected).abs();
        ensure(difference < 1e-3, || format!("element {i} at {at:?}: gradient {found}, finite difference {expected}"))?;
        worst = f64::max(worst, difference);
        compared += 1;
    }
    ensure(compared * 2 > n, || {
        format!("a small change of a token changes the choice in {} of {n} places", n - compared)
    })?;
    Ok(worst)
}
