//! The `[train]` section.

use crate::backend::{Backend, Bits, LossValue, Precision, Update, squared_error, squared_error_of_classes};
use crate::error::Result;
use crate::network::model::Batch;
use crate::network::params::Sparse;
use crate::pruning::schedule::{RunLength, Step};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent, with momentum where `train.momentum` is not 0.
    Sgd,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    AdamW,
}

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedule {
    /// It stays at `train.lr`.
    Constant,
    /// Half a cosine down to `train.lr_min`.
    Cosine,
    /// Times `train.lr_gamma` every `train.lr_step` epochs.
    Step,
}

/// What is minimised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Softmax cross-entropy over the classes.
    CrossEntropy,
    /// Binary cross-entropy of one logit; for two classes.
    Binary,
    /// Squared error of one output: for real-valued targets, or for two classes as -1 and 1.
    SquaredError,
}

impl Loss {
    /// How many outputs a network needs for so many classes.
    pub fn outputs(self, classes: usize) -> usize {
        match self {
            Self::CrossEntropy => classes,
            Self::Binary | Self::SquaredError => 1,
        }
    }

    /// Why these targets are none for this loss, and what is allowed instead; `regression` says whether they are
    /// real-valued.
    pub fn refusal(self, classes: usize, regression: bool) -> Option<String> {
        let two = "cross-entropy is for any number of classes";
        match self {
            Self::SquaredError if regression || classes == 2 => None,
            Self::SquaredError => {
                Some(format!("needs real-valued targets or two classes, but the data has {classes} classes: {two}"))
            }
            _ if regression => {
                Some("needs classes, but the data has real-valued targets: use \"squared-error\"".into())
            }
            Self::Binary if classes != 2 => Some(format!("needs two classes, but the data has {classes}: {two}")),
            Self::Binary | Self::CrossEntropy => None,
        }
    }

    /// The mean loss of logits `[batch, classes]` (`[batch, 1]` for [`Loss::Binary`] and [`Loss::SquaredError`]) against
    /// the targets of the batch, with its gradient where `grad`; `smoothing` is that of cross-entropy's labels.
    ///
    /// # Errors
    /// A class the logits do not have; if the device is out of memory.
    pub fn of<B: Backend>(
        self,
        logits: &Tensor<B>,
        batch: &Batch<B>,
        smoothing: f64,
        grad: bool,
    ) -> Result<LossValue<B>> {
        match self {
            Self::CrossEntropy => B::cross_entropy(logits, &batch.classes, smoothing as f32, grad),
            Self::Binary => B::binary_cross_entropy(logits, &batch.classes, grad),
            Self::SquaredError if batch.responses.is_empty() => squared_error_of_classes(logits, &batch.classes, grad),
            Self::SquaredError => squared_error(logits, &batch.responses, grad),
        }
    }
}

