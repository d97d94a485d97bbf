//! `[[sweep.claims]]`: claims as a config states them, and as a sweep's folder keeps them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::key::{dotted, flat};
use crate::experiments::compare::named;
use crate::experiments::index::Index;
use crate::failure::Failure;
use crate::run::write_whole;

/// The file of a sweep's folder that keeps them.
const CLAIMS: &str = "claims.json";

/// The key by which a side names controls and no config: `than = { control = "random" }`.
pub const CONTROL: &str = "control";

/// The key by which a side is a number and no runs: `than = { value = 0.0 }`.
const VALUE: &str = "value";

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
    /// Values of the config of the runs that they are compared with, or the kind of their control, or a number.
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
    /// Runs that had finished when the claim was taken back, where it was: it may have been taken back for what they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_after: Option<usize>,
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
        let keys = [&claim.of, &claim.than, &claim.within].into_iter().flat_map(flat).map(|(path, _)| dotted(&path));
        if let Some(key) = keys.into_iter().find(|key| tells_nothing(key)) {
            return Err(format!("{key} tells no settings apart: claims are about keys that change what a run finds"));
        }
        let direction = claim.metric.as_deref().map(|metric| named(metric).more_is_better);
        if let (Some(None), Is::Better | Is::Worse) = (direction, claim.is) {
            let metric = claim.metric.unwrap_or_default();
            return Err(format!(
                "whether more or less {metric} is better is not known: write is = \"more\" or \"less\""
            ));
        }
        if claim.of.contains_key(CONTROL) {
            return Err(
                "of names a control: it stands in `than`, and the runs that it is the control of in `of`".into()
            );
        }
        if claim.of.contains_key(VALUE) {
            return Err("of is a number: it stands in `than`, and the runs that are compared with it in `of`".into());
        }
        if let Some(value) = claim.than.get(VALUE)
            && (claim.than.len() > 1 || !number(value).is_some_and(f64::is_finite))
        {
            return Err("a number stands in `than` alone: { value = 0.0 }".into());
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

    /// The number that it compares with, where it does.
    pub fn value(&self) -> Option<f64> {
        number(self.than.get(VALUE)?)
    }

    /// Whether the other side is no runs that a config names.
    pub fn is_against_itself(&self) -> bool {
        self.control().is_some() || self.value().is_some()
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_float().or(value.as_integer().map(|whole| whole as f64))
}

/// Whether comparisons leave a key out, or make repetitions of it.
fn tells_nothing(key: &str) -> bool {
    let names = ["name", "threads", "device", "data.dir", "seed"];
    names.contains(&key) || key.starts_with("output.") || key.starts_with("seeds.")
}

/// Writes what a sweep is to show into its folder, before its runs can.
///
/// # Errors
/// The file, or the folder's index, cannot be read or written.
pub fn note_before(folder: &Path, claims: &[Claim]) -> Result<(), Failure> {
    if claims.is_empty() && !folder.join(CLAIMS).exists() {
        return Ok(());
    }
    let records = Index::open(folder)?.records(folder)?;
    note(folder, claims, records.iter().filter(|record| record.status == "finished").count())
}

/// Writes the claims into a sweep's folder, where `finished` runs are. What was written before keeps its place in time, and
/// what is taken back after a run had finished stays, as withdrawn.
///
/// # Errors
/// The file cannot be read or written.
fn note(folder: &Path, claims: &[Claim], finished: usize) -> Result<(), Failure> {
    let before = noted(folder).map_err(Failure::Failed)?;
    let since =
        |claim: &Claim| before.iter().find(|noted| noted.claim == *claim).map_or(finished, |noted| noted.after_runs);
    let stated = |claim: &Claim| Noted { after_runs: since(claim), withdrawn_after: None, claim: claim.clone() };
    let mut now: Vec<Noted> = claims.iter().map(stated).collect();
    let gone = before.iter().filter(|noted| finished > 0 && !claims.contains(&noted.claim)).cloned();
    now.extend(gone.map(|noted| Noted { withdrawn_after: noted.withdrawn_after.or(Some(finished)), ..noted }));
    if now == before {
        return Ok(());
    }
    let text = serde_json::to_string_pretty(&now).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(write_whole(&folder.join(CLAIMS), text.as_bytes())?)
}

/// The claims of a sweep's folder; none where it has no file of them.
///
/// # Errors
/// The file is not what was written, or cannot be read.
pub fn noted(folder: &Path) -> Result<Vec<Noted>, String> {
    let path = folder.join(CLAIMS);
    let refused = |why: String| {
        let fix = "remove it, and the claims count as written now";
        format!("{}: the claims of this sweep cannot be read: {why}\n  fix: {fix}", path.display())
    };
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(refused(error.to_string())),
        Ok(text) => serde_json::from_slice(&text).map_err(|error| refused(error.to_string())),
    }
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
        assert!(said("criterion.name = 'a'", "seed = 3").contains("seed tells no settings apart"));
        assert!(said("margin", "metric = 'nnz'\nmargin").contains("whether more or less nnz is better is not known"));
        assert!(said("{ criterion.name = 'b' }", "{}").contains("than is empty"));
        assert!(said("{ criterion.name = 'b' }", "{ control = 3 }").contains("by its name"));
        assert!(said("{ criterion.name = 'a' }", "{ control = 'random' }").contains("it stands in `than`"));
        for wrong in ["{ value = 'x' }", "{ value = nan }", "{ value = 1, criterion.name = 'b' }"] {
            assert!(said("{ criterion.name = 'b' }", wrong).contains("a number stands in `than` alone"), "{wrong}");
        }
        assert!(said("{ criterion.name = 'a' }", "{ value = 0 }").contains("it stands in `than`"));
        let value = |text: &str| claim(&WHOLE.replace("{ criterion.name = 'b' }", text)).unwrap().value();
        assert_eq!((value("{ value = -1.5 }"), value("{ value = 2 }")), (Some(-1.5), Some(2.0)));
        assert_eq!(claim(WHOLE).unwrap().value(), None);
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
        note(here.path(), &[later.clone(), first], 20).unwrap();
        note(here.path(), &[later], 21).unwrap();
        let found = noted(here.path()).unwrap();
        let times: Vec<_> = found.iter().map(|noted| (noted.after_runs, noted.withdrawn_after)).collect();
        assert_eq!(times, [(7, None), (0, Some(21))]);
        fs::write(here.path().join(CLAIMS), "[{}]").unwrap();
        assert!(noted(here.path()).unwrap_err().contains("claims.json: the claims of this sweep cannot be read"));
    }
}
