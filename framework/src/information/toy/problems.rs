//! Every data set of the toy, each training problem once.

use super::network::{CORNERS, Counts};
use crate::error::{Error, Result};
use serde::Serialize;

/// How a data set is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draw {
    /// Points and labels independently, each uniform: a point may come several times, with both labels. Of six points
    /// there are 16^6 equally likely data sets, in an order that full-batch training does not see; so 54,264 training
    /// problems, each as likely as it has orders.
    Independent,
    /// Different points, each with a label: of six points, 28 choices of eight with 64 labellings, all equally likely.
    Distinct,
}

/// Every training problem, with the number of equally likely data sets that pose it.
#[derive(Debug, Clone)]
pub struct Problems {
    points: usize,
    all: Vec<(Counts, u64)>,
}

impl Problems {
    /// All data sets of so many points.
    ///
    /// # Errors
    /// None, more than eight different ones, or more problems than fit.
    pub fn new(points: usize, draw: Draw) -> Result<Self> {
        let refused = |allowed: &str| Err(Error::Config(format!("points is {points}\n  allowed: {allowed}")));
        let mut all = vec![];
        match draw {
            _ if points == 0 => return refused("at least 1"),
            Draw::Distinct if points > CORNERS => return refused("at most 8 different points"),
            Draw::Independent if points > 9 => return refused("at most 9, which pose 1.3 million training problems"),
            Draw::Distinct => distinct(points, 0, Counts::default(), &mut all),
            Draw::Independent => independent(points, 0, Counts::default(), &mut all),
        }
        let all = all.into_iter().map(|counts| (counts, if draw == Draw::Distinct { 1 } else { orders(&counts) }));
        Ok(Self { points, all: all.collect() })
    }

    /// Points of a data set.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Training problems.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none; there always is one.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Data sets.
    pub fn data_sets(&self) -> u64 {
        self.times().sum()
    }

    /// The equally likely data sets that pose each problem.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        self.all.iter().map(|(_, times)| *times)
    }

    /// How often each corner of the cube has each label.
    pub(super) fn counts(&self) -> impl Iterator<Item = &Counts> {
        self.all.iter().map(|(counts, _)| counts)
    }
}

/// `left` of the corners from `from` on, each with either label.
fn distinct(left: usize, from: usize, counts: Counts, all: &mut Vec<Counts>) {
    if left == 0 {
        return all.push(counts);
    }
    for corner in from..=CORNERS - left {
        for label in [0, 1] {
            let mut more = counts;
            more[corner][label] += 1;
            distinct(left - 1, corner + 1, more, all);
        }
    }
}

/// `left` of the sixteen corners with labels, from the `from`th on, with repetition.
fn independent(left: usize, from: usize, counts: Counts, all: &mut Vec<Counts>) {
    if left == 0 {
        return all.push(counts);
    }
    for atom in from..2 * CORNERS {
        let mut more = counts;
        more[atom / 2][atom % 2] += 1;
        independent(left - 1, atom, more, all);
    }
}

/// In how many orders such points can be drawn: the multinomial coefficient.
fn orders(counts: &Counts) -> u64 {
    let factorial = |n: u64| (2..=n).product::<u64>();
    let all = counts.as_flattened();
    all.iter().fold(factorial(all.iter().map(|n| u64::from(*n)).sum()), |orders, n| orders / factorial(u64::from(*n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_data_set_is_counted_once() {
        for (points, draw, problems, data_sets) in [
            (6, Draw::Independent, 54_264, 16_u64.pow(6)),
            (2, Draw::Independent, 136, 256),
            (6, Draw::Distinct, 28 * 64, 28 * 64),
            (8, Draw::Distinct, 256, 256),
        ] {
            let found = Problems::new(points, draw).unwrap();
            assert_eq!((found.len(), found.data_sets()), (problems, data_sets), "{draw:?} of {points}");
            assert_eq!(found.counts().collect::<HashSet<_>>().len(), problems, "each problem once");
            let points_of = |counts: &Counts| counts.as_flattened().iter().map(|n| usize::from(*n)).sum::<usize>();
            assert!(found.counts().all(|counts| points_of(counts) == points));
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (points, draw) in [(0, Draw::Independent), (9, Draw::Distinct), (10, Draw::Independent)] {
            let text = Problems::new(points, draw).unwrap_err().to_string();
            assert!(text.contains("points is") && text.contains("allowed: at "), "{text}");
        }
    }
}