crate::options! {
    /// How the network is trained.
    pub struct TrainConfig {
        /// Passes over the training data.
        #[acts(always)]
        pub epochs: u64 = 10,
        /// Examples in one optimizer step; the last batch of an epoch may be smaller.
        #[acts(run, "at least as many training examples")]
        pub batch_size: usize = 128,
        /// Loss of a classifier: `cross-entropy`, or `binary` for one logit and two classes; `squared-error` of one output
        /// for real-valued targets, or for two classes as -1 and 1. Models with a loss of their own ignore it.
        #[acts(run, "a model that has no loss of its own")]
        pub loss: Loss = Loss::CrossEntropy,
        /// `sgd`, `adam` or `adamw`.
        #[acts(always)]
        pub optimizer: Optimizer = Optimizer::Sgd,
        /// Learning rate.
        #[acts(always)]
        pub lr: f64 = 0.1,
        /// `constant`, `cosine` or `step`.
        #[acts(run, "epochs enough for it to change the rate")]
        pub lr_schedule: LrSchedule = LrSchedule::Constant,
        /// Epochs over which the learning rate rises linearly from 0.
        #[acts(run, "fewer epochs of warm-up than there are in all")]
        pub lr_warmup: f64 = 0.0,
        /// Where a cosine schedule ends.
        #[acts(|t| t.lr_schedule == LrSchedule::Cosine, "lr_schedule = \"cosine\"")]
        pub lr_min: f64 = 0.0,
        /// Epochs between two steps of a step schedule.
        #[acts(|t| t.lr_schedule == LrSchedule::Step, "lr_schedule = \"step\"")]
        pub lr_step: f64 = 30.0,
        /// Factor of a step schedule.
        #[acts(|t| t.lr_schedule == LrSchedule::Step, "lr_schedule = \"step\"")]
        pub lr_gamma: f64 = 0.1,
        /// Momentum of SGD.
        #[acts(|t| t.optimizer == Optimizer::Sgd, "optimizer = \"sgd\"")]
        pub momentum: f64 = 0.0,
        /// Nesterov's form of momentum.
        #[acts(|t| t.optimizer == Optimizer::Sgd, "optimizer = \"sgd\"")]
        pub nesterov: bool = false,
        /// Weight decay; norms, biases and positions have none.
        #[acts(always)]
        pub weight_decay: f64 = 0.0,
        /// Decay of Adam's first moment.
        #[acts(|t| t.optimizer != Optimizer::Sgd, "optimizer = \"adam\" or \"adamw\"")]
        pub beta1: f64 = 0.9,
        /// Decay of Adam's second moment.
        #[acts(|t| t.optimizer != Optimizer::Sgd, "optimizer = \"adam\" or \"adamw\"")]
        pub beta2: f64 = 0.999,
        /// Added to the root of Adam's second moment.
        #[acts(|t| t.optimizer != Optimizer::Sgd, "optimizer = \"adam\" or \"adamw\"")]
        pub eps: f64 = 1e-8,
        /// Gradients are scaled down to this norm where theirs is larger; not at all where absent. Those of weights that
        /// are held at zero do not count.
        #[acts(always)]
        pub clip_norm: Option<f64> = None,
        /// Label smoothing of the cross-entropy.
        #[acts(|t| t.loss == Loss::CrossEntropy, "loss = \"cross-entropy\"")]
        #[acts(run, "a model that has no loss of its own")]
        pub label_smoothing: f64 = 0.0,
        /// Training ends with the first epoch after the last pruning step whose mean training loss is at most this; not at all
        /// where absent.
        #[acts(run, "an epoch before the last one that comes after all pruning steps")]
        pub stop_loss: Option<f64> = None,
        /// Training ends after so many epochs in a row without a new lowest mean training loss since the last pruning step; 0
        /// for never.
        #[acts(run, "an epoch before the last one that comes after all pruning steps")]
        pub stop_flat: u64 = 0,
        /// Epochs between two evaluations on held-out data.
        #[acts(always)]
        pub eval_every: u64 = 1,
        /// Validation is also measured right before and right after each pruning step, in runs with at most this many
        /// of them.
        #[acts(run, "pruning steps")]
        pub eval_prunes: usize = 50,
        /// Whether the training examples are measured too when the run is over: the mean and the largest loss, the accuracy,
        /// and the correlation with the noise in the targets where a generator says what that is.
        #[acts(run, "a model that has no loss of its own")]
        pub eval_train: bool = false,
        /// Examples of the test split, at most, of which it is measured when the run is over how much the activation of each
        /// neuron tells (`activation_information` in the summary, in bits); 0 for none. Neurons are the units of every layer
        /// with an activation but the last layer; their activations are kept meanwhile, 4 bytes each.
        #[acts(run, "a layer before the last that has an activation")]
        pub eval_activations: usize = 0,
        /// Examples in one evaluation batch.
        #[acts(always)]
        pub eval_batch_size: usize = 1000,
        /// Whether the optimizer's state is forgotten after each pruning step.
        #[acts(
            |t| t.optimizer != Optimizer::Sgd || t.momentum > 0.0,
            "an optimizer that has a state: momentum above 0, or optimizer = \"adam\" or \"adamw\""
        )]
        #[acts(run, "pruning steps that do not rewind, which forgets that state anyway")]
        pub fresh_optimizer: bool = false,
        /// Which fully connected layers and convolutions in one group go over the nonzeros of their weights alone, once
        /// masks hold the others at zero: `off` for none, `auto` where that takes less time (few are left: at most 35 % of
        /// at least 1,000 weights, or 30 % of a convolution's 250, on a processor with AVX2), `always` for each that has a
        /// mask. Results differ in the last bits.
        #[acts(run, "fully connected layers or convolutions whose masks are held, on the CPU")]
        pub sparse: Sparse = Sparse::Auto,
        /// What the products of training steps are computed in: `f32`, or `bf16`, which rounds their operands to 8 bits of
        /// precision and adds up in f32. Weights, norms, softmax, losses and the optimizer are f32 either way, and so are
        /// products over nonzeros alone, evaluation, and what criteria ask the network. Refused where the processor has no
        /// instructions for it.
        #[acts(always)]
        pub precision: Precision = Precision::F32,
        /// Whether a run's bits depend on the kind of processor: `fastest` uses the widest vectors there are, `portable` adds
        /// in one order on every x86-64 processor with AVX2 and FMA, so that the same config gives the same network there,
        /// and a checkpoint goes on elsewhere. Refused on other processors, on a GPU, and with products in bf16.
        #[acts(always)]
        pub bits: Bits = Bits::Fastest,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("epochs", self.epochs, 1.0..=1e9);
        checks.range("batch_size", self.batch_size, 1.0..);
        checks.above("lr", self.lr, 0.0);
        checks.range("lr_warmup", self.lr_warmup, 0.0..);
        checks.range("lr_min", self.lr_min, 0.0..);
        checks.ensure("lr_min", self.lr_min <= self.lr, format!("must not lie above `lr` = {}", self.lr));
        checks.above("lr_step", self.lr_step, 0.0);
        checks.above("lr_gamma", self.lr_gamma, 0.0);
        checks.range("momentum", self.momentum, 0.0..1.0);
        checks.ensure("nesterov", !self.nesterov || self.momentum > 0.0, "needs `momentum` above 0");
        checks.range("weight_decay", self.weight_decay, 0.0..);
        checks.range("beta1", self.beta1, 0.0..1.0);
        checks.range("beta2", self.beta2, 0.0..1.0);
        checks.above("eps", self.eps, 0.0);
        checks.above("clip_norm", self.clip_norm, 0.0);
        checks.range("label_smoothing", self.label_smoothing, 0.0..1.0);
        checks.range("stop_loss", self.stop_loss, 0.0..);
        checks.range("eval_every", self.eval_every, 1.0..);
        checks.range("eval_batch_size", self.eval_batch_size, 1.0..);
    }
}

