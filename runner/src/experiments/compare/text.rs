//! A comparison as text: for terminals, Markdown, CSV and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::group::Group;
use super::metric::{METRICS, Metric};
use super::sentence::{self, is_shown, probability};
use super::{Cells, Comparison, Pair};
use crate::experiments::statistics::Sample;
use crate::printable::{csv_cell, markdown_line};

/// A head and rows of cells, the first column to the left, the others to the right.
#[derive(Clone, Debug)]
pub struct Table {
    /// The heads of the columns.
    pub head: Vec<String>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<String>>,
}

/// Every table of the comparison with its title.
pub fn all(comparison: &Comparison) -> Vec<(String, Table)> {
    let others = tables(comparison).into_iter().map(|(title, _, table)| (title.to_owned(), table));
    [("Groups".to_owned(), groups(comparison))].into_iter().chain(others).collect()
}

/// The comparison for people at a terminal.
pub fn terminal(comparison: &Comparison, colour: bool) -> String {
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let mut text = String::new();
    text += &groups(comparison).aligned(&bold);
    for (title, pairs, table) in tables(comparison) {
        text += &format!("\n{}\n", bold(title));
        text += &table.aligned(&|head| head.to_owned());
        text.push('\n');
        let controls = pairs.iter().all(|pair| comparison.groups[pair.baseline].control.is_some());
        for pair in pairs {
            let shown = is_shown(pair);
            let sentence = &pair.sentence;
            // Controls are many: what the table says is not said again, unless it is a finding or something is missing.
            if shown || !controls || pair.found.is_none() || !pair.missing.is_empty() {
                text += &if colour && shown { format!("\x1b[32m{sentence}\x1b[0m\n") } else { format!("{sentence}\n") };
            }
        }
        if let Some(summary) = sentence::of_controls(pairs).filter(|_| controls) {
            text += &(summary + "\n");
        }
    }
    for line in fronts(comparison) {
        _ = writeln!(text, "\n{line}");
    }
    for note in &comparison.notes {
        let note = format!("note: {note}");
        _ = writeln!(text, "\n{}", if colour { format!("\x1b[33m{note}\x1b[0m") } else { note });
    }
    text
}

/// The comparison as Markdown, for READMEs and issues.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = groups(comparison).markdown();
    for (title, pairs, table) in tables(comparison) {
        text += &format!("\n### {title}\n\n{}\n", table.markdown());
        pairs.iter().for_each(|pair| text += &format!("- {}\n", markdown_line(&pair.sentence)));
    }
    text.push('\n');
    fronts(comparison).iter().chain(&comparison.notes).for_each(|line| text += &format!("- {}\n", markdown_line(line)));
    text
}

/// CSV with one line for each group and metric.
pub fn csv(comparison: &Comparison) -> String {
    let mut keys: Vec<String> = comparison.by.clone();
    keys.extend(["control", "metric", "n", "mean", "std", "low", "high"].map(str::to_owned));
    let mut text = keys.iter().map(|key| csv_cell(key)).collect::<Vec<_>>().join(",") + "\n";
    for group in &comparison.groups {
        for (key, sample) in &group.metrics {
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let mut row: Vec<String> = group.values.clone();
            row.extend([
                group.control.clone().unwrap_or_default(),
                key.clone(),
                sample.n.to_string(),
                sample.mean.to_string(),
            ]);
            let interval = sample.interval;
            row.extend([number(sample.std), number(interval.map(|i| i.low)), number(interval.map(|i| i.high))]);
            text += &(row.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",") + "\n");
        }
    }
    text
}

