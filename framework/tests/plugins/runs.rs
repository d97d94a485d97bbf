//! Whole runs over a small data set.

use rand::RngExt as _;
use secateur::backend::{Act, Cpu};
use secateur::data::{DataConfig, Dataset, Examples, Pool};
use secateur::error::Result;
use secateur::network::compressor::{Compressor, NoCompression};
use secateur::network::model::Model;
use secateur::network::params::Sparse;
use secateur::plugins::registry::Registry;
use secateur::prelude::{Batch, Forward, InputSpec, Layout, LayoutBuilder, Output, Sizes};
use secateur::pruning::criterion::Criterion;
use secateur::pruning::schedule::{Amount, RunLength, Schedule, Step};
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::seed::Seed;
use secateur::training::event::Event;
use secateur::training::{Observer, Run, TrainConfig};
use std::cell::RefCell;

/// Two hidden layers.
pub struct Mlp;

impl Model<Cpu> for Mlp {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let (fc1, fc2) = (layout.units("fc1", 20), layout.units("fc2", 10));
        layout.linear("fc1", &input.features().into(), &fc1, true);
        layout.linear("fc2", &fc1, &fc2, true);
        layout.linear("fc3", &fc2, &input.classes.into(), true);
        layout.output("fc3");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        let x = batch.input.reshape([batch.len(), batch.input.count() / batch.len()])?;
        let x = cx.linear("fc1", &x, Act::Relu)?;
        let x = cx.linear("fc2", &x, Act::Relu)?;
        Ok(Output::Logits(cx.linear("fc3", &x, Act::None)?))
    }
}

/// Scores |w|.
pub struct Magnitude;

impl Criterion<Cpu> for Magnitude {
    fn score(
        &mut self,
        target: &secateur::pruning::criterion::Target<'_, Cpu>,
    ) -> Result<secateur::pruning::criterion::Scores<Cpu>> {
        Ok(target.weight()?.abs()?.into())
    }
}

/// At these steps.
pub struct At(pub Vec<(u64, f64)>);

impl Schedule for At {
    fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
        Ok(self.0.iter().find(|(s, _)| *s == step.0).map(|(_, a)| Amount::Sparsity(*a)))
    }
    fn may_be_idle(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is put together for a run.
pub struct Parts {
    pub model: Box<dyn Model<Cpu>>,
    pub criterion: Box<dyn Criterion<Cpu>>,
    pub schedule: Box<dyn Schedule>,
    pub compressor: Box<dyn Compressor<Cpu>>,
    pub prune: PruneConfig,
    pub grow: GrowConfig,
    /// What `grow.criterion` makes.
    pub grower: Option<Box<dyn Criterion<Cpu>>>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            model: Box::new(Mlp),
            criterion: Box::new(Magnitude),
            schedule: Box::new(At(vec![(7, 0.4), (15, 0.7)])),
            compressor: Box::new(NoCompression {}),
            prune: PruneConfig::default(),
            grow: GrowConfig::default(),
            grower: None,
        }
    }
}

/// Images of 28x28 pixels with a bright bar at a height of its own for each of ten classes, and noise all over.
pub fn bars() -> Dataset {
    let pool = |split: &str, count: usize| {
        let mut random = Seed(0).stream("bars", &[split]);
        let mut image = |class: usize| {
            let bright = |row: usize| row / 2 == class + 2;
            (0..28 * 28).map(|i| random.random_range(0..120) + if bright(i / 28) { 100 } else { 0 }).collect()
        };
        let bytes = (0..count).flat_map(|i| -> Vec<u8> { image(i % 10) }).collect();
        Pool::bytes(bytes, (0..count).map(|i| i as u32 % 10).collect())
    };
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let bars = Examples::in_memory("bars", &[1, 28, 28], &names, pool("train", 300), pool("test", 60)).unwrap();
    bars.dataset(&DataConfig::default(), 3).unwrap()
}

#[derive(Default)]
struct Log(Vec<Event>);

impl Observer for Log {
    /// Looking must neither fail nor change anything, wherever the plugins live.
    fn pictures(&self) -> usize {
        3
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.0.push(match event.clone() {
            // Times differ from run to run.
            mut prune @ Event::Prune { .. } => {
                if let Event::Prune { seconds, .. } = &mut prune {
                    *seconds = 0.0;
                }
                prune
            }
            Event::Epoch { step, epoch, split, loss, accuracy, sparsity, .. } => {
                Event::Epoch { step, epoch, split, loss, accuracy, sparsity, seconds: 0.0 }
            }
            Event::Finish { step, .. } => Event::Finish { step, metrics: Default::default() },
            other => other,
        });
        Ok(())
    }
}

/// Bits of every parameter and mask, and everything that was reported.
#[derive(Debug, PartialEq)]
pub struct Trace {
    pub values: Vec<(String, Vec<u32>, Vec<bool>)>,
    pub macs: u64,
    pub events: Vec<Event>,
}

pub fn run(parts: Parts) -> Result<Trace> {
    let (data, registry) = (bars(), Registry::linked()?);
    let Parts { model, criterion, schedule, compressor, prune, grow, grower } = parts;
    let grower = RefCell::new(grower);
    // The products of a loaded model are dense, so those of a linked one are too.
    let sparse = Sparse::Off;
    let train = TrainConfig { epochs: 4, batch_size: 50, lr: 0.1, momentum: 0.9, sparse, ..TrainConfig::default() };
    let run = Run {
        name: "test".into(),
        device: Cpu::default(),
        seeds: Seed(5).into(),
        data: &data,
        model,
        criterion,
        schedule,
        compressor,
        prune,
        grow,
        train,
        given: None,
        make_criterion: &|name, options| match grower.borrow_mut().take() {
            Some(grower) => Ok(grower),
            None => registry.criterion(name, options),
        },
    };
    let mut log = Log::default();
    let outcome = run.execute(&mut log)?;
    let value = |p: &secateur::network::params::Param<Cpu>| {
        let bits = p.value().host().iter().map(|v| v.to_bits()).collect();
        (p.spec().name.clone(), bits, p.mask().map(|m| m.keep().to_vec()).unwrap_or_default())
    };
    Ok(Trace { values: outcome.params.iter().map(value).collect(), macs: outcome.summary.macs_kept, events: log.0 })
}
