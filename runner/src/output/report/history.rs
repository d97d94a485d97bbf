//! The curves of a run, collected from its events.

use std::collections::BTreeMap;

use secateur::pruning::Counted;
use secateur::pruning::measure::{Histogram, LayerBurden};
use secateur::training::event::{Event, GroupSize};

use super::collected::Collected;
use crate::output::pictures::Shown;
use crate::output::share::{counted, of_what};

/// A point of a curve: position in epochs (or steps, where the epoch's length is not known) and value.
pub type Point = (f64, f64);

/// Everything that the report draws.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Unit groups of the dense network, in its order.
    pub layers: Vec<GroupSize>,
    /// Weights or units of each parameter or unit group that may be pruned, before anything was.
    pub prunable: BTreeMap<String, usize>,
    /// Steps in one epoch; 0 where unknown.
    pub steps_per_epoch: u64,
    /// The last position.
    pub end: f64,
    /// Training loss by epoch, or by reported step where no epoch was finished.
    pub train_loss: Vec<Point>,
    /// Training accuracy, likewise.
    pub train_accuracy: Vec<Point>,
    /// Learning rate at the steps that were reported.
    pub learning_rate: Vec<Point>,
    /// Which held-out split was measured during the run.
    pub held_out: String,
    /// The loss on that split.
    pub held_out_loss: Vec<Point>,
    /// The accuracy on that split; two points at each pruning step, before and after it.
    pub held_out_accuracy: Vec<Point>,
    /// Loss on test data at the end of the run.
    pub final_loss: Vec<Point>,
    /// Accuracy on test data at the end of the run.
    pub final_accuracy: Vec<Point>,
    /// The pruning steps; of very many every nth.
    pub prunes: Vec<PruneStep>,
    /// How many pruning steps there were.
    pub pruned_times: u64,
    /// Burden indicators by epoch.
    pub burden: Vec<(f64, Vec<LayerBurden>)>,
    /// What a person should know who set the run up.
    pub notes: Vec<String>,
    /// What was drawn, in order.
    pub pictures: Vec<Shown>,
}

/// A pruning step and what it cost.
#[derive(Clone, Debug)]
pub struct PruneStep {
    /// Its position in the run.
    pub at: f64,
    /// The optimizer step that it followed.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: u64,
    /// The sparsity asked for, unless the criterion decided itself.
    pub target: Option<f64>,
    /// The most that a schedule which goes by what is measured had planned.
    pub planned: Option<f64>,
    /// The sparsity counted afterwards.
    pub achieved: f64,
    /// What the two are fractions of, where that is known.
    pub counted: Option<Counted>,
    /// Units in use, by group.
    pub units: BTreeMap<String, usize>,
    /// Weights or units that remain of each parameter or unit group that may be pruned.
    pub kept: BTreeMap<String, usize>,
    /// Weights remaining.
    pub weights_kept: usize,
    /// Weights of the dense network.
    pub weights_total: usize,
    /// Weights or units that were pruned.
    pub pruned: usize,
    /// Weights or units that came back.
    pub regrown: usize,
    /// Wall-clock time of scoring and pruning.
    pub seconds: f64,
    /// Held-out accuracy just before and just after, where both were measured.
    pub accuracy: Option<(f64, f64)>,
    /// The weights before and after, where they were counted.
    pub weights: Option<Histogram>,
}

impl History {
    /// Reads the lines of `events.jsonl` one by one, and keeps what can be drawn: however long the run was, it takes no
    /// more room.
    pub fn of<L: AsRef<str>>(lines: impl Iterator<Item = L>) -> Self {
        let mut collected = Collected::default();
        for line in lines {
            if let Ok(event) = serde_json::from_str(line.as_ref()) {
                collected.take(event);
            }
            collected.history.pictures.extend(Shown::in_line(line.as_ref()));
        }
        collected.end()
    }

