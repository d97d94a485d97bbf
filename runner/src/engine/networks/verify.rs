//! The figures of a run's summary, computed again from its saved network alone.

use secateur::data::{Order, SplitName};
use secateur::network::layout::Layout;
use secateur::network::params::{Masking, Param, ParamStore};
use secateur::plugins::registry::Registered;
use secateur::pruning::measure::{self, Paths};
use secateur::seed::Seed;
use secateur::training::{evaluate, next_batch};
use serde::Serialize;

use super::saved::{Shown, Which};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::engine::device::{Work, on_device};
use crate::failure::Failure;

/// What was computed again; names and meaning are those of `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recomputed {
    /// Fraction of the test examples classified rightly, for classifiers.
    pub test_accuracy: Option<f64>,
    /// Mean loss on the test split.
    pub test_loss: f64,
    /// Fraction of the weights that is gone.
    pub sparsity: f64,
    /// Fraction of the units that is gone.
    pub unit_sparsity: f64,
    /// Prunable weights that remain.
    pub nnz: usize,
    /// Those of them on a path from an input to an output.
    pub nnz_effective: usize,
    /// Parameters of the network before it was pruned.
    pub params_dense: usize,
    /// Parameters that remain.
    pub params_kept: usize,
    /// Multiplications for one example before it was pruned.
    pub macs_dense: u64,
    /// Those that remain.
    pub macs_kept: u64,
    /// Test examples.
    #[serde(skip)]
    pub examples: usize,
}

impl Workbench {
    /// Computes the figures of a run again, from the network in `file` and the data of its config.
    ///
    /// # Errors
    /// A network that is not the config's; data that is not there.
    pub fn recompute(&self, config: &Resolved, file: &[u8]) -> Result<Recomputed, Failure> {
        on_device((&config.run.top, config.run.train.bits), Recomputing { bench: self, config, file })
    }
}

struct Recomputing<'a> {
    bench: &'a Workbench,
    config: &'a Resolved,
    file: &'a [u8],
}

impl Work for Recomputing<'_> {
    type Made = Recomputed;

    fn on<B: Registered>(self, device: B) -> Result<Recomputed, Failure> {
        let Self { bench, config, file } = self;
        let network = bench.saved(&device, config, file)?;
        let Shown { data, split, .. } = bench.shown(config, &network.about, Which::Split(SplitName::Test))?;
        let (task, params, about) = (network.task(), &network.params, &network.about);
        let found = evaluate(&task, params, &data, split, config.run.train.eval_batch_size)?;
        let begun = config.run.prune.start_sizes(|sizes| network.model().layout(&about.input, sizes))?;
        let layout = network.model().layout(&about.input, &begun)?;
        let (weights, dense_weights) = (kept(params), prunable(&layout));
        let units = (about.units.0.values().sum::<usize>(), layout.groups.iter().map(|g| g.dense_units).sum::<usize>());
        let dense = ParamStore::new(&device, layout, Seed(0), Masking::Held)?;
        let mut one = data.batches(split, std::num::NonZeroUsize::MIN, Order::Stored);
        let one = next_batch(&device, &data, &mut one)?;
        let one = one.ok_or_else(|| Failure::Failed("the test split is empty".into()))?;
        let paths = Paths::of(params);
        let gone = |(kept, of): (usize, usize)| if of == 0 { 0.0 } else { 1.0 - kept as f64 / of as f64 };
        Ok(Recomputed {
            test_accuracy: found.accuracy,
            test_loss: found.loss,
            sparsity: gone((weights, dense_weights)),
            unit_sparsity: gone(units),
            nnz: paths.nnz,
            nnz_effective: paths.nnz_effective,
            params_dense: measure::count_params(&dense).1,
            params_kept: measure::count_params(params).0,
            macs_dense: task.cost(&dense, &one)?.macs,
            macs_kept: task.cost(params, &one)?.macs_kept,
            examples: found.examples,
        })
    }
}

/// Prunable weights that are kept.
fn kept<B: Registered>(params: &ParamStore<B>) -> usize {
    params.iter().filter(|p| p.spec().prunable).map(Param::kept).sum()
}

/// Prunable weights of a network before anything is pruned.
fn prunable(layout: &Layout) -> usize {
    layout.params.iter().filter(|spec| spec.prunable).map(|spec| spec.shape.count()).sum()
}
