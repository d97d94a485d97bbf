//! Densities of what was tried, between 0 and 1: Parzen windows of numbers (Bergstra et al. 2011, section 4), and counts of
//! choices.
//!
//! Each number is the middle of a normal distribution cut off at 0 and 1, as wide as the distance to the farther of its
//! neighbours, 0 and 1 being neighbours too, but at least 1 / min(100, n + 2) and at most 1, where n is how many
//! there are. One more stands at 1/2 with a width of 1, and is nobody's neighbour: what is known before anything was
//! tried. All have the same weight. These are the windows of optuna's `TPESampler` with
//! `consider_endpoints` and `consider_magic_clip`, to which a test compares them.

use rand::{Rng, RngExt};
use statrs::function::erf::erf;

/// A density over numbers from 0 to 1.
pub struct Windows {
    /// The middle and the width of each.
    of: Vec<(f64, f64)>,
}

impl Windows {
    /// The windows of some numbers from 0 to 1.
    pub fn of(places: impl Iterator<Item = f64>) -> Self {
        const PRIOR: (f64, f64) = (0.5, 1.0);
        let mut sorted: Vec<f64> = places.collect();
        sorted.sort_by(f64::total_cmp);
        let least = 1.0 / (2.0 + sorted.len() as f64).min(100.0);
        let window = |at: usize| {
            let place = sorted[at];
            let before = if at == 0 { 0.0 } else { sorted[at - 1] };
            let after = sorted.get(at + 1).copied().unwrap_or(1.0);
            (place, (place - before).max(after - place).clamp(least, 1.0))
        };
        Self { of: (0..sorted.len()).map(window).chain([PRIOR]).collect() }
    }

    /// The logarithm of the density at a place.
    pub fn log_density(&self, place: f64) -> f64 {
        let one = |(middle, width): &(f64, f64)| {
            let z = (place - middle) / width;
            (-0.5 * z * z).exp() / (width * std::f64::consts::TAU.sqrt() * inside(*middle, *width))
        };
        (self.of.iter().map(one).sum::<f64>() / self.of.len() as f64).ln()
    }

    /// A number drawn from it.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        let (middle, width) = self.of[((rng.random::<f64>() * self.of.len() as f64) as usize).min(self.of.len() - 1)];
        loop {
            // Box & Muller 1958. A third of each window lies inside at least, so that this ends soon.
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            let place = middle + width * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            if (0.0..1.0).contains(&place) {
                return place;
            }
        }
    }
}

/// How much of a normal distribution lies between 0 and 1.
fn inside(middle: f64, width: f64) -> f64 {
    let below = |place: f64| 0.5 * (1.0 + erf((place - middle) / (width * std::f64::consts::SQRT_2)));
    below(1.0) - below(0.0)
}

/// The probabilities of choices, by how often each was taken.
///
/// As optuna has it: each time it was taken, a choice has its own 1 and every choice 1 / (n + 1), divided by the sum of these, and
/// once more all choices are alike; n is how many were taken.
pub struct Counts(Vec<f64>);

impl Counts {
    /// Those of choices that were taken, by their places.
    pub fn of(choices: usize, taken: impl Iterator<Item = usize>) -> Self {
        let mut counts = vec![0.0; choices];
        taken.for_each(|choice| counts[choice] += 1.0);
        let (all, n) = (choices as f64, counts.iter().sum::<f64>());
        let each = 1.0 / (n + 1.0);
        let weight = |count: f64| ((n * each + count) / (1.0 + all * each) + 1.0 / all) * each;
        Self(counts.into_iter().map(weight).collect())
    }

    /// The logarithm of the probability of a choice.
    pub fn log_density(&self, choice: usize) -> f64 {
        self.0[choice].ln()
    }

    /// A choice drawn from it.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let mut left = rng.random::<f64>();
        for (choice, probability) in self.0.iter().enumerate() {
            left -= probability;
            if left < 0.0 {
                return choice;
            }
        }
        self.0.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use secateur::seed::Seed;
    use serde::Deserialize;

    use super::*;

    /// What `parzen.py` found.
    const GOLDEN: &str = include_str!("parzen.json");

    #[derive(Deserialize)]
    struct Golden {
        spans: Vec<OfSpan>,
        choices: Vec<OfChoices>,
    }

    #[derive(Deserialize)]
    struct OfSpan {
        places: Vec<f64>,
        at: Vec<f64>,
        log_density: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct OfChoices {
        taken: Vec<usize>,
        log_density: Vec<f64>,
    }

    #[test]
    fn densities_are_those_of_optuna() {
        let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!((golden.spans.len(), golden.choices.len()), (6, 4));
        for OfSpan { places, at, log_density } in golden.spans {
            let windows = Windows::of(places.iter().copied());
            for (at, expected) in at.iter().zip(log_density) {
                let found = windows.log_density(*at);
                assert!((found - expected).abs() < 1e-6, "{} places at {at}: {found} {expected}", places.len());
            }
        }
        for OfChoices { taken, log_density } in golden.choices {
            let counts = Counts::of(4, taken.iter().copied());
            let found: Vec<f64> = (0..4).map(|choice| counts.log_density(choice)).collect();
            assert!(
                found.iter().zip(&log_density).all(|(a, b)| (a - b).abs() < 1e-6),
                "{taken:?}: {found:?} {log_density:?}"
            );
        }
    }

    #[test]
    fn what_is_drawn_has_the_density() {
        let (windows, counts) = (Windows::of([0.2, 0.25, 0.9].into_iter()), Counts::of(3, [1, 1, 2].into_iter()));
        let mut rng = Seed(1).stream("test", &[]);
        let (mut cells, mut choices) = ([0.0; 4], [0.0; 3]);
        for _ in 0..20_000 {
            cells[(windows.draw(&mut rng) * 4.0) as usize] += 1.0 / 20_000.0;
            choices[counts.draw(&mut rng)] += 1.0 / 20_000.0;
        }
        for (cell, found) in cells.iter().enumerate() {
            let at = |nth: usize| windows.log_density((cell as f64 + (nth as f64 + 0.5) / 200.0) / 4.0).exp() / 800.0;
            let expected: f64 = (0..200).map(at).sum();
            assert!((found - expected).abs() < 0.015, "{cell}: {found} {expected}");
        }
        for (choice, found) in choices.iter().enumerate() {
            assert!((found - counts.log_density(choice).exp()).abs() < 0.015, "{choice}: {found}");
        }
    }
}
