//! Times training steps of the built-in models: `steps NAME` prints the median in milliseconds. `framework/benches/peers.py` runs it
//! beside PyTorch.

use secateur::backend::{Backend, Cpu, Update};
use secateur::error::{Error, Result};
use secateur::forward::Forward;
use secateur::model::{Batch, InputSpec, Model, Output};
use secateur::options::Table;
use secateur::params::{Masking, ParamStore};
use secateur::prelude::Needs;
use secateur::seed::Seed;
use secateur::structure::Sizes;
use secateur::tensor::Tensor;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One entry of the comparison.
struct Case {
    name: &'static str,
    model: &'static str,
    options: &'static str,
    input: &'static [usize],
    batch: usize,
    rule: Update,
}

const SGD: Update = Update::Sgd { lr: 0.01, momentum: 0.9, weight_decay: 0.0, nesterov: false };

const CASES: &[Case] =
    &[Case { name: "mlp", model: "mlp", options: "hidden = [50, 30]", input: &[784], batch: 128, rule: SGD }];

struct Stepper {
    model: Box<dyn Model<Cpu>>,
    store: ParamStore<Cpu>,
    batch: Batch<Cpu>,
    rule: Update,
}

impl Stepper {
    /// The case's network with a 0/1 mask on every weight, and a batch of noise.
    fn new(case: &Case) -> Result<Self> {
        let options: Table = case.options.parse().map_err(|e| Error::Other(format!("{}: {e}", case.name)))?;
        let model = secateur_bundle::registry()?.model::<Cpu>(case.model, &options)?;
        let input = InputSpec { shape: case.input.to_vec(), classes: 10 };
        let layout = model.layout(&input, &Sizes::default())?;
        let mut store = ParamStore::new(&Cpu::default(), layout, Seed(1), Masking::Dynamic)?;
        let all =
            store.iter().filter(|p| p.spec().prunable).map(|p| (p.spec().name.clone(), vec![true; p.value().count()]));
        store.set_masks(all.collect())?;
        let shape: Vec<usize> = std::iter::once(case.batch).chain(input.shape.iter().copied()).collect();
        let values = (0..shape.iter().product::<usize>()).map(|i| ((i * 7919) % 2048) as f32 / 1024.0 - 1.0).collect();
        let batch = Batch {
            input: Tensor::from_vec(&Cpu::default(), values, &shape[..])?,
            classes: (0..case.batch as u32).map(|i| i % 10).collect(),
        };
        Ok(Self { model, store, batch, rule: case.rule })
    }

    fn step(&mut self) -> Result<()> {
        let mut cx = Forward::training(&self.store, Needs::WEIGHTS, Seed(1));
        let output = self.model.forward(&mut cx, &self.batch)?;
        let (tape, ..) = cx.finish();
        let grads = match output {
            Output::Logits(logits) => {
                let loss = Cpu::cross_entropy(&logits, &self.batch.classes, 0.0, true)?;
                tape.backward(&logits, loss.grad.ok_or_else(|| Error::Other("no gradient".into()))?)?
            }
            Output::Loss { loss, .. } => {
                let seed = Tensor::from_vec(&Cpu::default(), vec![1.0], loss.shape())?;
                tape.backward(&loss, seed)?
            }
        };
        self.store.step(self.rule, 1.0, |value| grads.get(value))
    }
}

/// Median of many steps, after a tenth as many to warm up; about three seconds in all, and at least seven steps.
fn median(stepper: &mut Stepper) -> Result<Duration> {
    let start = Instant::now();
    stepper.step()?;
    let first = start.elapsed();
    let count = (3.0 / first.as_secs_f64()).clamp(7.0, 4000.0) as usize;
    for _ in 0..count / 10 + 2 {
        stepper.step()?;
    }
    let mut times = vec![];
    for _ in 0..count {
        let start = Instant::now();
        stepper.step()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn main() -> Result<()> {
    let known = CASES.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let case = CASES
        .iter()
        .find(|c| c.name == wanted)
        .ok_or_else(|| Error::Config(format!("unknown case `{wanted}`; known: {known}")))?;
    println!("{:.4}", median(&mut Stepper::new(case)?)?.as_secs_f64() * 1e3);
    Ok(())
}
