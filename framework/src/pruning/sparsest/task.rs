//! What a network is to separate, how it is trained, and what came of it.

use super::kernel::{LANES, Lane, Plan, adam, evaluate, momentum, slope};
use super::wiring::Wiring;
use crate::error::{Error, Result};
use crate::seed::Seed;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

/// Steps between two looks at the accuracy.
const LOOK: u64 = 50;
/// The momentum of [`Optimizer::Momentum`], the paper's.
const MOMENTUM: f32 = 0.9;

/// Points of two classes.
#[derive(Debug, Clone)]
pub struct Task {
    inputs: usize,
    /// Example after example.
    values: Vec<f32>,
    /// 0 or 1.
    labels: Vec<f32>,
    everything: Vec<u32>,
}

impl Task {
    /// Examples of `inputs` values each, one after the other, and for each whether it is of the second class.
    ///
    /// # Errors
    /// No examples, one class alone, or values that are not `inputs` for each example or not finite.
    pub fn new(inputs: usize, values: Vec<f32>, labels: &[bool]) -> Result<Self> {
        let wrong = |what: String| Err(Error::Config(format!("the examples to separate: {what}")));
        if inputs == 0 || values.len() != inputs * labels.len() {
            return wrong(format!("{} values are not {inputs} for each of {} examples", values.len(), labels.len()));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return wrong(format!("a value is {value}"));
        }
        if !labels.contains(&true) || !labels.contains(&false) {
            return wrong("all are of one class; there must be two".into());
        }
        let everything = (0..labels.len() as u32).collect();
        let labels = labels.iter().map(|label| f32::from(*label)).collect();
        Ok(Self { inputs, values, labels, everything })
    }

    /// Values of an example.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Examples.
    #[expect(clippy::len_without_is_empty, reason = "there is no task without examples")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The values of each example, and whether it is of the second class.
    pub fn examples(&self) -> impl Iterator<Item = (&[f32], bool)> {
        self.values.chunks(self.inputs).zip(self.labels.iter().map(|label| *label > 0.5))
    }

    /// The fraction that the larger class has: what a network that looks at nothing gets right.
    pub fn larger_class(&self) -> f64 {
        let second = self.labels.iter().filter(|label| **label > 0.5).count();
        second.max(self.len() - second) as f64 / self.len() as f64
    }

    #[inline(always)]
    pub(super) fn input(&self, example: usize, at: usize) -> f32 {
        self.values[example * self.inputs + at]
    }

    #[inline(always)]
    pub(super) fn label(&self, example: usize) -> f32 {
        self.labels[example]
    }

    pub(super) fn everything(&self) -> &[u32] {
        &self.everything
    }
}

/// What follows the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam (Kingma & Ba 2015) with its usual constants, 0.9, 0.999 and 1e-8.
    Adam,
    /// Gradient descent with momentum 0.9, which is the paper's.
    Momentum,
}

/// How each wiring is trained. The loss is the cross-entropy of one logit, and the learning rate falls to zero as half
/// a cosine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// What follows the gradient.
    pub optimizer: Optimizer,
    /// Learning rate at the first step.
    pub lr: f64,
    /// Steps at most: a network that separates the classes stops.
    pub steps: u64,
    /// Examples of a step; all of them where there is none.
    pub batch: Option<usize>,
    /// Seeds that each wiring is trained from: 0 and those that follow.
    pub seeds: usize,
    /// The fraction of the examples that must be on the right side for the classes to count as separated.
    pub accuracy: f64,
}

impl Default for Training {
    fn default() -> Self {
        Self { optimizer: Optimizer::Adam, lr: 0.03, steps: 2000, batch: None, seeds: 16, accuracy: 1.0 }
    }
}

