//! Metrics of a finished run.

use super::reporter::Reporter;
use super::run::Live;
use super::setting::Setting;
use super::{Evaluation, Fit};
use crate::backend::{Backend, Bits};
use crate::error::Result;
use crate::network::forward::Cost;
use crate::network::layout::Sizes;
use crate::pruning;
use crate::pruning::measure::{self, ActivationInformation, Foretold, LayerBurden, Recovery, UnitScores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `summary.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `finished`, or what else became of the run.
    pub status: String,
    /// Mean loss on the test split.
    pub test_loss: f64,
    /// Accuracy on the test split, for classifiers.
    pub test_accuracy: Option<f64>,
    /// R² on the test split, for real-valued targets; see [`Evaluation::r2`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_r2: Option<f64>,
    /// Mean loss on the training split, where `train.eval_train` asks for it; so for the others of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss: Option<f64>,
    /// The largest loss of a training example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_loss_max: Option<f64>,
    /// Accuracy on the training split, for classifiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// How far the output follows the noise in the training targets; see [`Fit::noise_correlation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_correlation: Option<f64>,
    /// What the activations of the neurons tell of test examples, where `train.eval_activations` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_information: Option<ActivationInformation>,
    /// Fraction of all weights that is gone, masked or cut out: those of every layer, the exempt ones and the output's
    /// among them, without biases and norms.
    pub sparsity: f64,
    /// Fraction of all units that is gone.
    pub unit_sparsity: f64,
    /// Units in use in every group.
    pub units: Sizes,
    /// Prunable weights that remain.
    #[serde(default)]
    pub nnz: Option<usize>,
    /// Those of them on a path from an input to an output; see [`Paths`](crate::pruning::measure::Paths).
    #[serde(default)]
    pub nnz_effective: Option<usize>,
    /// Units in use that no input reaches, or that lead to no output.
    #[serde(default)]
    pub units_cut_off: usize,
    /// Weights or units that were pruned, every time counted.
    #[serde(default, alias = "left")]
    pub pruned: usize,
    /// Weights or units that came back, every time counted.
    #[serde(default, alias = "returned")]
    pub regrown: usize,
    /// Weights or units that came back at least once; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regrown_distinct: Option<usize>,
    /// Fraction of those that is there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regrown_stay: Option<f64>,
    /// How what was known before the pruning steps ranks with what they cost, where the network was measured around at least
    /// four of them (`train.eval_prunes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_foretold: Option<Foretold>,
    /// What pruning steps cost, and how much of that came back before the next one, where the network was measured around them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// What the scores of units looked like at the last pruning step, by group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unit_scores: BTreeMap<String, UnitScores>,
    /// Burden indicators of the last epoch.
    #[serde(default)]
    pub burden: Vec<LayerBurden>,
    /// What a person should know who set the run up, see [`Event::Note`](super::event::Event::Note).
    #[serde(default)]
    pub notes: Vec<String>,
    /// Weights whose layers went over their nonzeros alone at the end (`train.sparse`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sparse_layers: Vec<String>,
    /// What inference takes, where `prune.target = "milliseconds"` asks for a share of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference: Option<Inference>,
    /// Parameters of the dense network.
    pub params_dense: usize,
    /// Parameters that remain.
    pub params_kept: usize,
    /// Multiply-accumulate operations of the dense network, for one example.
    pub macs_dense: u64,
    /// Those that remain, for one example: masked weights do not count.
    pub macs_kept: u64,
    /// Optimizer updates.
    pub steps: u64,
    /// Passes over the training data.
    pub epochs: u64,
    /// Wall-clock time of training steps.
    pub seconds_train: f64,
    /// Wall-clock time of scoring and pruning.
    pub seconds_prune: f64,
    /// Wall-clock time of evaluation.
    pub seconds_eval: f64,
    /// Largest resident memory of the process so far; absent where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// The run's seed.
    pub seed: u64,
    /// Threads it could use.
    pub threads: usize,
    /// `cpu` or `cuda`.
    pub device: String,
    /// `portable` where the bits do not depend on the kind of processor, `fastest` where they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<Bits>,
}

