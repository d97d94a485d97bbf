//! Figures of a network and of the process.

mod activations;
mod burden;
mod foretold;
mod histogram;
mod lipschitz;
mod memory;
mod neurons;
mod paths;
mod recovery;
mod returned;
mod unit_scores;

pub(crate) use activations::Activations;
pub use activations::{ActivationInformation, ActivationMeans, LayerActivations};
pub use burden::{Burden, Churn, Indicators, LayerBurden};
pub use foretold::{Foretold, PruneCost};
pub use histogram::{BARS, Histogram};
pub use lipschitz::{lipschitz_at_most, spectral_norm};
pub use memory::peak_memory_bytes;
pub use neurons::{LayerNeurons, NeuronSummary};
pub use paths::Paths;
pub(crate) use recovery::Recovering;
pub use recovery::Recovery;
pub use returned::Returned;
pub use unit_scores::UnitScores;

use crate::backend::Backend;
use crate::network::params::ParamStore;

/// Parameters left and in the dense network, buffers (running statistics) not counted.
pub fn count_params<B: Backend>(store: &ParamStore<B>) -> (usize, usize) {
    store
        .iter()
        .filter(|p| !p.spec().buffer)
        .fold((0, 0), |(kept, dense), p| (kept + p.kept(), dense + p.dense_count()))
}

/// Fraction of the dense network's prunable weights that is gone, masked or cut out.
pub fn weight_sparsity<B: Backend>(store: &ParamStore<B>) -> f64 {
    let (kept, dense) =
        store.iter().filter(|p| p.spec().prunable).fold((0, 0), |(k, d), p| (k + p.kept(), d + p.dense_count()));
    1.0 - kept as f64 / dense.max(1) as f64
}

/// Fraction of the dense network's units that is gone.
pub fn unit_sparsity<B: Backend>(store: &ParamStore<B>) -> f64 {
    let groups = &store.layout().groups;
    let dense: usize = groups.iter().map(|g| g.dense_units).sum();
    let kept: usize = groups.iter().map(|g| store.units(&g.name)).sum();
    if dense == 0 { 0.0 } else { 1.0 - kept as f64 / dense as f64 }
}