/// What came of the training of one wiring.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Seeds from which the classes were separated, each with the step at which that was seen.
    pub separated: Vec<(u32, u64)>,
    /// The most examples on the right side when training ended or the classes were separated, of any seed.
    pub right: usize,
    /// The least mean cross-entropy of the same.
    pub loss: f32,
    /// The network of the first seed that separates the classes, or else of the one that is best: its numbers unit by
    /// unit, the weights that the unit reads with and then its bias.
    pub numbers: Vec<f32>,
}

impl Training {
    /// # Errors
    /// A setting out of range.
    pub fn check(&self, task: &Task) -> Result<()> {
        let wrong = |key: &str, found: &dyn std::fmt::Display, allowed: &str| {
            Err(Error::Config(format!("{key} is {found}\n  allowed: {allowed}")))
        };
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return wrong("lr", &self.lr, "a number above 0, such as 0.03");
        }
        if self.steps == 0 {
            return wrong("steps", &self.steps, "at least 1");
        }
        if self.seeds == 0 || self.seeds > 65_536 {
            return wrong("seeds", &self.seeds, "1 to 65536");
        }
        if let Some(batch) = self.batch.filter(|batch| !(1..=task.len()).contains(batch)) {
            return wrong("batch", &batch, &format!("1 to {}, the examples that there are", task.len()));
        }
        let blind = task.larger_class();
        if !(self.accuracy > blind && self.accuracy <= 1.0) {
            let allowed = format!("up to 1, and above {blind:.4}, which one class alone is");
            return wrong("accuracy", &self.accuracy, &allowed);
        }
        Ok(())
    }

    /// Examples that must be on the right side.
    pub fn wanted(&self, task: &Task) -> usize {
        (self.accuracy * task.len() as f64 - 1e-9).ceil() as usize
    }

    /// Trains a wiring from every seed.
    pub fn train(&self, wiring: &Wiring, task: &Task) -> Outcome {
        let plan = Plan::of(wiring);
        let mut best = Outcome { separated: Vec::new(), right: 0, loss: f32::INFINITY, numbers: Vec::new() };
        for first in (0..self.seeds).step_by(LANES) {
            let mut lanes = Lanes::new(&plan, first, self);
            lanes.train(&plan, task, self);
            for lane in 0..LANES.min(self.seeds - first) {
                let done = lanes.steps[lane] > 0;
                let (right, loss) = (lanes.right[lane] as usize, lanes.loss[lane]);
                let better = best.numbers.is_empty() || right > best.right || (right == best.right && loss < best.loss);
                if (done && best.separated.is_empty()) || (!done && best.separated.is_empty() && better) {
                    best.numbers = lanes.kept.iter().map(|number| number[lane]).collect();
                }
                best.right = best.right.max(right);
                best.loss = if loss < best.loss { loss } else { best.loss };
                if done {
                    best.separated.push(((first + lane) as u32, lanes.steps[lane]));
                }
            }
        }
        if !(best.loss.is_finite() && best.numbers.iter().all(|number| number.is_finite())) {
            // A training that went astray everywhere; files have no such numbers.
            best.loss = f32::MAX;
            best.numbers.fill(0.0);
        }
        best
    }
}

/// Where training leads from these numbers, with the examples on the right side and the loss there.
#[cfg(test)]
pub(super) fn follow(wiring: &Wiring, task: &Task, training: &Training, start: &[f32]) -> (Vec<f32>, usize, f32) {
    let plan = Plan::of(wiring);
    let mut lanes = Lanes::new(&plan, 0, &Training { seeds: 1, ..*training });
    lanes.w.iter_mut().zip(start).for_each(|(number, start)| *number = [*start; LANES]);
    // Nothing stops it before the last step.
    lanes.train(&plan, task, &Training { accuracy: 2.0, ..*training });
    (lanes.w.iter().map(|number| number[0]).collect(), lanes.right[0] as usize, lanes.loss[0])
}

