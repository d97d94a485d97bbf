//! A small network with some strong and some weak units, trained for a few steps.

use crate::autograd::Grads;
use crate::backend::{Act, Cpu, LossOps as _, Update};
use crate::error::{Error, Result};
use crate::network::compressor::NoCompression;
use crate::network::forward::Forward;
use crate::network::forward::Needs;
use crate::network::layout::{Layout, LayoutBuilder, Sizes, UnitGroup};
use crate::network::model::{Batch, InputSpec, Model, Output};
use crate::network::params::{Masking, ParamStore};
use crate::plugins::registry::Registry;
use crate::pruning::criterion::{Criterion, Observation, Probe, ProbeInput, Question, Scores, Setup, Target};
use crate::pruning::schedule::Step;
use crate::pruning::{Granularity, PruneConfig};
use crate::seed::Seed;
use crate::tensor::Tensor;
use crate::training::Loss;
use crate::training::probe::{Asked, ones};
use std::collections::BTreeMap;

/// Units of each hidden layer; the odd ones are weak.
pub(super) const UNITS: usize = 8;
const EXAMPLES: usize = 16;
const SEED: Seed = Seed(11);

/// 12 inputs, two hidden layers, with batch normalisation where a criterion goes by it, 3 classes.
struct Net {
    normed: bool,
}

impl Model<Cpu> for Net {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let (fc1, fc2) = (layout.units("fc1", UNITS), layout.units("fc2", UNITS));
        layout.linear("fc1", &input.features().into(), &fc1, true);
        layout.linear("fc2", &fc1, &fc2, true);
        if self.normed {
            layout.batch_norm("norm1", &fc1);
            layout.batch_norm("norm2", &fc2);
        }
        layout.linear("fc3", &fc2, &input.classes.into(), true);
        layout.output("fc3");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        let mut x = batch.input.clone();
        for (layer, norm) in [("fc1", "norm1"), ("fc2", "norm2")] {
            x = match self.normed {
                false => cx.linear(layer, &x, Act::Relu)?,
                true => {
                    let z = cx.linear(layer, &x, Act::None)?;
                    let z = cx.batch_norm(norm, &z)?;
                    cx.tape().act(&z, Act::Relu)?
                }
            };
        }
        Ok(Output::Logits(cx.linear("fc3", &x, Act::None)?))
    }
}

/// Numbers in (0, 1) without a pattern.
pub(super) fn numbers(n: usize, salt: usize) -> Vec<f32> {
    (0..n).map(|i| (((i * 7919 + salt * 104_729 + 1) % 10_007) as f32 + 0.5) / 10_007.0).collect()
}

/// The network at one moment.
pub(super) struct Scene {
    pub store: ParamStore<Cpu>,
    pub granularity: Granularity,
    net: Net,
    step: u64,
    last: Option<Grads<Cpu>>,
}

impl Scene {
    /// Weights between weak units are a hundredth of those between strong ones.
    pub fn new(granularity: Granularity, normed: bool) -> Result<Self> {
        let (device, net) = (Cpu::default(), Net { normed });
        let layout = net.layout(&InputSpec { shape: vec![12], classes: 3 }, &Sizes::default())?;
        let mut store = ParamStore::new(&device, layout, SEED, Masking::Held)?;
        let mut planted = vec![];
        for (salt, p) in store.iter().enumerate() {
            if p.spec().buffer {
                planted.push(p.value().clone());
                continue;
            }
            let value = numbers(p.value().count(), salt).into_iter().enumerate();
            let value = value.map(|(i, v)| {
                if Self::weak(&p.spec().name, p.value().shape()[p.value().shape().len() - 1], i) {
                    v * 0.01
                } else {
                    v - 0.25
                }
            });
            planted.push(Tensor::from_vec(&device, value.collect(), p.value().shape())?);
        }
        store.set_values(planted)?;
        Ok(Self { store, granularity, net, step: 0, last: None })
    }

    /// Whether element `i` of a parameter with rows of `columns` belongs to a weak unit.
    pub fn weak(param: &str, columns: usize, i: usize) -> bool {
        let (row, column) = (i / columns, i % columns);
        match param {
            "fc1.weight" => row % 2 == 1,
            "fc2.weight" => row % 2 == 1 || column % 2 == 1,
            "fc3.weight" => column % 2 == 1,
            _ => i % 2 == 1 && !param.starts_with("fc3"),
        }
    }

    pub fn setup(&self, criterion: &mut dyn Criterion<Cpu>, registry: &Registry) -> Result<()> {
        let make_criterion = |name: &str, options: &_| registry.criterion(name, options);
        criterion.setup(&Setup { layout: self.store.layout(), seed: SEED, make_criterion: &make_criterion })
    }

    fn batch(&self, n: u64) -> Result<Batch<Cpu>> {
        let input = Tensor::from_vec(self.store.device(), numbers(EXAMPLES * 12, n as usize + 40), [EXAMPLES, 12])?;
        Ok(Batch { input, classes: (0..EXAMPLES as u32).map(|i| (i + n as u32) % 3).collect(), responses: vec![] })
    }