/// Everything that was found, for programs.
pub fn json(comparison: &Comparison, cells: &Cells) -> Value {
    let group = |group: &Group| {
        let folders = |runs: &[usize]| -> Vec<String> {
            runs.iter().map(|run| cells.records[*run].folder.display().to_string()).collect()
        };
        let owners: Vec<&str> = group.owners.iter().map(|owner| comparison.groups[*owner].label.as_str()).collect();
        json!({
            "label": group.label, "values": group.values, "control": group.control, "control_of": owners,
            "metrics": group.metrics, "runs": folders(&group.cells), "failed": folders(&group.failed),
            "failure": cells.failure(group),
        })
    };
    let pair = |pair: &Pair| {
        json!({
            "group": comparison.groups[pair.group].label, "baseline": comparison.groups[pair.baseline].label,
            "difference": pair.found, "settings": pair.settings, "family": pair.family, "margin": pair.margin,
            "verdict": sentence::verdict(pair, &comparison.metric), "unlike": pair.unlike, "budgets": pair.asked,
            "beside": pair.beside, "missing": pair.missing, "common": pair.common, "sentence": pair.sentence,
        })
    };
    let front = |front: &super::Front| {
        let labels: Vec<&str> = front.groups.iter().map(|i| comparison.groups[*i].label.as_str()).collect();
        json!({ "cost": front.cost.key, "groups": labels })
    };
    json!({
        "by": comparison.by,
        "metric": comparison.metric.key,
        "margin": comparison.margin,
        "interval": if comparison.bootstrap { "bootstrap" } else { "t" },
        "groups": comparison.groups.iter().map(group).collect::<Vec<_>>(),
        "pairs": comparison.pairs.iter().map(pair).collect::<Vec<_>>(),
        "control_pairs": comparison.control_pairs.iter().map(pair).collect::<Vec<_>>(),
        "fronts": comparison.fronts.iter().map(front).collect::<Vec<_>>(),
        "notes": comparison.notes,
    })
}

/// The metrics that any group has.
pub fn metrics(comparison: &Comparison) -> Vec<Metric> {
    let there = |metric: &Metric| comparison.groups.iter().any(|group| group.metrics.contains_key(&*metric.key));
    let others = METRICS.into_iter().filter(there).filter(|metric| *metric != comparison.metric);
    [comparison.metric.clone()].into_iter().chain(others).collect()
}

/// The metrics of a table for people: where accuracy is compared, the loss beside it would only widen it, as would idle
/// weights where no run has any.
pub fn headline_metrics(comparison: &Comparison) -> Vec<Metric> {
    let also = |metric: &Metric| comparison.metric.key != "test_accuracy" || metric.key != "test_loss";
    let idle = |group: &Group| group.mean("idle_weights").is_some_and(|mean| mean > 0.0);
    let any = |metric: &Metric| metric.key != "idle_weights" || comparison.groups.iter().any(idle);
    metrics(comparison).into_iter().filter(also).filter(any).collect()
}

/// A mean with its deviation, and with its interval where that is wanted: `92.1 ± 0.3 % [91.7, 92.5]`. Values that are all
/// the same have neither.
pub fn spread(metric: &Metric, sample: &Sample, interval: bool) -> String {
    let mut text = metric.written(sample.mean);
    if let Some(std) = sample.std.filter(|std| *std > 0.0) {
        text += &format!(" ±{}", metric.bare(std).trim_end_matches(" s"));
    }
    if let (true, Some(i)) = (interval, sample.interval) {
        text += &format!(" [{}, {}]", metric.bare(i.low), metric.bare(i.high));
    }
    text
}

/// How many runs a group has, and how many of them failed.
pub fn counts(group: &Group) -> String {
    let finished = group.cells.len();
    if group.failed.is_empty() { finished.to_string() } else { format!("{finished}, {} failed", group.failed.len()) }
}

fn groups(comparison: &Comparison) -> Table {
    let metrics = headline_metrics(comparison);
    let mut head =
        vec![if comparison.by.is_empty() { "group".to_owned() } else { comparison.by.join(", ") }, "runs".to_owned()];
    head.extend(metrics.iter().map(|metric| {
        if *metric == comparison.metric { format!("{} ± std [95 %]", metric.label) } else { metric.label.to_string() }
    }));
    let row = |group: &Group| {
        let mut row = vec![group.label.clone(), counts(group)];
        row.extend(metrics.iter().map(|metric| {
            group
                .metrics
                .get(&*metric.key)
                .map_or_else(String::new, |sample| spread(metric, sample, *metric == comparison.metric))
        }));
        row
    };
    Table { head, rows: comparison.groups.iter().map(row).collect() }
}

