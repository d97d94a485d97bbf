//! One group against another that somebody named, and nothing else.

use super::super::Cells;
use super::super::group::Group;
use super::super::keys::{self, ABSENT};
use super::super::metric::Metric;
use super::{Pair, View};

/// Values that a config must have, by dotted key, as text.
pub type Wanted = Vec<(String, String)>;

/// Who is compared with whom, and in what.
#[derive(Clone, Debug)]
pub struct Sides {
    /// Values of the one side's configs.
    pub of: Wanted,
    /// Values of the other's.
    pub than: Wanted,
    /// The other side is this kind of control of the one, where there is one.
    pub control: Option<String>,
    /// The other side is this number and no runs, where there is one; in points, where the metric is a percentage.
    pub value: Option<f64>,
    /// Values of both sides' configs.
    pub within: Wanted,
    /// What is compared; accuracy, or loss where there is none.
    pub metric: Option<String>,
    /// Differences of less than this do not matter; points, where the metric is a percentage.
    pub margin: f64,
}

/// Two sides, compared.
#[derive(Clone, Debug)]
pub struct Versus {
    /// What was compared.
    pub metric: Metric,
    /// The margin, in the metric's own unit.
    pub margin: f64,
    /// Both sides, for people.
    pub labels: [String; 2],
    /// Runs of both sides that failed, and count for nothing.
    pub failed: [usize; 2],
    /// What was found.
    pub pair: Pair,
}

impl Cells {
    /// Compares two sides.
    ///
    /// # Errors
    /// A side that no run is on, or that several settings are on; a metric that the runs do not have.
    pub fn versus(&self, sides: &Sides) -> Result<Versus, String> {
        let has = |run: usize, wanted: &Wanted| wanted.iter().all(|(key, value)| same(self.value(run, key), value));
        let mains =
            (0..self.records.len()).filter(|run| self.records[*run].control.is_none() && has(*run, &sides.within));
        let compared = |run: &usize| has(*run, &sides.of) || (sides.value.is_none() && has(*run, &sides.than));
        let mains: Vec<usize> = mains.filter(compared).collect();
        let mut by: Vec<String> = sides.of.iter().chain(&sides.than).map(|(key, _)| key.clone()).collect();
        let mut seen = std::collections::BTreeSet::new();
        by.retain(|key| seen.insert(key.clone()));
        let metric = self.metric(sides.metric.as_deref())?;
        let margin = metric.margin(sides.margin);
        let configs: Vec<_> = mains.iter().map(|run| &self.configs[*run]).collect();
        let within = keys::telling(&configs, &by);
        let groups = self.groups(&mains, (&by, &within), &metric, false);
        let side = |wanted: &Wanted| {
            let value = |group: &Group, key: &String| {
                let place = by.iter().position(|by| by == key);
                place.map_or(ABSENT, |place| group.values[place].as_str()).to_owned()
            };
            let fits = |group: &Group| wanted.iter().all(|(key, wanted)| same(&value(group, key), wanted));
            let mut found = (0..groups.len()).filter(|at| groups[*at].control.is_none() && fits(&groups[*at]));
            let (first, second) = (found.next(), found.next());
            match (first, second) {
                (Some(group), None) => Ok(group),
                (None, _) => Err(format!("no run has {}", written(wanted))),
                (Some(one), Some(other)) => Err(format!(
                    "several settings have {}: {} and {}; say which",
                    written(wanted),
                    groups[one].label,
                    groups[other].label
                )),
            }
        };
        let of = side(&sides.of)?;
        let than = match &sides.control {
            None if sides.value.is_some() => of,
            None => side(&sides.than)?,
            Some(kind) => {
                let control = |group: &Group| group.control.as_ref() == Some(kind) && group.owners.contains(&of);
                let none = || format!("{} has no control {kind}", groups[of].label);
                groups.iter().position(control).ok_or_else(none)?
            }
        };
        let (records, configs, controls) = (&self.records, &self.configs, &self.controls);
        let view = View {
            records,
            configs,
            varying: &self.varying,
            controls,
            by: &by,
            settled: &by,
            within: &within,
            metric: &metric,
            margin: Some(margin),
            bootstrap: false,
            value: sides.value.map(|value| metric.margin(value)),
        };
        let pair = super::one(&view, &groups, (of, than));
        let mut labels = [of, than].map(|group| groups[group].label.clone());
        let mut failed = [of, than].map(|group| groups[group].failed.len());
        if let Some(value) = view.value {
            (labels[1], failed[1]) = (metric.written(value), 0);
        }
        Ok(Versus { metric, margin, labels, failed, pair })
    }

    fn value(&self, run: usize, key: &str) -> &str {
        keys::value(&self.configs[run], key)
    }
}

/// Whether two values are equal to people: 1 and 1.0 are.
fn same(a: &str, b: &str) -> bool {
    a == b || a.parse::<f64>().is_ok_and(|a| b.parse::<f64>().is_ok_and(|b| a == b))
}

fn written(wanted: &Wanted) -> String {
    wanted.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}
