//! What the runs of a sweep say of its claims.

use super::stated::{Claim, Is, Noted};
use crate::config::key::{dotted, flat};
use crate::experiments::compare::{Cells, Metric, Sides, Versus, Wanted};
use crate::experiments::statistics::{Equivalence, Family, LEVEL, Paired, Settled, t_quantile};
use crate::printable::in_one_line;

/// Fewer seeds than this decide no claim, however small their spread happens to be.
pub const FEWEST: usize = 5;

/// What is known of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is shown.
    Supported,
    /// It is shown to be wrong: the two are the same within the margin, or differ by more where it says that they do not.
    NotSupported,
    /// The contrary is shown.
    OtherWayRound,
    /// Neither is. So many more seeds would show one of them if mean and spread stayed as they are; `None` where that
    /// cannot be told.
    Undecided(Option<usize>),
}

/// A claim with what was found.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The claim.
    pub noted: Noted,
    /// What is known of it.
    pub verdict: Verdict,
    /// Why nothing is known, where that is not for want of seeds.
    pub why: Option<String>,
    /// The two sides, where both have runs.
    pub versus: Option<Versus>,
    /// The difference with what holds for all claims of the sweep at once.
    pub found: Option<(Paired, Family)>,
    /// Whether seeds were added after looks at what there was: intervals know of none.
    pub looked: bool,
    /// The smallest true difference that as many seeds with this spread would show four times in five; absent where that would be
    /// none.
    pub detectable: Option<f64>,
}

/// Judges every claim of a sweep. All of them are one family, those that were taken back among them: their intervals hold at
/// once. `looked` says that seeds were added until comparisons were settled.
pub fn judge(cells: &Cells, claims: &[Noted], looked: bool) -> Vec<Judged> {
    claims.iter().map(|noted| Judged { looked, ..one(cells, noted, claims.len()) }).collect()
}

fn one(cells: &Cells, noted: &Noted, family: usize) -> Judged {
    let claim = &noted.claim;
    let unknown = |why: String, versus: Option<Versus>| Judged {
        noted: noted.clone(),
        verdict: Verdict::Undecided(None),
        why: Some(why),
        versus,
        found: None,
        looked: false,
        detectable: None,
    };
    let versus = match cells.versus(&sides(claim)) {
        Ok(versus) => versus,
        Err(why) => return unknown(why.lines().map(str::trim).collect::<Vec<_>>().join("; "), None),
    };
    if !versus.pair.unlike.is_empty() {
        return unknown(format!("the two are unlike: {}", versus.pair.unlike.join("; ")), Some(versus));
    }
    let Some(up) = upwards(claim.is, &versus.metric) else {
        let why = format!(
            "whether more or less {} is better is not known: write is = \"more\" or \"less\"",
            versus.metric.label
        );
        return unknown(why, Some(versus));
    };
    let Some(found) = versus.pair.found else {
        return unknown("no seed has both".to_owned(), Some(versus));
    };
    let Some(for_all) = found.among(family) else {
        let why = if found.n < 2 {
            "there is one seed alone"
        } else {
            "the differences do not vary: they say nothing about chance"
        };
        return unknown(why.to_owned(), Some(versus));
    };
    let for_all = for_all.within(versus.metric.difference_bounds());
    let settled = Equivalence::of(&found, versus.margin, family).verdict;
    let few = found.n < FEWEST;
    let verdict = match verdict((claim.is, up), settled, (&found, for_all), versus.margin) {
        Verdict::Undecided(None) => Verdict::Undecided(None),
        Verdict::Undecided(Some(more)) if few => Verdict::Undecided(Some(more.max(FEWEST - found.n))),
        _ if few => Verdict::Undecided(Some(FEWEST - found.n)),
        verdict => verdict,
    };
    Judged {
        noted: noted.clone(),
        verdict,
        why: few.then(|| format!("fewer than {FEWEST} seeds decide nothing here")),
        looked: false,
        // No difference can be larger than the metric's: then there is none that these seeds would show so often.
        detectable: detectable(&found, family).filter(|least| *least <= versus.metric.difference_bounds().1),
        found: Some((found, for_all)),
        versus: Some(versus),
    }
}

/// Whether the claim is that the difference is above zero; `None` where it says better and nobody knows what is.
fn upwards(is: Is, metric: &Metric) -> Option<bool> {
    match is {
        Is::Better => metric.more_is_better,
        Is::Worse => metric.more_is_better.map(|more| !more),
        Is::More => Some(true),
        Is::Less => Some(false),
        Is::Same => Some(true),
    }
}

/// That two are the same is refuted where the interval lies outside the margin: a difference within it may be there, and be
/// shown. That they differ is supported where the difference is shown and its mean is no smaller than the margin, so that
/// more seeds do not turn it into the same.
fn verdict((is, up): (Is, bool), settled: Settled, (found, for_all): (&Paired, Family), margin: f64) -> Verdict {
    let beyond = for_all.interval.low > margin || for_all.interval.high < -margin;
    match (is, settled) {
        (Is::Same, Settled::Same) => Verdict::Supported,
        (Is::Same, _) if beyond => Verdict::NotSupported,
        (_, Settled::Same) => Verdict::NotSupported,
        (_, Settled::Undecided(more)) => Verdict::Undecided(more),
        (Is::Same, _) => Verdict::Undecided(None),
        _ if found.mean.abs() < margin => Verdict::Undecided(None),
        (_, settled) if (settled == Settled::Above) == up => Verdict::Supported,
        _ => Verdict::OtherWayRound,
    }
}

/// By the quantiles of Student's t at the test's level and at a power of 80 %: an approximation of the noncentral t that
/// is a little too small for very few seeds.
fn detectable(found: &Paired, family: usize) -> Option<f64> {
    let std = found.std.filter(|std| *std > 0.0)?;
    let quantile = |level: f64| t_quantile(level, found.n - 1);
    let both = quantile(1.0 - LEVEL / family as f64 / 2.0) + quantile(0.8);
    Some(both * std / (found.n as f64).sqrt())
}

fn sides(claim: &Claim) -> Sides {
    let wanted = |table: &toml::Table| -> Wanted {
        // As the config of a run is written.
        let text = |value: &toml::Value| match serde_json::to_value(value) {
            Ok(serde_json::Value::String(text)) => in_one_line(&text),
            Ok(other) => other.to_string(),
            Err(_) => value.to_string(),
        };
        flat(table).iter().map(|(path, value)| (dotted(path), text(value))).collect()
    };
    let control = claim.control().map(str::to_owned);
    Sides {
        of: wanted(&claim.of),
        than: if claim.is_against_itself() { Wanted::new() } else { wanted(&claim.than) },
        control,
        value: claim.value(),
        within: wanted(&claim.within),
        metric: claim.metric.clone(),
        margin: claim.margin,
    }
}
