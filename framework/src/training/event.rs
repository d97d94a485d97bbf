//! What happens in a run, as typed facts; sinks decide how they look.

use crate::data::SplitName;
use crate::network::layout::Sizes;
use crate::pruning::measure::{Histogram, LayerActivations, LayerBurden, LayerNeurons, UnitScores};
use crate::pruning::{Counted, LatencyTable};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// A unit group at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSize {
    /// Its name.
    pub name: String,
    /// Units in the dense network.
    pub units: usize,
}

/// The version of what events say: from 2 on epochs count from 1, as they do for people; from 0 before that.
pub const LOG: u32 = 2;

/// One fact. Every event carries the step it belongs to, from 0, the next one to run for those between steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The run begins, or goes on.
    Start {
        /// First step to run.
        step: u64,
        /// [`LOG`].
        #[serde(default = "first")]
        log: u32,
        /// Name of the run.
        name: String,
        /// Steps in the whole run.
        steps: u64,
        /// Steps in one epoch.
        steps_per_epoch: u64,
        /// Training examples.
        examples: usize,
        /// Parameters of the dense network.
        params: usize,
        /// Unit groups of the dense network.
        layers: Vec<GroupSize>,
        /// Shape of an example; of images channels, height and width.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        input: Vec<usize>,
        /// Weights or units of each parameter or unit group that may be pruned, as they are before this step.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        prunable: BTreeMap<String, usize>,
        /// The evaluation after the step before that is made first, where the run goes on from a checkpoint that was
        /// taken in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<EvalAt>,
    },
    /// What inference takes by the units of the network's groups, where pruning goes by it: before the first step.
    Latency {
        /// 0.
        step: u64,
        /// The times.
        table: LatencyTable,
    },
    /// One optimizer update; not every one is reported.
    Step {
        /// This step.
        step: u64,
        /// Its epoch, from 1.
        epoch: u64,
        /// Which data its loss and accuracy are of: that of training.
        #[serde(default = "train")]
        split: SplitName,
        /// Mean loss of the batch.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Fraction of the batch that is classified rightly, where that makes sense.
        accuracy: Option<f64>,
        /// Learning rate.
        lr: f64,
        /// Penalty the criterion added to the loss.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        penalty: Option<f64>,
    },
    /// An epoch is over.
    Epoch {
        /// Its last step.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Which data its loss and accuracy are of: that of training.
        #[serde(default = "train")]
        split: SplitName,
        /// Mean training loss over its examples.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Training accuracy over its examples.
        accuracy: Option<f64>,
        /// Sparsity at its end, as a fraction of what pruning steps count.
        sparsity: f64,
        /// Wall-clock time of its training steps.
        seconds: f64,
    },
    /// What the remaining weights had to do in an epoch, and which changed places.
    Burden {
        /// The epoch's last step.
        step: u64,
        /// The epoch, from 1.
        epoch: u64,
        /// Parameters that may be pruned, in the model's order.
        layers: Vec<LayerBurden>,
    },
    /// The burden of every single neuron in the last epoch; earlier epochs have its summary in their burden alone.
    Neurons {
        /// The run's last step.
        step: u64,
        /// The last epoch, from 1.
        epoch: u64,
        /// Parameters that may be pruned, in the model's order.
        layers: Vec<LayerNeurons>,
    },
    /// What the activation of every single neuron tells of test examples, where `train.eval_activations` asks for it.
    Activations {
        /// The run's last step.
        step: u64,
        /// Examples that were looked at.
        examples: usize,
        /// Layers with an activation, in the order of their calls.
        layers: Vec<LayerActivations>,
    },
    /// The network was measured on held-out data.
    Eval {
        /// The step before it.
        step: u64,
        /// Its epoch, from 1.
        epoch: u64,
        /// Which data.
        split: SplitName,
        /// Mean loss.
        #[serde(deserialize_with = "number")]
        loss: f64,
        /// Accuracy, where that makes sense.
        accuracy: Option<f64>,
        /// When: at an epoch's end, right before or right after a pruning step, or at the end of the run.
        at: EvalAt,
    },
    /// Something was pruned.
    Prune {
        /// The step it followed.
        step: u64,
        /// Its epoch, from 1.
        epoch: u64,
        /// Whether it came before the first update; `step` is then 0.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        at_start: bool,
        /// Sparsity asked for, as a fraction of what `of` says; none where the criterion decides itself what goes.
        target: Option<f64>,
        /// The most that the schedule had planned to ask for here, where it goes by what is measured.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        planned: Option<f64>,
        /// Sparsity counted afterwards, of the same.
        achieved: f64,
        /// What both are fractions of; in events of earlier versions the weights or units that may be pruned.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<Counted>,
        /// Units in use in every group.
        units: Sizes,
        /// Weights or units that remain of each parameter or unit group that may be pruned.
        #[serde(default)]
        kept: BTreeMap<String, usize>,
        /// Parameters of the network that remain, biases and norms among them.
        weights_kept: usize,
        /// Parameters of the dense network.
        weights_total: usize,
        /// Prunable weights that remain.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        nnz: Option<usize>,
        /// Those of them on a path from an input to an output; see [`Paths`](crate::pruning::measure::Paths).
        #[serde(skip_serializing_if = "Option::is_none", default)]
        nnz_effective: Option<usize>,
        /// Units in use that no input reaches, or that lead to no output.
        #[serde(default)]
        units_cut_off: usize,
        /// Weights or units that were kept before this step and are pruned now.
        #[serde(alias = "left")]
        pruned: usize,
        /// Weights or units that were pruned before this step and are back.
        #[serde(alias = "returned")]
        regrown: usize,
        /// Weights whose layers go over their nonzeros alone from here on (`train.sparse`).
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        sparse_layers: Vec<String>,
        /// The step whose weights were brought back, for lottery tickets.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rewound_to: Option<u64>,
        /// The weights before and after it; of very many pruning steps, every nth has them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        weights: Option<Histogram>,
        /// What the scores of units looked like, by group; in the last round, where there are several.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        scores: BTreeMap<String, UnitScores>,
        /// Wall-clock time of scoring and pruning.
        seconds: f64,
    },
    /// Something a person should know who set the run up: a setting that does nothing here, a layer that is empty.
    Note {
        /// The step before which it was found.
        step: u64,
        /// The config keys concerned, with their sections; none where it is about no setting.
        keys: Vec<String>,
        /// One whole sentence.
        text: String,
    },
    /// The run is over.
    Finish {
        /// Steps that were run.
        step: u64,
        /// Metrics of the run.
        #[serde(alias = "figures")]
        metrics: BTreeMap<String, f64>,
    },
}