    /// What the sparsities are fractions of, in words.
    pub fn of_what(&self) -> &'static str {
        of_what(self.prunes.first().and_then(|prune| prune.counted))
    }

    /// The name of the horizontal axis.
    pub fn axis(&self) -> &'static str {
        if self.steps_per_epoch > 0 { "epoch" } else { "step" }
    }

    /// Units of a group over the run, as the corners of a staircase.
    pub fn units(&self, layer: &GroupSize) -> Vec<Point> {
        let counts = self.prunes.iter().filter_map(|prune| Some((prune.at, *prune.units.get(&layer.name)?)));
        self.staircase(layer.units as f64, counts.map(|(at, units)| (at, units as f64)))
    }

    /// A quantity that changes at pruning steps, as the corners of a staircase.
    pub fn by_prune(&self, start: f64, value: impl Fn(&PruneStep) -> f64) -> Vec<Point> {
        self.staircase(start, self.prunes.iter().map(|prune| (prune.at, value(prune))))
    }

    /// Sparsity of each parameter or unit group that may be pruned; none where events do not say how large these were.
    pub fn sparsity_by_layer(&self) -> Vec<(String, Vec<Point>)> {
        let gone = |name: &str, all: usize| {
            let of = |prune: &PruneStep| Some((prune.at, 1.0 - *prune.kept.get(name)? as f64 / all.max(1) as f64));
            self.staircase(0.0, self.prunes.iter().filter_map(of))
        };
        let pruned = |name: &String| self.prunes.iter().any(|prune| prune.kept.contains_key(name));
        let layers = self.prunable.iter().filter(|(name, _)| pruned(name));
        layers.map(|(name, all)| (name.clone(), gone(name, *all))).collect()
    }

    /// Whether the learning rate changed.
    pub fn has_learning_rates(&self) -> bool {
        self.learning_rate.windows(2).any(|pair| pair[0].1 != pair[1].1)
    }

    /// One curve for each parameter that may be pruned.
    pub fn burden_of(&self, value: impl Fn(&LayerBurden) -> f64) -> Vec<(String, Vec<Point>)> {
        let names = self.burden.first().map_or(&[][..], |(_, layers)| layers);
        let curve = |name: &str| {
            let at =
                |(at, layers): &(f64, Vec<LayerBurden>)| Some((*at, value(layers.iter().find(|l| l.name == name)?)));
            self.burden.iter().filter_map(at).collect()
        };
        names.iter().map(|layer| (layer.name.clone(), curve(&layer.name))).collect()
    }

    /// Weights pruned and weights regrown, by epoch.
    pub fn churn(&self) -> [Vec<Point>; 2] {
        let sum = |value: fn(&LayerBurden) -> usize| {
            self.burden.iter().map(|(at, layers)| (*at, layers.iter().map(value).sum::<usize>() as f64)).collect()
        };
        [sum(|layer| layer.pruned), sum(|layer| layer.regrown)]
    }

    /// Whether accuracy makes sense for this run.
    pub fn has_accuracy(&self) -> bool {
        let curves = [&self.train_accuracy, &self.held_out_accuracy, &self.final_accuracy];
        curves.iter().any(|curve| curve.iter().any(|(_, value)| value.is_finite()))
    }

    /// Whether any units were removed.
    pub fn shrinks(&self) -> bool {
        let start: BTreeMap<&str, usize> = self.layers.iter().map(|layer| (layer.name.as_str(), layer.units)).collect();
        let changed = |(name, units): (&String, &usize)| start.get(name.as_str()).is_some_and(|before| before != units);
        self.prunes.iter().any(|prune| prune.units.iter().any(changed))
    }

    fn staircase(&self, start: f64, changes: impl Iterator<Item = Point>) -> Vec<Point> {
        let mut corners = vec![(0.0, start)];
        let mut value = start;
        for (at, next) in changes {
            corners.extend([(at, value), (at, next)]);
            value = next;
        }
        corners.push((self.end, value));
        corners
    }
}

