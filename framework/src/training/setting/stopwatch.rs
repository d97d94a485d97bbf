//! How long inference takes here. Networks are timed in turns with the dense one, so that what else the machine does, or
//! a clock that it slows down, falls on both; medians leave out what falls on one.

use super::{Setting, at_least_one};
use crate::backend::Backend;
use crate::data::{Order, SplitName};
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::layout::{Layout, Sizes};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::{self, Apply, Bench, LatencyTable, TimedNetwork};
use crate::training::step::next_batch;
use crate::training::summary::Inference;
use std::time::Instant;

/// One reading of the clock spans passes that take so many nanoseconds together, so that its own steps do not count.
const READING: f64 = 2e6;
/// Readings of one network take about so many nanoseconds together.
const NETWORK: f64 = 1e8;
/// Readings of one network for the table, at the least and at most: odd, so that the median is one of them.
const FEW: [usize; 2] = [3, 9];
/// The same for what the summary tells.
const MANY: [usize; 2] = [7, 31];

/// Times forward passes of a batch.
struct Stopwatch<'s, B: Backend> {
    setting: &'s Setting<'s, B>,
    batch: Batch<B>,
    dense: ParamStore<B>,
    /// Passes in one reading.
    passes: usize,
    /// Nanoseconds of one pass of the dense network, roughly.
    pass: f64,
}

impl<B: Backend> Setting<'_, B> {
    /// The run's table of times: the one a checkpoint holds, the one of a file, or one that is measured now. Parameters,
    /// statistics and random numbers of the run have no part in it.
    pub(super) fn latency_table(&self, saved: Option<LatencyTable>) -> Result<LatencyTable> {
        if let Some(saved) = saved {
            return Ok(saved);
        }
        let names = self.prune.names(&self.layout);
        let (layout, examples) = (self.of_sizes(&Sizes::default())?, self.data.train.len());
        let network = TimedNetwork {
            input: self.input.shape.clone(),
            parameters: layout.params.iter().map(|p| p.shape.count()).sum(),
            macs: self.look(&self.dense(layout.clone())?)?.cost.macs,
            units: layout.sizes().0,
        };
        if let Some(path) = &self.prune.latency_table {
            let read = LatencyTable::read(path, &network, &names, examples);
            return read.map_err(|error| Error::from(error).under("prune"));
        }
        let batch = self.prune.latency_batch.unwrap_or(self.train.batch_size.min(examples));
        if batch > examples {
            let text = format!("must be at most the {examples} training examples: lower it, or raise data.train_limit");
            return Err(Error::from(crate::error::OptionError::new("latency_batch", batch, text)).under("prune"));
        }
        let watch = Stopwatch::new(self, batch)?;
        let (dense, _) = watch.compare(None, FEW)?;
        let bench = Bench { device: B::NAME.into(), threads: rayon::current_num_threads(), batch, dense: dense as u64 };
        let table = LatencyTable::measure(bench, network, &layout, &names, &mut |sizes| {
            let (beside, found) = watch.compare(Some(&self.dense(self.of_sizes(sizes)?)?), FEW)?;
            Ok((dense * found / beside).round() as u64)
        });
        self.device.trim();
        table
    }

    /// The network in which what is pruned is dense but for groups of these sizes, and the rest as it begins.
    fn of_sizes(&self, sizes: &Sizes) -> Result<Layout> {
        let mut all = self.layout.sizes();
        for name in self.prune.names(&self.layout) {
            let dense = self.layout.group(&name).map_or(1, |group| group.dense_units);
            all.0.insert(name.clone(), sizes.0.get(&name).copied().unwrap_or(dense));
        }
        self.model.layout(&self.input, &all).map_err(|error| error.under("model"))
    }

    /// What a pruned network takes beside the dense one, where that was asked for: that of the units in use, whether the
    /// others are cut out or masked. How long it takes does not go by what its weights are.
    pub fn inference(&self, params: &ParamStore<B>, asked: Option<f64>) -> Result<Option<Inference>> {
        let Some(table) = &self.latency else { return Ok(None) };
        let watch = Stopwatch::new(self, table.batch)?;
        let left = self.dense(self.model.layout(&self.input, &pruning::units_in_use(params))?)?;
        let (dense, pruned) = watch.compare(Some(&left), MANY)?;
        let (asked, predicted, measured) = (asked, self.gone(params)?, 1.0 - pruned / dense);
        let (dense, pruned) = (dense / 1e6, pruned / 1e6);
        let shrunk = self.prune.apply == Apply::Shrink;
        Ok(Some(Inference { batch: table.batch, dense, pruned, asked, predicted, measured, shrunk }))
    }
}

impl<'s, B: Backend> Stopwatch<'s, B> {
    fn new(setting: &'s Setting<'s, B>, batch: usize) -> Result<Self> {
        let mut batches = setting.data.batches(SplitName::Train, at_least_one(batch), Order::Stored);
        let batch = next_batch(&setting.device, setting.data, &mut batches)?
            .ok_or_else(|| Error::Other("the training split is empty".into()))?;
        let dense = setting.dense(setting.of_sizes(&Sizes::default())?)?;
        let mut watch = Self { setting, batch, dense, passes: 1, pass: 1.0 };
        // The first passes make ready what the later ones find there: memory, kernels.
        watch.read(&watch.dense)?;
        watch.pass = watch.read(&watch.dense)?;
        watch.passes = (READING / watch.pass).ceil().clamp(1.0, 1e4) as usize;
        Ok(watch)
    }

    /// Nanoseconds of a pass of the dense network and of `other`, read in turns: the medians.
    fn compare(&self, other: Option<&ParamStore<B>>, [least, most]: [usize; 2]) -> Result<(f64, f64)> {
        let readings = (NETWORK / (self.pass * self.passes as f64)) as usize;
        let (mut dense, mut others) = (vec![], vec![]);
        let other = other.unwrap_or(&self.dense);
        self.read(other)?;
        for _ in 0..readings.clamp(least, most) | 1 {
            dense.push(self.read(&self.dense)?);
            others.push(self.read(other)?);
        }
        Ok((median(dense), median(others)))
    }

    /// Nanoseconds of one pass: so many in a row, over their number.
    fn read(&self, params: &ParamStore<B>) -> Result<f64> {
        let clock = Instant::now();
        for _ in 0..self.passes {
            let mut cx = Forward::evaluation(params).with_compressor(self.setting.compressor.as_ref());
            let (Output::Logits(y) | Output::Loss { prediction: y, .. }) =
                self.setting.model.forward(&mut cx, &self.batch)?;
            // Waits for the device.
            std::hint::black_box(y.host());
        }
        Ok((clock.elapsed().as_nanos() as f64 / self.passes as f64).max(1.0))
    }
}

fn median(mut readings: Vec<f64>) -> f64 {
    readings.sort_by(f64::total_cmp);
    readings.get(readings.len() / 2).copied().unwrap_or(1.0)
}
