//! Which setting ranks where over several data sets, and which of them cannot be told apart: Friedman's test and Nemenyi's
//! critical difference (Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets"), as autorank does where it
//! is told not to assume normal values.

mod friedman;
mod picture;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::experiments::compare::{Cells, Comparison};
use crate::experiments::statistics::{LEVEL, mean};
use crate::printable::counted;
pub use friedman::{Friedman, critical_difference};

/// Settings by their mean rank, the best first.
#[derive(Clone, Debug, Serialize)]
pub struct Ranks {
    /// The key whose values are the data sets.
    pub key: String,
    /// The data sets.
    pub blocks: Vec<String>,
    /// Each setting and its mean rank; 1 is the best.
    pub settings: Vec<(String, f64)>,
    /// Whether any setting ranks elsewhere than the others.
    pub friedman: Friedman,
    /// Mean ranks that differ by less cannot be told apart.
    pub critical_difference: f64,
    /// Settings that cannot be told apart, by their places: the largest such sets of two or more.
    pub alike: Vec<(usize, usize)>,
    /// Settings and data sets that are left out, and why.
    pub left_out: Vec<String>,
}

impl Ranks {
    /// Ranks the settings of a comparison over the values of a key, by the mean of its metric over the runs of each.
    ///
    /// # Errors
    /// Fewer than three settings or two data sets have all of each other; a metric of which neither more nor less is better.
    pub fn of(cells: &Cells, comparison: &Comparison, key: &str) -> Result<Self, String> {
        let metric = &comparison.metric;
        let Some(more) = metric.more_is_better else {
            return Err(format!(
                "--ranks: neither more nor less of {} is better\n  fix: rank by another --metric",
                metric.label
            ));
        };
        let by: Vec<&String> = comparison.by.iter().filter(|by| *by != key).collect();
        let mut values: BTreeMap<String, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
        let runs = comparison.groups.iter().filter(|group| group.control.is_none()).flat_map(|group| &group.cells);
        for run in runs {
            let config = cells.config(*run);
            let value = |key: &str| config.get(key).map_or("–", String::as_str).to_owned();
            let setting = by.iter().map(|by| value(by)).collect::<Vec<_>>().join(", ");
            if let Some(found) = metric.of(&cells.records[*run].summary) {
                values.entry(setting).or_default().entry(value(key)).or_default().push(found);
            }
        }
        let mut left_out = Vec::new();
        let all: BTreeSet<String> = values.values().flat_map(|of| of.keys().cloned()).collect();
        let most = values.values().map(BTreeMap::len).max().unwrap_or(0);
        // A data set that no setting was run on with all others is missed by all: then the settings with most of them stay.
        values.retain(|setting, of| {
            let whole = of.len() == most;
            if !whole {
                let missing: Vec<&str> =
                    all.iter().filter(|block| !of.contains_key(*block)).map(String::as_str).collect();
                left_out.push(format!("{setting} (not run with {key} = {})", missing.join(", ")));
            }
            whole
        });
        let blocks: Vec<String> =
            all.into_iter().filter(|block| values.values().all(|of| of.contains_key(block))).collect();
        if values.len() < 3 || blocks.len() < 2 {
            let fix = format!("run at least three settings on two values of {key}; autorank asks for five");
            let (settings, common) = (counted(values.len(), "setting"), counted(blocks.len(), "value"));
            let have = if values.len() == 1 { "has" } else { "have" };
            let found = format!("{settings} {have} {common} of {key} in common");
            return Err(format!("--ranks {key}: {found}\n  fix: {fix}"));
        }
        let sign = if more { -1.0 } else { 1.0 };
        let settings: Vec<&String> = values.keys().collect();
        let of = |setting: &&String, block: &String| sign * mean(&values[*setting][block]).unwrap_or(f64::NAN);
        let table: Vec<Vec<f64>> =
            blocks.iter().map(|block| settings.iter().map(|setting| of(setting, block)).collect()).collect();
        let friedman = Friedman::of(&table);
        let critical_difference = critical_difference(settings.len(), blocks.len(), LEVEL);
        let mut order: Vec<(String, f64)> =
            settings.iter().zip(&friedman.ranks).map(|(setting, rank)| ((*setting).clone(), *rank)).collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        let alike = alike(&order.iter().map(|(_, rank)| *rank).collect::<Vec<_>>(), critical_difference);
        Ok(Self { key: key.to_owned(), blocks, settings: order, friedman, critical_difference, alike, left_out })
    }

    /// What it says, line by line.
    pub fn lines(&self) -> Vec<String> {
        let place = |(setting, rank): &(String, f64)| format!("{rank:.2} {setting}");
        let p = self.friedman.p;
        let test = match p < LEVEL {
            true => "they do not all rank alike",
            false => "no difference of ranks is shown",
        };
        let p = if p < 0.001 { "< 0.001".to_owned() } else { format!("= {p:.3}") };
        let mut lines = vec![
            format!(
                "Mean ranks over {} values of {}: {}",
                self.blocks.len(),
                self.key,
                self.settings.iter().map(place).collect::<Vec<_>>().join("; ")
            ),
            format!(
                "Friedman's test: {test}, chi² = {:.2}, p {p}. Ranks differ that lie {:.2} apart (Nemenyi, 5 %)",
                self.friedman.chi_square, self.critical_difference
            ),
        ];
        for (first, last) in &self.alike {
            let names: Vec<&str> = self.settings[*first..=*last].iter().map(|(setting, _)| setting.as_str()).collect();
            lines.push(format!("Not told apart: {}", names.join(", ")));
        }
        if !self.left_out.is_empty() {
            lines.push(format!("Left out of the ranks: {}", self.left_out.join("; ")));
        }
        lines
    }

    /// The critical-difference picture.
    pub fn picture(&self) -> String {
        picture::draw(self)
    }
}

/// The largest sets of neighbours whose ranks lie within the critical difference.
fn alike(ranks: &[f64], critical: f64) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for first in 0..ranks.len() {
        let last =
            (first..ranks.len()).take_while(|last| ranks[*last] - ranks[first] < critical).last().unwrap_or(first);
        if last > first && found.last().is_none_or(|(_, before)| last > *before) {
            found.push((first, last));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_that_are_part_of_another_are_not_named() {
        assert_eq!(alike(&[1.0, 1.5, 2.2, 4.0, 4.1], 1.0), [(0, 1), (1, 2), (3, 4)]);
        assert_eq!(alike(&[1.0, 3.0, 5.0], 1.0), []);
        assert_eq!(alike(&[2.0, 2.0, 2.0], 1.0), [(0, 2)]);
    }
}