impl TrainConfig {
    /// The learning rate of a step.
    pub fn lr_at(&self, step: Step, run: &RunLength) -> f64 {
        let per_epoch = run.steps_per_epoch.max(1) as f64;
        let (at, warmup) = (step.0 as f64, self.lr_warmup * per_epoch);
        if at < warmup {
            return self.lr * (at + 1.0) / warmup;
        }
        match self.lr_schedule {
            LrSchedule::Constant => self.lr,
            LrSchedule::Cosine => {
                let part = ((at - warmup) / (run.steps as f64 - warmup).max(1.0)).min(1.0);
                self.lr_min + (self.lr - self.lr_min) * 0.5 * (1.0 + (std::f64::consts::PI * part).cos())
            }
            LrSchedule::Step => self.lr * self.lr_gamma.powf((at / per_epoch / self.lr_step).floor()),
        }
    }

    /// The update rule at a learning rate.
    pub fn rule(&self, lr: f64) -> Update {
        let (lr, weight_decay) = (lr as f32, self.weight_decay as f32);
        match self.optimizer {
            Optimizer::Sgd => Update::Sgd { lr, momentum: self.momentum as f32, weight_decay, nesterov: self.nesterov },
            Optimizer::Adam | Optimizer::AdamW => Update::Adam {
                lr,
                beta1: self.beta1 as f32,
                beta2: self.beta2 as f32,
                eps: self.eps as f32,
                weight_decay,
                decoupled: self.optimizer == Optimizer::AdamW,
                t: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptionSet as _;

    #[test]
    fn learning_rates_follow_their_schedules() {
        let run = RunLength { steps: 100, steps_per_epoch: 10 };
        let c = TrainConfig { lr: 1.0, lr_warmup: 2.0, lr_schedule: LrSchedule::Cosine, ..TrainConfig::default() };
        assert_eq!(c.lr_at(Step(0), &run), 0.05);
        assert_eq!(c.lr_at(Step(19), &run), 1.0);
        assert!((c.lr_at(Step(60), &run) - 0.5).abs() < 1e-12);
        assert!(c.lr_at(Step(99), &run) < 1e-3);
        let c = TrainConfig { lr: 1.0, lr_step: 3.0, lr_schedule: LrSchedule::Step, ..TrainConfig::default() };
        assert_eq!((c.lr_at(Step(29), &run), c.lr_at(Step(30), &run)), (1.0, 0.1));
    }

    #[test]
    fn all_values_out_of_range_are_named_together() {
        let c = TrainConfig { lr: -1.0, momentum: 2.0, epochs: 0, ..TrainConfig::default() };
        let text = c.errors().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(["`lr` = -1", "`momentum` = 2", "`epochs` = 0"].iter().all(|k| text.contains(k)), "{text}");
    }
}
