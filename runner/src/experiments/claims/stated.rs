//! `[[sweep.claims]]`: claims as a config states them, and as a sweep's folder keeps them.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::failure::Failure;
use crate::run::write_whole;

/// The file of a sweep's folder that keeps them.
pub const CLAIMS: &str = "claims.json";

/// The key by which a side names controls and no config: `than = { control = "random" }`.
pub const CONTROL: &str = "control";

/// One claim: some runs are better than others, worse, or the same within a margin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim in words.
    pub claim: String,
    /// Who makes it, and where: a paper and its section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Values of the config of the runs that it is about.
    pub of: Table,
    /// What it says of them.
    pub is: Is,
    /// Values of the config of the runs that they are compared with, or the kind of their control.
    pub than: Table,
    /// Values of the config that both must have.
    #[serde(default, rename = "where", skip_serializing_if = "Table::is_empty")]
    pub within: Table,
    /// What is compared; accuracy, or loss where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Differences of less than this do not matter; points, where the metric is a percentage.
    pub margin: f64,
}

/// What a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Is {
    /// Better, by the metric: more accuracy, less loss.
    Better,
    /// Worse, by the metric.
    Worse,
    /// More of it, where neither more nor less is better.
    More,
    /// Less of it.
    Less,
    /// The same within the margin.
    Same,
}

/// A claim, and how many of the sweep's runs had finished when it was written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noted {
    /// The claim.
    #[serde(flatten)]
    pub claim: Claim,
    /// Runs that had finished by then: more than none means that it may have been made to fit them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub after_runs: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Claim {
    /// Reads one, as a config has it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(table: Table) -> Result<Self, String> {
        let claim: Self = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        if !(claim.margin.is_finite() && claim.margin > 0.0) {
            return Err(format!("margin is {}, and must be above 0", claim.margin));
        }
        let sides = [("of", &claim.of), ("than", &claim.than)];
        if let Some((name, _)) = sides.into_iter().find(|(_, side)| side.is_empty()) {
            return Err(format!("{name} is empty: it names no runs"));
        }
        if claim.of.contains_key(CONTROL) {
            return Err(
                "of names a control: it stands in `than`, and the runs that it is the control of in `of`".into()
            );
        }
        match claim.than.get(CONTROL) {
            Some(kind) if !kind.is_str() || claim.than.len() > 1 => {
                Err("a control stands in `than` alone, by its name: { control = \"random\" }".into())
            }
            _ => Ok(claim),
        }
    }

    /// The kind of control that it compares with, where it does.
    pub fn control(&self) -> Option<&str> {
        self.than.get(CONTROL)?.as_str()
    }
}

/// Writes the claims into a sweep's folder, where `finished` runs are. What was written before keeps its place in time.
///
/// # Errors
/// The file cannot be written.
pub fn note(folder: &Path, claims: &[Claim], finished: usize) -> Result<(), Failure> {
    let before = noted(folder);
    let since =
        |claim: &Claim| before.iter().find(|noted| noted.claim == *claim).map_or(finished, |noted| noted.after_runs);
    let now: Vec<Noted> = claims.iter().map(|claim| Noted { after_runs: since(claim), claim: claim.clone() }).collect();
    if now == before {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&now).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(write_whole(&folder.join(CLAIMS), text.as_bytes())?)
}

/// The claims of a sweep's folder; none where it has none that can be read.
pub fn noted(folder: &Path) -> Vec<Noted> {
    fs::read(folder.join(CLAIMS)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(text: &str) -> Result<Claim, String> {
        Claim::read(text.parse().unwrap())
    }

    const WHOLE: &str =
        "claim = 'c'\nof = { criterion.name = 'a' }\nis = 'better'\nthan = { criterion.name = 'b' }\nmargin = 0.5\n";

    #[test]
    fn what_is_wrong_with_a_claim_is_said() {
        assert!(claim(WHOLE).is_ok());
        let said = |from: &str, to: &str| claim(&WHOLE.replace(from, to)).unwrap_err();
        assert!(said("'better'", "'bigger'").contains("unknown variant `bigger`"), "{}", said("'better'", "'bigger'"));
        assert!(said("margin = 0.5", "").contains("missing field `margin`"));
        assert!(said("margin = 0.5", "margin = -1.0").contains("margin is -1, and must be above 0"));
        assert!(said("margin", "margins").contains("unknown field `margins`"));
        assert!(said("{ criterion.name = 'b' }", "{}").contains("than is empty"));
        assert!(said("{ criterion.name = 'b' }", "{ control = 3 }").contains("by its name"));
        assert!(said("{ criterion.name = 'a' }", "{ control = 'random' }").contains("it stands in `than`"));
        assert_eq!(
            claim(&WHOLE.replace("{ criterion.name = 'b' }", "{ control = 'x' }")).unwrap().control(),
            Some("x")
        );
    }

    #[test]
    fn a_claim_that_came_after_its_runs_says_so_for_ever() {
        let here = tempfile::tempdir().unwrap();
        let first = claim(WHOLE).unwrap();
        let later = Claim { margin: 0.1, ..first.clone() };
        note(here.path(), std::slice::from_ref(&first), 0).unwrap();
        note(here.path(), &[first.clone(), later.clone()], 7).unwrap();
        note(here.path(), &[later, first], 20).unwrap();
        assert_eq!(noted(here.path()).iter().map(|noted| noted.after_runs).collect::<Vec<_>>(), [7, 0]);
        fs::write(here.path().join(CLAIMS), "[{}]").unwrap();
        assert!(noted(here.path()).is_empty());
    }
}