/// Networks of one wiring from as many seeds in a row as there are lanes.
struct Lanes {
    w: Vec<Lane>,
    moments: [Vec<Lane>; 2],
    /// The step after which a network separated the classes; 0 for one that has not.
    steps: [u64; LANES],
    /// Numbers, examples on the right side and loss, as they were then, or are at the end.
    kept: Vec<Lane>,
    right: Lane,
    loss: Lane,
}

impl Lanes {
    /// Numbers are uniform in +-1/sqrt(fan in), biases too: PyTorch's default, of the weights that are there.
    fn new(plan: &Plan, first: usize, training: &Training) -> Self {
        let mut w = vec![[0.0; LANES]; plan.parameters];
        let fan_in = plan.fan_in();
        for lane in 0..LANES.min(training.seeds - first) {
            let mut rng = Seed((first + lane) as u64).stream("sparsest init", &[]);
            for (number, fan_in) in w.iter_mut().zip(&fan_in) {
                number[lane] = ((2.0 * rng.random::<f64>() - 1.0) / (*fan_in as f64).sqrt()) as f32;
            }
        }
        let moments = [vec![[0.0; LANES]; w.len()], vec![[0.0; LANES]; w.len()]];
        // Lanes without a seed have nothing to wait for.
        let steps = std::array::from_fn(|lane| u64::from(first + lane >= training.seeds));
        Self { kept: w.clone(), w, moments, steps, right: [0.0; LANES], loss: [f32::INFINITY; LANES] }
    }

    fn train(&mut self, plan: &Plan, task: &Task, training: &Training) {
        let (mut scratch, mut order) = (plan.scratch(), Order::new(task, training));
        let mut correct = [1.0_f64, 1.0];
        let wanted = training.wanted(task) as f32;
        for step in 1..=training.steps {
            let turn = (step - 1) as f64 / training.steps as f64;
            let lr = (training.lr * 0.5 * (1.0 + (std::f64::consts::PI * turn).cos())) as f32;
            slope(plan, &self.w, task, order.next(task), &mut scratch);
            let [first, second] = &mut self.moments;
            match training.optimizer {
                Optimizer::Momentum => momentum(&mut self.w, &scratch.gradient, first, lr, MOMENTUM),
                Optimizer::Adam => {
                    correct = [correct[0] * 0.9, correct[1] * 0.999];
                    let factors = correct.map(|left| (1.0 - left) as f32);
                    adam(&mut self.w, &scratch.gradient, [first, second], lr, factors);
                }
            }
            if step % LOOK == 0 || step == training.steps {
                let (right, loss) = evaluate(plan, &self.w, task, &mut scratch);
                for lane in (0..LANES).filter(|lane| self.steps[*lane] == 0).collect::<Vec<_>>() {
                    (self.right[lane], self.loss[lane]) = (right[lane], loss[lane]);
                    self.kept.iter_mut().zip(&self.w).for_each(|(kept, w)| kept[lane] = w[lane]);
                    if right[lane] >= wanted {
                        self.steps[lane] = step;
                    }
                }
                if self.steps.iter().all(|step| *step > 0) {
                    return;
                }
            }
        }
    }
}

/// Which examples a step has: all, or the next of an order that is drawn anew for each pass, what is left of one being
/// dropped. It is the same for every wiring and seed.
struct Order {
    order: Vec<u32>,
    at: usize,
    batch: usize,
    pass: u64,
}

impl Order {
    fn new(task: &Task, training: &Training) -> Self {
        let batch = training.batch.unwrap_or(task.len());
        Self { order: task.everything().to_vec(), at: task.len(), batch, pass: 0 }
    }

    fn next(&mut self, task: &Task) -> &[u32] {
        if self.batch == task.len() {
            return &self.order;
        }
        if self.at + self.batch > self.order.len() {
            const ORDER: u64 = 0x7370_6172_7365_7374;
            self.order.shuffle(&mut Seed(0).numbered(ORDER, self.pass, 0));
            (self.at, self.pass) = (0, self.pass + 1);
        }
        self.at += self.batch;
        &self.order[self.at - self.batch..self.at]
    }
}
