//! A run's curves as columns of numbers, for pages that draw many runs.

use super::history::{self, History};

/// How the lines of these events begin.
const STEP: &str = r#"{"event":"step","#;
const EPOCH: &str = r#"{"event":"epoch","#;

/// Digits that a page draws.
const DIGITS: i32 = 4;

/// Numbers, one for each point or pruning step; NaN where it is not known.
pub type Column = Vec<f64>;

/// The curves and pruning steps of a run. Columns of one table are equally long, or empty where nothing is known.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// What places are counted in: `epoch` or `step`.
    pub axis: &'static str,
    /// What sparsities are fractions of, in words.
    pub of: &'static str,
    /// Which held-out split was measured.
    pub split: String,
    /// The last place.
    pub end: f64,
    /// Places, losses and accuracies of training.
    pub train: [Column; 3],
    /// The same of held-out data.
    pub held_out: [Column; 3],
    /// Places, epochs, steps, targets, achieved sparsities and remaining weights of the pruning steps.
    pub prunes: [Column; 6],
    /// How many pruning steps there were.
    pub pruned: u64,
}

impl Curves {
    /// Reads the lines of a run's `events.jsonl`, and keeps about so many points of each curve at most; a run without
    /// events has empty curves.
    pub fn of<L: AsRef<str>>(lines: impl Iterator<Item = L>, most: usize) -> Self {
        // Steps are most of the lines, and are drawn only where there is no epoch.
        let mut epochs = false;
        let history = History::of(lines.filter(|line| {
            epochs |= line.as_ref().starts_with(EPOCH);
            !epochs || !line.as_ref().starts_with(STEP)
        }));
        let curve = |loss: &[history::Point], accuracy: &[history::Point]| {
            let places = loss.iter().map(|(at, _)| *at).collect();
            let values = |curve: &[history::Point]| curve.iter().map(|(_, value)| *value).collect();
            [places, values(loss), values(accuracy)].map(|column| drawn(column, most))
        };
        let (prunes, unknown) = (&history.prunes, f64::NAN);
        let of_prunes = |value: &dyn Fn(&history::PruneStep) -> f64| drawn(prunes.iter().map(value).collect(), most);
        Self {
            axis: history.axis(),
            of: history.of_what(),
            split: history.held_out.clone(),
            end: rounded(history.end, DIGITS),
            pruned: history.pruned_times,
            train: curve(&history.train_loss, &history.train_accuracy),
            held_out: curve(&history.held_out_loss, &history.held_out_accuracy),
            prunes: [
                of_prunes(&|prune| prune.at),
                // Counts are read in a table, and keep all of their digits.
                thinned(&prunes.iter().map(|prune| prune.epoch as f64).collect::<Vec<_>>(), most),
                thinned(&prunes.iter().map(|prune| prune.step as f64).collect::<Vec<_>>(), most),
                of_prunes(&|prune| prune.target.unwrap_or(unknown)),
                of_prunes(&|prune| prune.achieved),
                thinned(&prunes.iter().map(|prune| prune.weights_kept as f64).collect::<Vec<_>>(), most),
            ],
        }
    }
}

/// A column as it is drawn; empty where it holds no number.
fn drawn(column: Column, most: usize) -> Column {
    if !column.iter().any(|value| value.is_finite()) {
        return Column::new();
    }
    thinned(&column, most).into_iter().map(|value| rounded(value, DIGITS)).collect()
}

/// Every nth entry, and the last: about so many at most.
pub fn thinned(all: &[f64], most: usize) -> Column {
    let (stride, last) = (stride(all.len(), most), all.len().saturating_sub(1));
    all.iter().enumerate().filter(|(i, _)| i % stride == 0 || *i == last).map(|(_, value)| *value).collect()
}

/// How many entries [`thinned`] keeps of so many.
pub fn kept(count: usize, most: usize) -> usize {
    let stride = stride(count, most);
    count.div_ceil(stride) + usize::from(count > 0 && !(count - 1).is_multiple_of(stride))
}

fn stride(count: usize, most: usize) -> usize {
    count.div_ceil(most.max(1)).max(1)
}

/// A number with so many digits that count; one without a fraction keeps all of its own.
pub fn rounded(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = digits - 1 - value.abs().log10().floor() as i32;
    if digits <= 0 { value.round() } else { format!("{value:.*}", digits as usize).parse().unwrap_or(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_small_and_have_their_ends() {
        let line = |step: u64| {
            let loss = 1.0 / (step as f64 + 3.0);
            format!(
                r#"{{"event":"epoch","step":{step},"epoch":{step},"loss":{loss},"accuracy":null,"sparsity":0,"seconds":1}}"#
            )
        };
        let curves = Curves::of((0..1000).map(line), 50);
        let [places, losses, accuracies] = &curves.train;
        assert!((25..=51).contains(&places.len()) && losses.len() == places.len(), "{}", places.len());
        assert_eq!((places[0], places.last()), (1.0, Some(&1000.0)));
        assert_eq!(losses[0], 0.3333);
        assert_eq!((accuracies.len(), curves.held_out.iter().map(Vec::len).sum::<usize>()), (0, 0));
    }

    #[test]
    fn what_is_kept_is_counted_before_it_is_cut() {
        for count in [0, 1, 2, 7, 8, 9, 31, 200, 1200] {
            for most in [1, 4, 8, 11, 120] {
                let all: Vec<f64> = (0..count).map(|i| i as f64).collect();
                let found = thinned(&all, most);
                assert_eq!(found.len(), kept(count, most), "{count} {most}");
                assert!(found.len() <= most + 1 && (found.first(), found.last()) == (all.first(), all.last()));
            }
        }
    }

    #[test]
    fn numbers_keep_the_digits_that_can_be_seen() {
        let all = [0.0, 0.123_456, 1234.5678, 123_456.0, 1e-7 / 3.0, -2.0 / 3.0].map(|value| rounded(value, 4));
        assert_eq!(all, [0.0, 0.1235, 1235.0, 123_456.0, 3.333e-8, -0.6667]);
    }
}