/// When an evaluation took place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvalAt {
    /// Before the first step.
    Start,
    /// At the end of an epoch.
    Epoch,
    /// Right before a pruning step.
    BeforePrune,
    /// Right after a pruning step.
    AfterPrune,
    /// After the last step.
    End,
}

fn first() -> u32 {
    1
}

fn train() -> SplitName {
    SplitName::Train
}

/// JSON has no word for a number that is none, and says null.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_no_number_comes_back() {
        let (split, at) = (SplitName::Test, EvalAt::End);
        let event = Event::Eval { step: 3, epoch: 1, split, loss: f64::INFINITY, accuracy: None, at };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.contains(r#""loss":null"#), "{line}");
        let Event::Eval { loss, .. } = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert!(loss.is_nan());
    }

    #[test]
    fn a_reader_bears_events_that_nobody_wrote() {
        let (split, at) = (SplitName::Test, EvalAt::End);
        let start = r#"{"event":"start","step":0,"name":"r","steps":9,"steps_per_epoch":3,"examples":7,"params":2,
            "layers":[{"name":"fc1","units":4}],"first":"epoch"}"#;
        let prune = r#"{"event":"prune","step":19,"epoch":1,"target":0.1,"achieved":0.1,"units":{"fc1":45},
            "weights_kept":900,"weights_total":1000,"pruned":100,"regrown":0,"seconds":0.1}"#;
        let eval = Event::Eval { step: 3, epoch: 0, split, loss: 0.5, accuracy: Some(0.25), at };
        let whole = [start.to_owned(), prune.to_owned(), serde_json::to_string(&eval).unwrap()];
        assert!(whole.iter().all(|line| serde_json::from_str::<Event>(line).is_ok()));
        secateur_fuzz::bears("event", &whole.map(String::into_bytes), |bytes| {
            let Ok(event) = serde_json::from_slice::<Event>(bytes) else { return 0 };
            serde_json::to_string(&event).unwrap().len()
        });
    }

    #[test]
    fn a_log_says_how_it_counts_and_earlier_ones_are_known_by_saying_nothing() {
        let line = r#"{"event":"start","step":0,"name":"r","params":1,"steps":2,"steps_per_epoch":1,"examples":1,"layers":[]}"#;
        let Event::Start { log, .. } = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        assert_eq!((log, LOG), (1, 2));
        let line = r#"{"event":"epoch","step":0,"epoch":1,"loss":1.0,"accuracy":null,"sparsity":0.0,"seconds":1.0}"#;
        let Event::Epoch { split, .. } = serde_json::from_str(line).unwrap() else { panic!("{line}") };
        assert_eq!(split, SplitName::Train);
    }
}
