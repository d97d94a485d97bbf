//! What failed, why, and where.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Cells;
use super::group::Group;
use super::keys::{self, ABSENT, Flat};
use crate::printable::counted;

/// More settings than this are counted, not named.
const MOST_NAMED: usize = 4;

impl Cells {
    /// Why runs of a group failed, in a few words, and in which of its settings where it holds several; `None` where none did.
    pub fn failure(&self, group: &Group) -> Option<String> {
        let all = group.cells.len() + group.failed.len();
        let reason = |run: &usize| self.records[*run].error.clone().unwrap_or_default();
        let reasons: Vec<String> = group.failed.iter().map(reason).collect();
        let first = reasons.first()?.lines().next().unwrap_or_default().to_owned();
        let diverged = |reason: &String| reason.contains(" is NaN at step ") || reason.contains(" is inf at step ");
        let how = if reasons.iter().all(diverged) { "diverged" } else { "failed" };
        let alike = how == "diverged" || reasons.iter().all(|reason| *reason == reasons[0]);
        let others = if alike { "" } else { "; others for other reasons" };
        Some(format!("{} of {all} {how}{}: {first}{others}", group.failed.len(), self.settings(group)))
    }

    /// In which of a group's settings runs failed: ` (train.lr 1.0: 3 of 3)`. Nothing where it has one alone.
    fn settings(&self, group: &Group) -> String {
        let runs: Vec<usize> = group.cells.iter().chain(&group.failed).copied().collect();
        let configs: Vec<&Flat> = runs.iter().map(|run| &self.configs[*run]).collect();
        let keys = keys::telling(&configs, &[]);
        if keys.is_empty() {
            return String::new();
        }
        // How many runs there are of each setting, and how many of them failed.
        let mut settings: BTreeMap<Vec<&str>, (usize, usize)> = BTreeMap::new();
        for (place, config) in configs.iter().enumerate() {
            let (all, failed) = settings.entry(keys.iter().map(|key| keys::value(config, key)).collect()).or_default();
            *all += 1;
            *failed += usize::from(place >= group.cells.len());
        }
        let mut bad: Vec<(Vec<&str>, (usize, usize))> =
            settings.into_iter().filter(|(_, (_, failed))| *failed > 0).collect();
        bad.sort_by_key(|(_, (_, failed))| Reverse(*failed));
        let told = |(values, (all, failed)): &(Vec<&str>, (usize, usize))| {
            let there = keys.iter().zip(values).filter(|(_, value)| **value != ABSENT);
            let setting = there.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ");
            format!("{setting}: {failed} of {all}")
        };
        let mut parts: Vec<String> = bad.iter().take(MOST_NAMED).map(told).collect();
        if bad.len() > MOST_NAMED {
            parts.push(counted(bad.len() - MOST_NAMED, "more setting"));
        }
        format!(" ({})", parts.join("; "))
    }

    /// Why all runs failed, where all did.
    pub(super) fn failed_alone(&self) -> Option<String> {
        let failed = self.records.iter().filter(|record| record.status == "failed");
        let reasons: Vec<&str> = failed.filter_map(|record| record.error.as_deref()?.lines().next()).collect();
        Some(format!("{} failed: {}", counted(reasons.len(), "run"), reasons.first()?))
    }
}