/// How long a forward pass of a batch takes in evaluation: medians of both networks, read in turns when the run was over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// Examples in the batch.
    pub batch: usize,
    /// Milliseconds of the dense network.
    pub dense: f64,
    /// Milliseconds of a network of the units that are left.
    pub pruned: f64,
    /// Share of the dense network's time that the schedule asked to be gone at the last pruning step; none where nothing
    /// was pruned.
    pub asked: Option<f64>,
    /// Share that is gone by the table.
    pub predicted: f64,
    /// Share that is gone by these two times; below 0 where it got slower.
    pub measured: f64,
    /// Whether the run's own network has these units; else they are masked in it, and the time is that of the network
    /// which `prune.apply = "shrink"` would leave.
    pub shrunk: bool,
}

impl Summary {
    pub(super) fn of<B: Backend>(
        setting: &Setting<'_, B>,
        Live { next, params, burden, .. }: &Live<B>,
        (test, fit): (Evaluation, Option<Fit>),
        (dense, kept): (Cost, Cost),
        reporter: &Reporter<'_, B>,
    ) -> Result<Self> {
        let (pruned, regrown) = burden.total();
        let returned = pruning::stay(&setting.prune, params, &burden.returned);
        let clock = &reporter.clock;
        let (params_kept, params_dense) = measure::count_params(params);
        let paths = measure::Paths::of(params);
        Ok(Self {
            status: "finished".into(),
            test_loss: test.loss,
            test_accuracy: test.accuracy,
            test_r2: test.r2,
            train_loss: fit.map(|fit| fit.loss),
            train_loss_max: fit.map(|fit| fit.worst),
            train_accuracy: fit.and_then(|fit| fit.accuracy),
            noise_correlation: fit.and_then(|fit| fit.noise_correlation),
            sparsity: measure::weight_sparsity(params),
            unit_sparsity: measure::unit_sparsity(params),
            units: pruning::units_in_use(params),
            nnz: Some(paths.nnz),
            nnz_effective: Some(paths.nnz_effective),
            units_cut_off: paths.units_cut_off,
            pruned,
            regrown,
            regrown_distinct: returned.map(|(count, _)| count),
            regrown_stay: returned.map(|(_, stay)| stay),
            drop_foretold: Foretold::of(&burden.costs),
            recovery: burden.recovering.told(),
            unit_scores: burden.scores.clone(),
            burden: burden.latest().to_vec(),
            notes: reporter.notes(),
            sparse_layers: params.sparse_layers(),
            inference: None,
            activation_information: None,
            params_dense,
            params_kept,
            macs_dense: dense.macs,
            macs_kept: kept.macs_kept,
            steps: next.0,
            epochs: next.0.div_ceil(setting.length.steps_per_epoch.max(1)),
            seconds_train: clock.train.as_secs_f64(),
            seconds_prune: clock.prune.as_secs_f64(),
            seconds_eval: clock.eval.as_secs_f64(),
            peak_memory_bytes: measure::peak_memory_bytes(),
            seed: setting.seeds.run.0,
            threads: rayon::current_num_threads(),
            device: B::NAME.into(),
            bits: Some(setting.train.bits),
        })
    }

    /// The metrics by which runs are compared.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let mut all = BTreeMap::from([
            ("test_loss".to_string(), self.test_loss),
            ("sparsity".into(), self.sparsity),
            ("unit_sparsity".into(), self.unit_sparsity),
            ("params_kept".into(), self.params_kept as f64),
            ("macs_kept".into(), self.macs_kept as f64),
            ("seconds_train".into(), self.seconds_train),
            ("regrown".into(), self.regrown as f64),
            ("units_cut_off".into(), self.units_cut_off as f64),
        ]);
        let counts = [("nnz", self.nnz), ("nnz_effective", self.nnz_effective)];
        all.extend(counts.into_iter().filter_map(|(name, count)| Some((name.to_string(), count? as f64))));
        if let Some(inference) = self.inference {
            all.extend([("milliseconds".to_string(), inference.pruned), ("latency_gone".into(), inference.measured)]);
        }
        let measured = [
            ("test_accuracy", self.test_accuracy),
            ("test_r2", self.test_r2),
            ("train_loss", self.train_loss),
            ("train_loss_max", self.train_loss_max),
            ("train_accuracy", self.train_accuracy),
            ("noise_correlation", self.noise_correlation),
        ];
        all.extend(measured.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))));
        all
    }
}