    /// One training step that the criterion sees, with its penalty.
    pub fn train(&mut self, criterion: &mut dyn Criterion<Cpu>) -> Result<()> {
        let (needs, batch) = (criterion.needs(), self.batch(self.step)?);
        let mut cx = Forward::training(&self.store, needs, SEED);
        let output = self.net.forward(&mut cx, &batch)?;
        let (tape, mut taps, _) = cx.finish();
        taps.conclude(&output, &batch.classes, self.store.layout());
        let logits = logits(output)?;
        let (_, gradient) = loss(&logits, &batch)?;
        let mut grads = tape.backward(&logits, gradient)?;
        if needs.has(Needs::PENALTY) {
            for p in self.store.iter() {
                if let Some((_, gradient)) = criterion.penalty(&p.spec().name, p.value())? {
                    grads.add(p.value(), gradient)?;
                }
            }
        }
        let (step, params) = (Step(self.step), &self.store);
        criterion.observe(&Observation { step, epoch: 0, examples: EXAMPLES, params, grads: &grads, taps: &taps })?;
        let rule = Update::Sgd { lr: 1e-3, momentum: 0.9, weight_decay: 0.0, nesterov: false };
        self.store.step(rule, None, |value| grads.get(value))?;
        // The gradients that the criterion scores with belong to the values it scores: as the engine keeps them, by
        // tensor.
        self.last = Some(grads);
        self.step += 1;
        Ok(())
    }

    /// Asks for every target's scores, in this order or the reverse.
    pub fn scores(&self, criterion: &mut dyn Criterion<Cpu>, reversed: bool) -> Result<BTreeMap<String, Scores<Cpu>>> {
        if criterion.needs().has(Needs::PROBE) {
            criterion.prepare(&mut SceneProbe(self))?;
        }
        let config = PruneConfig { granularity: self.granularity, ..PruneConfig::default() };
        let layout = self.store.layout();
        let mut targets: Vec<(&str, Option<&UnitGroup>)> = match self.granularity {
            Granularity::Unit => (layout.groups.iter())
                .flat_map(|g| g.producer_weights(layout).into_iter().map(move |m| (m.param.as_str(), Some(g))))
                .collect(),
            _ => (layout.params.iter())
                .filter(|p| config.names(layout).contains(&p.name))
                .map(|p| (p.name.as_str(), None))
                .collect(),
        };
        if reversed {
            targets.reverse();
        }
        let targets = targets.into_iter().map(|(name, group)| self.target(name, group)).collect::<Result<Vec<_>>>()?;
        criterion.announce(&targets)?;
        targets.iter().map(|target| Ok((target.name().to_string(), criterion.score(target)?))).collect()
    }

    fn target<'a>(&'a self, name: &'a str, group: Option<&'a UnitGroup>) -> Result<Target<'a, Cpu>> {
        let target = Target::new(&self.store, name, group, Step(self.step), SEED)?;
        Ok(if let Some(grads) = &self.last { target.with_grads(grads) } else { target })
    }
}

struct SceneProbe<'a>(&'a Scene);

impl Probe<Cpu> for SceneProbe<'_> {
    fn params(&self) -> &ParamStore<Cpu> {
        &self.0.store
    }

    fn gradients(&mut self, question: &Question<'_, Cpu>) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        self.asked().gradients(&self.batch(question.input)?, question)
    }

    fn hessian_vector(
        &mut self,
        question: &Question<'_, Cpu>,
        vector: &BTreeMap<String, Tensor<Cpu>>,
    ) -> Result<BTreeMap<String, Tensor<Cpu>>> {
        self.asked().hessian_vector(&self.batch(question.input)?, question, vector)
    }
}

impl SceneProbe<'_> {
    fn asked(&self) -> Asked<'_, Cpu> {
        let params = &self.0.store;
        Asked {
            params,
            model: &self.0.net,
            compressor: &NoCompression {},
            loss: Loss::CrossEntropy,
            smoothing: 0.0,
            noise: SEED,
        }
    }

    fn batch(&self, input: ProbeInput) -> Result<Batch<Cpu>> {
        match input {
            ProbeInput::Batch(n) => self.0.batch(n + 100),
            ProbeInput::Balanced { per_class, nth } => balanced(self.0.store.device(), per_class, nth),
            ProbeInput::Ones => ones(self.0.store.device(), &[12]),
            ProbeInput::Example(n) => example(self.0.store.device(), n),
        }
    }
}

/// As many examples of each of the three classes.
fn balanced(device: &Cpu, per_class: usize, nth: usize) -> Result<Batch<Cpu>> {
    let count = 3 * per_class;
    let input = Tensor::from_vec(device, numbers(count * 12, nth + 200), [count, 12])?;
    Ok(Batch { input, classes: (0..count).map(|i| (i / per_class) as u32).collect(), responses: vec![] })
}

/// One example, of the classes in turn.
fn example(device: &Cpu, n: u64) -> Result<Batch<Cpu>> {
    let input = Tensor::from_vec(device, numbers(12, n as usize + 300), [1, 12])?;
    Ok(Batch { input, classes: vec![(n % 3) as u32], responses: vec![] })
}

/// The logits of an output that has them.
pub(super) fn logits(output: Output<Cpu>) -> Result<Tensor<Cpu>> {
    match output {
        Output::Logits(logits) => Ok(logits),
        Output::Loss { .. } => Err(Error::Other("the model has a loss of its own, no logits".into())),
    }
}

/// Cross-entropy and its gradient.
pub(super) fn loss(logits: &Tensor<Cpu>, batch: &Batch<Cpu>) -> Result<(f64, Tensor<Cpu>)> {
    let found = Cpu::cross_entropy(logits, &batch.classes, 0.0, true)?;
    Ok((found.value(), found.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?))
}
