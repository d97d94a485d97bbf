//! Settings that cannot act in this run: known once the network, the data and the schedule are.
//!
//! A value that would give something else than was asked is an error before the run. One that merely has no effect is a
//! note, since configs are layered: a base may set `train.momentum`, and an experiment `train.optimizer = "adam"`.

use super::Setting;
use crate::backend::Backend;
use crate::network::compressor::Stage;
use crate::network::forward::{Compressed, Needs};
use crate::network::layout::{Layout, UnitGroup};
use crate::options::{Idle, OptionSet, keys_for};
use crate::pruning::schedule::RunLength;
use crate::pruning::{Answers, Remark};
use crate::training::evaluate::{Look, layers_of_neurons};
use crate::training::{LrSchedule, TrainConfig};

/// Keys of `[prune]` that act without a pruning step: the network they make is there from the start.
const FROM_THE_START: [&str; 2] = ["start", "start_params"];

impl From<Idle> for Remark {
    fn from(idle: Idle) -> Self {
        Self { keys: idle.keys(), text: idle.to_string() }
    }
}

impl<B: Backend> Setting<'_, B> {
    /// What is set and cannot act, one note a key; `look` is what a forward pass of the network showed, `needs` what
    /// the criterion asks for.
    pub fn idle(&self, layout: &Layout, needs: Needs, look: &Look) -> Vec<Remark> {
        let mut all: Vec<Remark> = self.start_notes(layout);
        let mut train: Vec<Idle> = self.train.idle().iter().map(|idle| idle.under("train")).collect();
        let prunes = self.timeline.count() > 0;
        if !prunes {
            train.retain(|idle| idle.key != "train.fresh_optimizer");
        }
        all.extend(train.into_iter().map(Remark::from));
        if prunes {
            all.extend(self.prune.idle().iter().map(|idle| idle.under("prune").into()));
            all.extend(self.prune.idle_in(layout).into_iter().map(Remark::from));
            all.extend(self.grow.idle().iter().map(|idle| idle.under("grow").into()));
            all.extend(self.growth_notes());
            all.extend(self.sparse_note(layout));
        } else {
            all.extend(self.nothing_is_pruned());
        }
        let noted = |all: &[Remark], key: &str| all.iter().any(|note| note.keys.first().is_some_and(|k| k == key));
        let more = self
            .loss_notes(look)
            .into_iter()
            .chain(self.activations_note(look))
            .chain(self.rate_notes())
            .chain(self.stop_notes())
            .chain(self.rounds_note(needs));
        let more: Vec<Remark> = more.chain(self.rewind_note()).chain(self.batch_note()).collect();
        for note in more {
            if note.keys.first().is_none_or(|key| !noted(&all, key)) {
                all.push(note);
            }
        }
        all.extend(self.compressor_note(look.compressed));
        all.extend(self.forecast.remarks.iter().cloned());
        all
    }

    /// What is set and cannot act beside a criterion that answered like this.
    pub fn idle_beside(&self, answers: Answers) -> Vec<Remark> {
        let changed = self.prune.changed();
        let mut all = vec![];
        let reduce = changed.iter().find(|(key, _)| *key == "reduce" && answers.units && !answers.weights);
        all.extend(reduce.map(|(_, value)| {
            let text = format!("prune.reduce = {value} does nothing here: the criterion scores units, not weights.");
            Remark::new(&["prune.reduce", "criterion.name"], text)
        }));
        if answers.decisions {
            let keys = [
                "scope",
                "table",
                "counts",
                "max_sparsity",
                "min_sparsity",
                "multiple",
                "normalize",
                "rounding",
                "rounds",
            ];
            let idle = changed.iter().filter(|(key, _)| keys.contains(key));
            let idle: Vec<(String, &String)> = idle.map(|(key, value)| (format!("prune.{key}"), value)).collect();
            let also: String = idle.iter().map(|(key, value)| format!(", nor does {key} = {value}")).collect();
            let text = format!(
                "The criterion decides itself which weights go: the schedule says only when, and its sparsity does \
                 nothing here{also}."
            );
            let keys = idle.into_iter().map(|(key, _)| key);
            let keys = ["schedule.name", "criterion.name"].map(str::to_owned).into_iter().chain(keys).collect();
            all.push(Remark { keys, text });
        }
        all
    }

    fn start_notes(&self, layout: &Layout) -> Vec<Remark> {
        let mut all = vec![];
        for (name, units) in &self.prune.start {
            let speaks = |group: &&UnitGroup| keys_for(self.prune.start.keys(), &group.name).contains(&name);
            let mut groups = layout.groups.iter().filter(speaks);
            if groups.all(|group| group.dense_units == *units) {
                let key = crate::options::key_in("prune.start", name);
                let text = format!("{key} = {units} does nothing here: the model has that many units without it.");
                all.push(Remark::new(&[&key, "model.name"], text));
            }
        }
        let whole = layout.groups.iter().all(|group| group.units == group.dense_units);
        if let Some(budget) = self.prune.start_params.filter(|_| whole) {
            let text = format!(
                "prune.start_params = {budget} does nothing here: the model has {} parameters without it.",
                layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.iter().product::<usize>()).sum::<usize>()
            );
            all.push(Remark::new(&["prune.start_params", "model.name"], text));
        }
        all
    }

    /// One sentence for all that only pruning steps would make use of.
    fn nothing_is_pruned(&self) -> Option<Remark> {
        let prune = self.prune.changed().into_iter().filter(|(key, _)| !FROM_THE_START.contains(key));
        let prune = prune.map(|(key, value)| (format!("prune.{key}"), value));
        let train = self
            .train
            .changed()
            .into_iter()
            .filter(|(key, _)| ["eval_prunes", "fresh_optimizer", "sparse"].contains(key));
        let grow = self.grow.changed().into_iter().map(|(key, value)| (format!("grow.{key}"), value));
        let all: Vec<(String, String)> =
            prune.chain(grow).chain(train.map(|(key, value)| (format!("train.{key}"), value))).collect();
        let shown: Vec<String> = all.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let verb = if shown.len() == 1 { "does" } else { "do" };
        let text = format!("{} {verb} nothing here: the schedule prunes at no step of this run.", shown.join(", "));
        let keys = all.into_iter().map(|(key, _)| key).chain(std::iter::once("schedule.name".to_owned())).collect();
        (!shown.is_empty()).then_some(Remark { keys, text })
    }

    /// Rules that end training, where none of its epochs could be the last one by them.
    fn stop_notes(&self) -> Vec<Remark> {
        let last = self.timeline.prunes.iter().map(|(step, _)| step.0 + 1).max().unwrap_or(0);
        let per_epoch = self.length.steps_per_epoch;
        // The first epoch after all pruning steps; the lowest loss of its own, from which flat epochs are counted.
        let first = last.div_ceil(per_epoch) + 1;
        let never = |more: u64| first.saturating_add(more).saturating_mul(per_epoch) >= self.length.steps;
        let told = |(key, value): (&str, String)| {
            let text = format!(
                "train.{key} = {value} does nothing here: no epoch before the last one comes after all pruning steps."
            );
            Remark::new(&[&format!("train.{key}"), "train.epochs", "schedule.name"], text)
        };
        let asked = |(key, _): &(&str, String)| match *key {
            "stop_loss" => never(0),
            "stop_flat" => never(self.train.stop_flat),
            _ => false,
        };
        self.train.changed().into_iter().filter(asked).map(told).collect()
    }

    fn loss_notes(&self, look: &Look) -> Vec<Remark> {
        let own = |(key, value): (&str, String)| {
            let text = format!("train.{key} = {value} does nothing here: the model has a loss of its own.");
            Remark::new(&[&format!("train.{key}"), "model.name"], text)
        };
        let asked =
            |(key, _): &(&str, String)| look.own_loss && ["loss", "label_smoothing", "eval_train"].contains(key);
        self.train.changed().into_iter().filter(asked).map(own).collect()
    }

    fn activations_note(&self, look: &Look) -> Option<Remark> {
        let asked = self.train.eval_activations;
        (asked > 0 && layers_of_neurons(&look.layers).is_empty()).then(|| {
            let text = format!(
                "train.eval_activations = {asked} does nothing here: no layer before the last one has an activation."
            );
            Remark::new(&["train.eval_activations", "model.name"], text)
        })
    }

    /// Learning rates that never become what the keys say.
    fn rate_notes(&self) -> Vec<Remark> {
        let TrainConfig { epochs, lr, lr_warmup, lr_schedule, lr_step, lr_gamma, lr_min, .. } = self.train;
        let warmup = lr_warmup * self.length.steps_per_epoch as f64;
        if lr_warmup > 0.0 && warmup >= self.length.steps as f64 {
            let text = format!(
                "train.lr_warmup = {lr_warmup} takes all of the run's {epochs} epochs: train.lr = {lr} is reached at its \
                 end at most, and train.lr_schedule never begins."
            );
            return vec![Remark::new(&["train.lr_warmup", "train.epochs", "train.lr_schedule"], text)];
        }
        // A rate only falls within a round.
        let mut ends = self.timeline.round_ends();
        let same = |step| {
            let (step, steps) = self.timeline.in_round(step);
            (self.train.lr_at(step, &RunLength { steps, ..self.length }) - lr).abs() <= 1e-12 * lr
        };
        if lr_schedule == LrSchedule::Constant || !ends.all(same) {
            return vec![];
        }
        let (why, key) = match lr_schedule {
            LrSchedule::Step if lr_gamma == 1.0 => ("train.lr_gamma is 1".to_owned(), "train.lr_gamma"),
            LrSchedule::Step => {
                (format!("its first step comes after {lr_step} epochs, and train.epochs is {epochs}"), "train.lr_step")
            }
            _ if lr_min >= lr => (format!("train.lr_min is {lr_min}, and so is train.lr"), "train.lr_min"),
            _ => (format!("the run has {} steps", self.length.steps), "train.epochs"),
        };
        let name = if lr_schedule == LrSchedule::Step { "step" } else { "cosine" };
        let text = format!("train.lr_schedule = \"{name}\" does nothing here: {why}.");
        vec![Remark::new(&["train.lr_schedule", key, "train.epochs"], text)]
    }

    fn rounds_note(&self, needs: Needs) -> Option<Remark> {
        let idle = self.prune.rounds > 1 && self.timeline.count() > 0 && !needs.has(Needs::PROBE);
        idle.then(|| {
            let text = format!(
                "prune.rounds = {} does nothing here: the criterion asks the network nothing between two rounds, so its \
                 scores do not change.",
                self.prune.rounds
            );
            Remark::new(&["prune.rounds", "criterion.name"], text)
        })
    }

    fn rewind_note(&self) -> Option<Remark> {
        let prunes = &self.timeline.prunes;
        let rewinds = self.timeline.start.is_none()
            && !prunes.is_empty()
            && prunes.iter().all(|(step, _)| self.timeline.rewind(*step).is_some());
        (self.train.fresh_optimizer && rewinds).then(|| {
            let text = "train.fresh_optimizer = true does nothing here: every pruning step of the schedule rewinds, and \
                        a rewind forgets the optimizer's state anyway.";
            Remark::new(&["train.fresh_optimizer", "schedule.name"], text.to_owned())
        })
    }

    fn batch_note(&self) -> Option<Remark> {
        let (asked, there) = (self.train.batch_size, self.data.train.len());
        let set = self.train.changed().iter().any(|(key, _)| *key == "batch_size");
        (set && asked > there).then(|| {
            let text = format!(
                "train.batch_size = {asked} is more than the {there} training examples: every step sees all of them."
            );
            Remark::new(&["train.batch_size", "data.train_limit"], text)
        })
    }

    fn compressor_note(&self, compressed: Compressed) -> Option<Remark> {
        let text = match compressed {
            Compressed::Fewer | Compressed::NotSeen => return None,
            Compressed::AsMany => "The compressor does nothing here: it merges no token.",
            Compressed::NotAsked if !active_anywhere(self) => return None,
            Compressed::NotAsked => {
                "The compressor does nothing here: the model has no stage at which it would be asked, as a vision \
                 transformer has before its encoder and in its blocks."
            }
        };
        Some(Remark::new(&["compressor.name", "model.name"], text.to_owned()))
    }
}

/// Whether there is a stage at which the compressor may change anything.
fn active_anywhere<B: Backend>(setting: &Setting<'_, B>) -> bool {
    let blocks = (1..=16).flat_map(|of| (0..of).map(move |index| Stage::Block { index, of }));
    std::iter::once(Stage::BeforeEncoder).chain(blocks).any(|at| setting.compressor.is_active(at))
}
