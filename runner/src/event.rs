//! The lines of `events.jsonl`, as far as the report and the progress display read them.

use std::collections::BTreeMap;

use secateur::pruning::measure::LayerBurden;
use serde::{Deserialize, Serialize};

use crate::picture::Shown;

/// One fact of a run. Lines of kinds that are not listed here are [`Event::Other`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The run begins, or goes on.
    Start {
        /// First step to run.
        step: u64,
        /// Name of the run.
        name: String,
        /// Steps in the whole run.
        #[serde(default)]
        steps: u64,
        /// Steps in one epoch.
        #[serde(default)]
        steps_per_epoch: u64,
        /// Training examples.
        #[serde(default)]
        examples: u64,
        /// Parameters of the dense network.
        params: u64,
        /// Unit groups of the dense network, in the network's order.
        layers: Vec<Layer>,
    },
    /// One optimizer update; not every one is reported.
    Step {
        /// From 0.
        step: u64,
        /// From 0.
        epoch: u64,
        /// Mean over the batch.
        loss: Option<f64>,
        /// Over the batch.
        accuracy: Option<f64>,
    },
    /// An epoch is over.
    Epoch {
        /// Its last step.
        step: u64,
        /// From 0.
        epoch: u64,
        /// Mean over its examples.
        loss: Option<f64>,
        /// Over its examples.
        accuracy: Option<f64>,
        /// Fraction of what may be pruned that is gone at its end.
        #[serde(default)]
        sparsity: Option<f64>,
        /// Wall-clock time.
        #[serde(default)]
        seconds: f64,
    },
    /// What the weights that are left had to do in an epoch.
    Burden {
        /// The epoch's last step.
        step: u64,
        /// Parameters that may be pruned.
        #[serde(default)]
        layers: Vec<LayerBurden>,
    },
    /// The network was measured on held-out data.
    Eval {
        /// The step before it.
        step: u64,
        /// From 0.
        epoch: u64,
        /// `validation`, `test`.
        split: String,
        /// Mean.
        loss: Option<f64>,
        /// Where it makes sense.
        accuracy: Option<f64>,
        /// `start`, `epoch`, `before-prune`, `after-prune`, `end`.
        #[serde(default)]
        at: String,
    },
    /// Something was pruned.
    Prune(Prune),
    /// A picture was drawn.
    Picture(Shown),
    /// The run is over.
    Finish {
        /// Steps that were run.
        step: u64,
    },
    /// A kind that this program does not read.
    #[serde(other)]
    Other,
}

/// A group of units at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// `fc1`.
    pub name: String,
    /// In the dense network.
    pub units: u64,
}

/// One pruning step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prune {
    /// The step it followed.
    pub step: u64,
    /// From 0.
    pub epoch: u64,
    /// Sparsity asked for.
    pub target: f64,
    /// Sparsity counted afterwards.
    pub achieved: f64,
    /// Units in use, by group.
    #[serde(default)]
    pub units: BTreeMap<String, u64>,
    /// Weights that are left.
    pub weights_kept: u64,
    /// Weights of the dense network.
    pub weights_total: u64,
    /// Weights or units that went.
    #[serde(default)]
    pub left: u64,
    /// Weights or units that came back.
    #[serde(default)]
    pub returned: u64,
    /// Wall-clock time of scoring and pruning.
    #[serde(default)]
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lines_of_unknown_kinds_and_missing_numbers_are_read() {
        let other: Event = serde_json::from_str(r#"{"event":"weather","step":1,"sun":true}"#).unwrap();
        assert_eq!(other, Event::Other);
        let step: Event = serde_json::from_str(r#"{"event":"step","step":1,"epoch":0,"loss":null,"lr":0.1}"#).unwrap();
        assert_eq!(step, Event::Step { step: 1, epoch: 0, loss: None, accuracy: None });
    }
}