fn tables(comparison: &Comparison) -> Vec<(&'static str, &[Pair], Table)> {
    let metric = &comparison.metric;
    let table = |pairs: &[Pair]| {
        let together = match pairs.iter().find_map(|pair| pair.family).map_or(1, |family| family.comparisons) {
            1 => String::new(),
            n => format!(", all {n} at once"),
        };
        let mut head = ["compared", "seeds", "difference"].map(str::to_owned).to_vec();
        let how = if comparison.bootstrap { "bootstrap" } else { "t" };
        head.extend([format!("95 %{together}"), format!("p ({how}{together})")]);
        head.extend(["p (t) alone", "p (Wilcoxon) alone", "effect d"].map(str::to_owned));
        head.extend(comparison.margin.map(|margin| format!("verdict at {}", metric.difference(margin))));
        let none = || "–".to_owned();
        let p = |p: Option<f64>| p.map_or_else(none, probability);
        let row = |pair: &Pair| {
            let name = format!("{} – {}", comparison.groups[pair.group].label, comparison.groups[pair.baseline].label);
            let Some(found) = pair.found else {
                return [vec![name, "0".to_owned()], vec![none(); head.len() - 2]].concat();
            };
            let sign = if found.mean < 0.0 { "−" } else { "+" };
            let range = |i: crate::experiments::statistics::Interval| {
                format!("[{}, {}]", metric.bare(i.low), metric.bare(i.high))
            };
            let mut row = vec![
                name,
                found.n.to_string(),
                format!("{sign}{}", metric.difference(found.mean.abs())),
                pair.family.map_or_else(none, |family| range(family.interval)),
                p(pair.family.map(|family| family.p)),
                p(found.p_t),
                p(found.p_wilcoxon),
                found.effect.map_or_else(none, |effect| format!("{effect:.2}")),
            ];
            row.extend(sentence::verdict(pair, metric));
            row
        };
        let rows = pairs.iter().map(row).collect();
        Table { head, rows }
    };
    let all = [("Against the baseline", &comparison.pairs), ("Against their controls", &comparison.control_pairs)];
    all.into_iter()
        .filter(|(_, pairs)| !pairs.is_empty())
        .map(|(title, pairs)| (title, pairs.as_slice(), table(pairs)))
        .collect()
}

fn fronts(comparison: &Comparison) -> Vec<String> {
    let line = |front: &super::Front| {
        let labels: Vec<&str> = front.groups.iter().map(|i| comparison.groups[*i].label.as_str()).collect();
        format!("Pareto front, {} against {}: {}", comparison.metric.label, front.cost.label, labels.join("; "))
    };
    comparison.fronts.iter().map(line).collect()
}

impl Table {
    /// The table in columns, its head through `bold`.
    pub fn aligned(&self, bold: &dyn Fn(&str) -> String) -> String {
        let length = |cell: &String| cell.chars().count();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| self.rows.iter().chain([&self.head]).map(|row| length(&row[column])).max().unwrap_or(0))
            .collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let pad = " ".repeat(width - length(cell));
                if column == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut text = bold(&line(&self.head)) + "\n";
        self.rows.iter().for_each(|row| text += &(line(row) + "\n"));
        text
    }

    /// The table as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            format!(
                "| {} |\n",
                cells.iter().map(|cell| markdown_line(cell).replace('|', "\\|")).collect::<Vec<_>>().join(" | ")
            )
        };
        let rule: Vec<String> =
            (0..self.head.len()).map(|column| if column == 0 { "---".to_owned() } else { "---:".to_owned() }).collect();
        line(&self.head) + &line(&rule) + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}
