//! A setting chosen by validation data, so that test data is asked once: `--choose train.lr` keeps of each group the
//! learning rate that is best there.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{self, Flat};
use super::metric::named;
use crate::experiments::index::Record;
use crate::experiments::statistics::mean;

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The runs of all other settings.
    pub left: BTreeSet<usize>,
    /// What was chosen for each group, in words.
    pub note: String,
}

/// What is known of one value of the key in one group.
#[derive(Clone, Debug, Default)]
struct Candidate {
    runs: Vec<usize>,
    failed: usize,
    values: Vec<f64>,
}

/// Chooses for each group the value of a key: the best mean on validation data among those of which fewest runs failed.
///
/// # Errors
/// A finished run was not measured on validation data.
pub fn chosen(
    records: &[Record],
    configs: &[Flat],
    mains: &[usize],
    by: &[String],
    key: &str,
) -> Result<Choice, String> {
    let has = |name: &str| mains.iter().any(|run| named(name).of(&records[*run].summary).is_some());
    let metric = named(if has("validation_accuracy") { "validation_accuracy" } else { "validation_loss" });
    let mut groups: BTreeMap<Vec<&str>, BTreeMap<&str, Candidate>> = BTreeMap::new();
    for run in mains {
        let (record, config) = (&records[*run], &configs[*run]);
        let group = by.iter().map(|by| keys::value(config, by)).collect();
        let candidate = groups.entry(group).or_default().entry(keys::value(config, key)).or_default();
        candidate.runs.push(*run);
        match (record.status == "finished", metric.of(&record.summary)) {
            (false, _) => candidate.failed += 1,
            (true, Some(value)) => candidate.values.push(value),
            (true, None) => {
                let fix = "run it again with this version, with data.validation set, or choose nothing";
                let folder = record.folder.display();
                return Err(format!(
                    "--choose {key}: {folder} has no validation_accuracy or validation_loss\n  fix: {fix}"
                ));
            }
        }
    }
    let sign = if metric.more_is_better == Some(true) { 1.0 } else { -1.0 };
    let (mut left, mut said) = (BTreeSet::new(), Vec::new());
    for (group, candidates) in &groups {
        let rank = |candidate: &Candidate| mean(&candidate.values).map(|mean| (candidate.failed, -sign * mean));
        let ranked = candidates.iter().filter_map(|(value, candidate)| Some((*value, rank(candidate)?)));
        let best = ranked.min_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let Some((best, (_, found))) = best else { continue };
        let others = candidates.iter().filter(|(value, _)| **value != best);
        left.extend(others.flat_map(|(_, candidate)| &candidate.runs));
        let name = if group.is_empty() { "all runs".to_owned() } else { group.join(", ") };
        let found = metric.written(-sign * found);
        said.push(format!(
            "{best} of {} for {name} ({found})",
            candidates.keys().copied().collect::<Vec<_>>().join(", ")
        ));
    }
    Ok(Choice { left, note: format!("{key} was chosen by {}: {}", metric.label, said.join("; ")) })
}
