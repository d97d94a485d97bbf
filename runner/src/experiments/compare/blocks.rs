//! Runs of two groups beside each other: by setting and seed, and then seed by seed.
//!
//! The seed is what is drawn again, so that it alone makes repetitions: a difference is one number for each seed, the mean
//! over the settings that both groups were run in. Five seeds in each of four settings are five, not twenty. Every
//! setting stands beside every seed that counts, or the settings would not weigh alike.

use std::collections::{BTreeMap, BTreeSet};

use crate::experiments::statistics::mean;

/// A setting and a seed, each as the values of its keys.
pub type Place<'a> = (Vec<&'a str>, &'a str);

/// The runs of both groups in one setting with one seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// Those of the first group.
    pub ours: Vec<usize>,
    /// Those of the second.
    pub theirs: Vec<usize>,
}

/// What two groups have in common.
#[derive(Clone, Debug, Default)]
pub struct Blocks<'a> {
    /// Runs by setting and seed: every setting with every seed.
    pub paired: BTreeMap<Place<'a>, Both>,
    /// Places that only the first group has.
    pub ours_only: Vec<Place<'a>>,
    /// Places that only the second has.
    pub theirs_only: Vec<Place<'a>>,
    /// Places that both have, left out because others of that setting, or with that seed, are missing.
    pub uneven: Vec<Place<'a>>,
}

impl<'a> Blocks<'a> {
    /// Sorts places into those that count and those that do not.
    pub fn of(places: BTreeMap<Place<'a>, Both>) -> Self {
        let mut blocks = Self::default();
        for (place, both) in places {
            match (both.ours.is_empty(), both.theirs.is_empty()) {
                (false, false) => _ = blocks.paired.insert(place, both),
                (false, true) => blocks.ours_only.push(place),
                (true, false) => blocks.theirs_only.push(place),
                (true, true) => {}
            }
        }
        blocks.even();
        blocks
    }

    /// Takes away the setting or the seed that lacks most, until every setting stands beside every seed.
    fn even(&mut self) {
        loop {
            let settings: BTreeSet<&Vec<&str>> = self.paired.keys().map(|(setting, _)| setting).collect();
            let seeds: BTreeSet<&str> = self.paired.keys().map(|(_, seed)| *seed).collect();
            if self.paired.len() == settings.len() * seeds.len() {
                return;
            }
            let lacking = |there: usize, of: usize| (of - there) as f64 / of as f64;
            let count = |test: &dyn Fn(&Place<'_>) -> bool| self.paired.keys().filter(|place| test(place)).count();
            // Of those that lack equally much, the last: seeds after settings.
            let mut worst: (f64, Option<Vec<&str>>, Option<&str>) = (0.0, None, None);
            for setting in &settings {
                let lacks = lacking(count(&|place| place.0 == **setting), seeds.len());
                if lacks >= worst.0 {
                    worst = (lacks, Some((*setting).clone()), None);
                }
            }
            for seed in &seeds {
                let lacks = lacking(count(&|place| place.1 == *seed), settings.len());
                if lacks >= worst.0 {
                    worst = (lacks, None, Some(*seed));
                }
            }
            let (_, setting, seed) = worst;
            let goes = |place: &Place<'_>| setting.as_ref() == Some(&place.0) || seed == Some(place.1);
            let gone: Vec<Place<'a>> = self.paired.keys().filter(|place| goes(place)).cloned().collect();
            for place in &gone {
                self.paired.remove(place);
            }
            self.uneven.extend(gone);
        }
    }

    /// How many settings there are.
    pub fn settings(&self) -> usize {
        self.paired.keys().map(|(setting, _)| setting).collect::<BTreeSet<_>>().len()
    }

    /// Both groups' values, seed by seed; a seed without a value in some place is left out.
    pub fn by_seed(&self, value: impl Fn(usize) -> Option<f64>) -> Vec<(f64, f64)> {
        let of = |runs: &[usize]| mean(&runs.iter().map(|run| value(*run)).collect::<Option<Vec<f64>>>()?);
        let mut seeds: BTreeMap<&str, Option<Vec<(f64, f64)>>> = BTreeMap::new();
        for ((_, seed), both) in &self.paired {
            let pair = of(&both.ours).zip(of(&both.theirs));
            let all = seeds.entry(seed).or_insert_with(|| Some(Vec::new()));
            *all = all.take().zip(pair).map(|(mut all, pair)| {
                all.push(pair);
                all
            });
        }
        let means = |all: Vec<(f64, f64)>| {
            let (ours, theirs): (Vec<f64>, Vec<f64>) = all.into_iter().unzip();
            mean(&ours).zip(mean(&theirs))
        };
        seeds.into_values().filter_map(|all| means(all?)).collect()
    }

    /// Both groups' values, place by place.
    pub fn by_place(&self, value: impl Fn(usize) -> Option<f64>) -> Vec<(f64, f64)> {
        let of = |runs: &[usize]| mean(&runs.iter().map(|run| value(*run)).collect::<Option<Vec<f64>>>()?);
        self.paired.values().filter_map(|both| of(&both.ours).zip(of(&both.theirs))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<'a>(all: &[(&'a str, &'a str)]) -> BTreeMap<Place<'a>, Both> {
        let both = |n: usize| Both { ours: vec![n], theirs: vec![n + 100] };
        all.iter().enumerate().map(|(n, (setting, seed))| ((vec![*setting], *seed), both(n))).collect()
    }

    #[test]
    fn seeds_are_repetitions_and_settings_are_not() {
        let all: Vec<(&str, &str)> =
            ["a", "b", "c"].into_iter().flat_map(|setting| ["0", "1"].map(|seed| (setting, seed))).collect();
        let blocks = Blocks::of(places(&all));
        assert_eq!((blocks.settings(), blocks.uneven.len()), (3, 0));
        let values = blocks.by_seed(|run| Some(run as f64));
        assert_eq!(values, [(2.0, 102.0), (3.0, 103.0)], "runs 0, 2, 4 have seed 0");
        assert_eq!(blocks.by_place(|run| Some(run as f64)).len(), 6);
        assert_eq!(blocks.by_seed(|run| (run != 4).then_some(0.5)), [(0.5, 0.5)]);
    }

    #[test]
    fn a_seed_that_some_setting_lacks_does_not_count() {
        let all = [("a", "0"), ("a", "1"), ("a", "2"), ("b", "0"), ("b", "1")];
        let blocks = Blocks::of(places(&all));
        assert_eq!(blocks.uneven, [(vec!["a"], "2")]);
        assert_eq!((blocks.paired.len(), blocks.settings()), (4, 2));
        // A setting with one seed of five costs less than the four seeds that it lacks.
        let all = [("a", "0"), ("a", "1"), ("a", "2"), ("a", "3"), ("a", "4"), ("b", "0")];
        let blocks = Blocks::of(places(&all));
        assert_eq!((blocks.paired.len(), blocks.settings()), (5, 1));
        assert_eq!(blocks.uneven, [(vec!["b"], "0")]);
    }
}
