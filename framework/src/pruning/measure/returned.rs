//! Which of the weights that came back at a pruning step are still there.

use crate::state::Archive;
use std::collections::BTreeMap;

/// Where its flags stand in a checkpoint.
const PREFIX: &str = "regrown";

/// What came back at least once, by parameter or group: a flag for each weight or unit. None where that is not known, since
/// the run went on from a checkpoint that does not say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned(Option<BTreeMap<String, Vec<bool>>>);

impl Default for Returned {
    fn default() -> Self {
        Self(Some(BTreeMap::new()))
    }
}

impl Returned {
    /// A pruning step kept `after` of what was `before`.
    pub fn add(&mut self, name: &str, before: &[bool], after: &[bool]) {
        let Some(all) = &mut self.0 else { return };
        let flags = all.entry(name.to_owned()).or_insert_with(|| vec![false; after.len()]);
        for ((flag, before), after) in flags.iter_mut().zip(before).zip(after) {
            *flag |= *after && !*before;
        }
    }

    /// How many came back at least once, and which part of those is among what `kept` says of their parameter or group; none
    /// where nothing came back, or it is not known.
    pub fn stay<K: AsRef<[bool]>>(&self, kept: impl Fn(&str) -> Option<K>) -> Option<(usize, f64)> {
        let both = |(name, flags): (&String, &Vec<bool>)| {
            let all = flags.iter().filter(|flag| **flag).count();
            // Without a mask everything is kept.
            let there =
                kept(name).map_or(all, |kept| flags.iter().zip(kept.as_ref()).filter(|(f, k)| **f && **k).count());
            (all, there)
        };
        let (all, there) = self.0.iter().flatten().map(both).fold((0, 0), |(a, t), (all, there)| (a + all, t + there));
        (all > 0).then(|| (all, there as f64 / all as f64))
    }

    pub(crate) fn save(&self, archive: &mut Archive<'_>) {
        self.0.iter().flatten().for_each(|(name, flags)| archive.put_flags(format!("{PREFIX}/{name}"), flags));
    }

    /// Of a run in which so much came back by then, every time counted.
    pub(crate) fn load(archive: &mut Archive<'_>, regrown: usize) -> Self {
        let names = archive.names(PREFIX).into_iter();
        let all: BTreeMap<_, _> =
            names.filter_map(|name| Some((name.clone(), archive.take_flags(&format!("{PREFIX}/{name}"))?))).collect();
        Self((regrown == 0 || !all.is_empty()).then_some(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_counts_once_however_often_it_comes_back_and_stays_if_the_last_mask_keeps_it() {
        let masks =
            [[1, 1, 0, 0, 1], [0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0]].map(|mask| mask.map(|k| k == 1));
        let mut returned = Returned::default();
        assert_eq!(returned.stay(|_| Some(masks[0])), None);
        masks.windows(2).for_each(|pair| returned.add("w", &pair[0], &pair[1]));
        // The first, the third and the fourth came back; the first is gone again.
        assert_eq!(returned.stay(|_| Some(masks[3])), Some((3, 2.0 / 3.0)));
        assert_eq!(returned.stay(|_| None::<[bool; 5]>), Some((3, 1.0)));
        let mut archive = Archive::default();
        returned.save(&mut archive);
        assert_eq!((Returned::load(&mut archive, 4), archive.untaken()), (returned, None));
        assert_eq!(Returned::load(&mut archive, 0), Returned::default());
        // A checkpoint of a program that did not count them.
        let mut unknown = Returned::load(&mut archive, 4);
        unknown.add("w", &masks[0], &masks[1]);
        assert_eq!(unknown.stay(|_| Some(masks[1])), None);
    }
}
