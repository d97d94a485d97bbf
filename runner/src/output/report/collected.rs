//! A history while its events come, one by one.

use secateur::pruning::measure::LayerBurden;
use secateur::training::event::{EvalAt, Event};

use super::history::{History, Point, PruneStep};
use super::thinned::{Thin, Thinned};

/// A history under way: its curves are thinned as they grow.
#[derive(Default)]
pub struct Collected {
    /// What is known so far.
    pub history: History,
    steps: Curve,
    rates: Thinned<Point>,
    epochs: Curve,
    held_out: Curve,
    prunes: Thinned<PruneStep>,
    burden: Thinned<(f64, Vec<LayerBurden>)>,
    /// The last evaluation: its step and its accuracy.
    last_eval: Option<(u64, f64)>,
    /// The step of the last pruning, while what is measured after it has not come.
    after: Option<u64>,
}

/// Loss and accuracy.
#[derive(Default)]
struct Curve(Thinned<Point>, Thinned<Point>);

impl Curve {
    fn push(&mut self, at: f64, loss: f64, accuracy: Option<f64>) {
        self.0.push((at, loss));
        self.1.push((at, accuracy.unwrap_or(f64::NAN)));
    }
}

impl Thin for Point {}

impl Thin for PruneStep {}

/// Of epochs that are left out, the one in which most weights changed speaks for the others.
impl Thin for (f64, Vec<LayerBurden>) {
    fn absorb(&mut self, other: Self) {
        let changed =
            |layers: &[LayerBurden]| layers.iter().map(|layer| layer.pruned as f64 + layer.regrown as f64).sum::<f64>();
        if changed(&other.1) > changed(&self.1) {
            *self = other;
        }
    }
}

impl Collected {
    /// Takes in one event.
    pub fn take(&mut self, event: Event) {
        // Everything that is reported about a step happened after it.
        let per_epoch = self.history.steps_per_epoch.max(1) as f64;
        let at = |step: u64| (step as f64 + 1.0) / per_epoch;
        match event {
            Event::Start { layers, steps_per_epoch, prunable, .. } => {
                (self.history.layers, self.history.steps_per_epoch) = (layers, steps_per_epoch);
                // A run that goes on says what is left of them.
                for (name, count) in prunable {
                    let most = self.history.prunable.entry(name).or_default();
                    *most = count.max(*most);
                }
            }
            Event::Step { step, loss, accuracy, lr, .. } => {
                self.steps.push(at(step), loss, accuracy);
                self.rates.push((at(step), lr));
            }
            Event::Epoch { step, loss, accuracy, .. } => self.epochs.push(at(step), loss, accuracy),
            Event::Eval { step, loss, accuracy, at: EvalAt::End, .. } => {
                let position = at(step);
                push(&mut self.history.final_loss, position, Some(loss));
                push(&mut self.history.final_accuracy, position, accuracy);
            }
            Event::Eval { step, split, loss, accuracy, .. } => {
                let position = at(step);
                self.history.held_out = split.to_string();
                self.held_out.push(position, loss, accuracy);
                let Some(accuracy) = accuracy else { return };
                if self.after.take_if(|pruned| *pruned == step).is_some()
                    && let Some(prune) = self.prunes.last_mut()
                    && let Some((before, _)) = prune.accuracy
                {
                    prune.accuracy = Some((before, accuracy));
                }
                self.last_eval = Some((step, accuracy));
            }
            Event::Prune { step, .. } => {
                // Stands for "before" alone until the evaluation after it arrives.
                let before = self.last_eval.filter(|(at, _)| *at == step).map(|(_, accuracy)| (accuracy, f64::NAN));
                let position = at(step);
                self.after = Some(step);
                self.history.pruned_times += 1;
                // Logs of earlier versions count epochs from 0.
                let epoch = step / self.history.steps_per_epoch.max(1) + 1;
                let prune = PruneStep::of(&event, position, before);
                prune.into_iter().for_each(|prune| self.prunes.push(PruneStep { epoch, ..prune }));
            }
            Event::Burden { step, layers, .. } => self.burden.push((at(step), layers)),
            Event::Finish { step, .. } => self.history.end = self.history.end.max(at(step.saturating_sub(1))),
            Event::Note { text, .. } => self.history.notes.push(text),
            Event::Latency { .. } | Event::Neurons { .. } | Event::Activations { .. } => {}
        }
    }

    /// The whole history.
    pub fn end(self) -> History {
        let Self { mut history, steps, rates, epochs, held_out, prunes, burden, .. } = self;
        history.learning_rate = rates.into_vec();
        history.prunes = prunes.into_vec();
        for prune in &mut history.prunes {
            prune.accuracy = prune.accuracy.filter(|(_, after)| after.is_finite());
        }
        let train = if epochs.0.is_empty() { steps } else { epochs };
        (history.train_loss, history.train_accuracy) = (train.0.into_vec(), train.1.into_vec());
        (history.held_out_loss, history.held_out_accuracy) = (held_out.0.into_vec(), held_out.1.into_vec());
        history.burden = burden.into_vec();
        let curves = [&history.train_loss, &history.held_out_loss, &history.final_loss];
        let last = curves.iter().filter_map(|curve| curve.last()).map(|(at, _)| *at);
        history.end = last.chain(history.prunes.iter().map(|prune| prune.at)).fold(history.end, f64::max);
        history
    }
}

fn push(curve: &mut Vec<Point>, at: f64, value: Option<f64>) {
    curve.push((at, value.unwrap_or(f64::NAN)));
}