impl PruneStep {
    /// What an event says, where it is one of a pruning step.
    pub(super) fn of(event: &Event, at: f64, accuracy: Option<(f64, f64)>) -> Option<Self> {
        let &Event::Prune {
            step,
            epoch,
            target,
            planned,
            achieved,
            of,
            ref units,
            ref kept,
            weights_kept,
            weights_total,
            pruned,
            regrown,
            seconds,
            ref weights,
            ..
        } = event
        else {
            return None;
        };
        let (counted, kept, units) = (counted(of, kept, units), kept.clone(), units.0.clone());
        Some(Self {
            at,
            step,
            epoch,
            target,
            planned,
            achieved,
            counted,
            units,
            kept,
            weights_kept,
            weights_total,
            pruned,
            regrown,
            seconds,
            accuracy,
            weights: weights.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = r#"{"event":"start","step":0,"name":"r","params":10,"steps":20,"steps_per_epoch":10,"examples":100,"layers":[{"name":"fc1","units":4}]}
{"event":"epoch","step":9,"epoch":0,"loss":2.0,"accuracy":0.5,"sparsity":0,"seconds":1}
{"event":"eval","step":9,"epoch":0,"split":"validation","loss":2.0,"accuracy":0.6,"at":"before-prune"}
{"event":"prune","step":9,"epoch":0,"target":0.25,"achieved":0.25,"units":{"fc1":3},"weights_kept":8,"weights_total":10,"left":1,"returned":0,"seconds":0.1}
{"event":"eval","step":9,"epoch":0,"split":"validation","loss":3.0,"accuracy":0.4,"at":"after-prune"}
{"event":"step","step":12,"epoch":1,"loss":null,"accuracy":null,"lr":0.1}
{"event":"prune","step":14,"epoch":1,"target":0.5,"achieved":0.5,"units":{"fc1":2},"weights_kept":5,"weights_total":10,"left":1,"returned":0,"seconds":0.1}
{"event":"unheard-of","step":15}
{"event":"eval","step":19,"epoch":1,"split":"test","loss":1.0,"accuracy":0.7,"at":"end"}
{"event":"finish","step":20,"figures":{}}
{"event":"epo"#;

    #[test]
    fn troughs_keep_both_points_and_their_pruning_step() {
        let history = History::of(EVENTS.lines());
        assert_eq!(history.held_out_accuracy, [(1.0, 0.6), (1.0, 0.4)]);
        assert_eq!(history.prunes[0].accuracy, Some((0.6, 0.4)));
        assert_eq!(history.prunes[1].accuracy, None, "nothing was measured around it");
        assert_eq!(history.final_accuracy, [(2.0, 0.7)]);
    }

    #[test]
    fn units_are_a_staircase_to_the_end_of_the_run() {
        let history = History::of(EVENTS.lines());
        let corners = [(0.0, 4.0), (1.0, 4.0), (1.0, 3.0), (1.5, 3.0), (1.5, 2.0), (2.0, 2.0)];
        assert_eq!(history.units(&history.layers[0]), corners);
        assert!(history.shrinks());
    }

    #[test]
    fn layers_become_sparse_each_by_itself_and_learning_rates_are_kept() {
        let start = |step: u64, b: u64| {
            format!(
                r#"{{"event":"start","step":{step},"name":"r","params":10,"steps":20,"steps_per_epoch":10,"examples":9,"layers":[],"prunable":{{"a":4,"b":{b}}}}}"#
            )
        };
        let prune = |step: u64, a: u64, b: u64| {
            format!(
                r#"{{"event":"prune","step":{step},"epoch":0,"target":0.5,"achieved":0.5,"units":{{}},"kept":{{"a":{a},"b":{b}}},"weights_kept":8,"weights_total":10,"pruned":1,"regrown":0,"seconds":0}}"#
            )
        };
        let step = |step: u64, lr: f64| {
            format!(r#"{{"event":"step","step":{step},"epoch":0,"loss":1,"accuracy":null,"lr":{lr}}}"#)
        };
        let events = [start(0, 10), step(0, 0.1), prune(4, 3, 5), start(10, 5), step(10, 0.01), prune(19, 1, 2)];
        let history = History::of(events.iter());
        let curves = history.sparsity_by_layer();
        assert_eq!(
            curves[0],
            ("a".to_owned(), vec![(0.0, 0.0), (0.5, 0.0), (0.5, 0.25), (2.0, 0.25), (2.0, 0.75), (2.0, 0.75)])
        );
        assert_eq!(curves[1].1[3..5], [(2.0, 0.5), (2.0, 0.8)], "of ten, though five were left where it went on");
        assert_eq!(history.learning_rate, [(0.1, 0.1), (1.1, 0.01)]);
        assert!(history.has_learning_rates());
    }

    #[test]
    fn burden_and_churn_are_curves_over_the_epochs() {
        let layer = |name: &str, gradient: f64, left: u64| {
            format!(
                r#"{{"name":"{name}","gradient":{gradient},"gradient_mean":0,"weight":1,"kept":3,"left":{left},"returned":1}}"#
            )
        };
        let line = |step: u64, a: String, b: String| {
            format!(r#"{{"event":"burden","step":{step},"epoch":0,"layers":[{a},{b}]}}"#)
        };
        let events = [line(0, layer("a", 1.0, 4), layer("b", 2.0, 5)), line(1, layer("a", 3.0, 0), layer("b", 4.0, 6))];
        let history = History::of(events.iter());
        let curves = history.burden_of(|layer| layer.gradient);
        assert_eq!(curves[0], ("a".to_owned(), vec![(1.0, 1.0), (2.0, 3.0)]));
        assert_eq!(curves[1].1, [(1.0, 2.0), (2.0, 4.0)]);
        assert_eq!(history.churn(), [vec![(1.0, 9.0), (2.0, 6.0)], vec![(1.0, 2.0), (2.0, 2.0)]]);
    }

    #[test]
    fn nothing_at_all_is_an_empty_history() {
        let history = History::of("".lines());
        assert_eq!((history.end, history.axis(), history.shrinks()), (0.0, "step", false));
    }
}
