//! Claims and verdicts, for people and for programs.

use serde_json::{Value, json};

use super::judged::{Judged, Verdict};
use crate::experiments::compare::Table;
use crate::printable::{counted, in_one_line};

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Supported => f.write_str("supported"),
            Self::NotSupported => f.write_str("not supported"),
            Self::OtherWayRound => f.write_str("the other way round"),
            Self::Undecided(None) => f.write_str("undecided"),
            Self::Undecided(Some(1)) => f.write_str("undecided (1 more seed)"),
            Self::Undecided(Some(more)) => write!(f, "undecided ({more} more seeds)"),
        }
    }
}

impl Judged {
    /// Mean difference and interval: `+1.23 points [0.50, 1.96]`.
    fn difference(&self) -> Option<String> {
        let ((found, family), versus) = (self.found?, self.versus.as_ref()?);
        let metric = &versus.metric;
        let sign = if found.mean < 0.0 { "−" } else { "+" };
        let range = format!("[{}, {}]", metric.bare(family.interval.low), metric.bare(family.interval.high));
        Some(format!("{sign}{} {range}", metric.difference(found.mean.abs())))
    }

    /// The verdict with all that it rests on, as one line.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", in_one_line(&self.noted.claim.claim), self.verdict);
        if let (Some(versus), Some((found, _)), Some(difference)) = (&self.versus, self.found, self.difference()) {
            let [of, than] = &versus.labels;
            line += &format!("; {of} – {than}: {difference} over {}", counted(found.n, "seed"));
            line += &format!(", margin {}", versus.metric.difference(versus.margin));
            if let Some(detectable) = self.detectable {
                line += &format!(", four times in five {} would be seen", versus.metric.difference(detectable));
            }
        }
        self.remarks().iter().for_each(|remark| line += &format!("; {remark}"));
        line
    }

    fn remarks(&self) -> Vec<String> {
        let mut all: Vec<String> = self.why.iter().map(|why| in_one_line(why)).collect();
        match self.noted.after_runs {
            0 => {}
            1 => all.push("the claim was written down after a run had finished".to_owned()),
            runs => all.push(format!("the claim was written down after {runs} runs had finished")),
        }
        if let Some(runs) = self.noted.withdrawn_after {
            all.push(format!("the claim was taken back when {} had finished", counted(runs, "run")));
        }
        if self.looked && self.found.is_some() {
            all.push("seeds were added after looks, so that the interval is too sure".to_owned());
        }
        match (self.detectable, &self.versus) {
            (Some(detectable), Some(versus)) if detectable > versus.margin => {
                all.push("these seeds would often miss a difference as small as the margin".to_owned());
            }
            (None, _) if self.found.is_some() => {
                all.push("these seeds would often miss the largest difference that there can be".to_owned());
            }
            _ => {}
        }
        if let Some(versus) = &self.versus {
            for (label, failed) in versus.labels.iter().zip(versus.failed).filter(|(_, failed)| *failed > 0) {
                all.push(format!("{failed} of {label} failed and count for nothing"));
            }
            if versus.pair.settings > 1 && self.found.is_some() {
                all.push(format!("each seed is the mean over {} settings", versus.pair.settings));
            }
            let beside = &versus.pair.beside;
            if !beside.is_empty() {
                all.push(format!("the two differ in more than that: {}", beside.join("; ")));
            }
            if !versus.pair.missing.is_empty() && self.found.is_some() {
                all.push(match versus.pair.missing.len() {
                    1 => "1 seed or setting has no partner".to_owned(),
                    missing => format!("{missing} seeds or settings have no partner"),
                });
            }
        }
        all
    }
}

/// Verdicts as lines.
pub fn lines(judged: &[Judged]) -> Vec<String> {
    judged.iter().map(Judged::line).collect()
}

/// Verdicts as a table.
pub fn table(judged: &[Judged]) -> Table {
    let together = if judged.len() > 1 { format!(", all {} at once", judged.len()) } else { String::new() };
    let head = ["claim", "verdict", "seeds", "difference"].map(str::to_owned).to_vec();
    let head = [
        head,
        vec![format!("95 %{together}")],
        ["spread", "margin", "seen 4 times in 5", "remarks"].map(str::to_owned).to_vec(),
    ];
    let none = || "–".to_owned();
    let row = |judged: &Judged| {
        let claim = &judged.noted.claim;
        let source = claim.source.as_ref().map_or_else(String::new, |source| format!(" ({})", in_one_line(source)));
        let mut row = vec![in_one_line(&claim.claim) + &source, judged.verdict.to_string()];
        row.push(judged.found.map_or_else(|| "0".to_owned(), |(found, _)| found.n.to_string()));
        let difference = judged.difference();
        let (mean, range) = difference.as_deref().and_then(|text| text.split_once(" [")).unzip();
        row.push(mean.map_or_else(none, str::to_owned));
        row.push(range.map_or_else(none, |range| format!("[{range}")));
        let metric = judged.versus.as_ref().map(|versus| &versus.metric);
        let written =
            |value: Option<f64>| metric.zip(value).map_or_else(none, |(metric, value)| metric.difference(value));
        row.push(written(judged.found.and_then(|(found, _)| found.std)));
        row.push(written(judged.versus.as_ref().map(|versus| versus.margin)));
        row.push(written(judged.detectable));
        row.push(judged.remarks().join("; "));
        row
    };
    Table { head: head.concat(), rows: judged.iter().map(row).collect() }
}

/// Verdicts for programs.
pub fn json(judged: &[Judged]) -> Value {
    let one = |judged: &Judged| {
        let (verdict, more) = match judged.verdict {
            Verdict::Supported => ("supported", None),
            Verdict::NotSupported => ("not-supported", None),
            Verdict::OtherWayRound => ("other-way-round", None),
            Verdict::Undecided(more) => ("undecided", more),
        };
        let versus = judged.versus.as_ref();
        json!({
            "claim": judged.noted, "verdict": verdict, "more_seeds": more, "why": judged.why,
            "metric": versus.map(|versus| &versus.metric.key), "labels": versus.map(|versus| &versus.labels),
            "failed": versus.map(|versus| versus.failed), "settings": versus.map(|versus| versus.pair.settings), "remarks": judged.remarks(),
            "margin": versus.map(|versus| versus.margin), "detectable": judged.detectable,
            "difference": judged.found.map(|(found, _)| found), "family": judged.found.map(|(_, family)| family),
            "sentence": judged.line(),
        })
    };
    judged.iter().map(one).collect()
}
