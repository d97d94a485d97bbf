//! A comparison in words.

use super::Pair;
use super::group::Group;
use super::metric::Metric;
use crate::experiments::statistics::{Equivalence, Family, LEVEL, Paired, Settled};
use crate::printable::counted;

/// More of a kind than this is counted, not named.
const MOST_NAMED: usize = 4;

/// Whether a pair differs, for all comparisons of its table at once.
pub fn is_shown(pair: &Pair) -> bool {
    pair.family.is_some_and(|family| family.p < LEVEL)
}

/// What a pair says.
pub fn of(pair: &Pair, group: &Group, baseline: &Group, metric: &Metric) -> String {
    let (a, b) = (&group.label, &baseline.label);
    let mut text = match (&pair.found, pair.unlike.as_slice()) {
        (_, [_, ..]) => {
            format!("{a} and {b} are not compared, because they are unlike: {}.", pair.unlike.join("; "))
        }
        (None, []) => format!("{a} and {b} are not compared: no seed has both."),
        (Some(found), []) => {
            let costs = pair.budget.time();
            let mut text = match pair.family {
                Some(family) => tested(pair, (a, b), (found, family), metric) + &costs + ".",
                None => untested(pair, (a, b), found, metric) + &costs + ".",
            };
            if !pair.asked.is_empty() {
                text += &format!(" The budgets differ: {}.", pair.asked.join("; "));
            }
            if let Some(common) = &pair.common {
                text += &common.sentence();
            }
            if !pair.beside.is_empty() {
                text += &format!(" They differ in more than what is compared: {}.", few(&pair.beside));
            }
            text
        }
    };
    if !pair.missing.is_empty() && pair.unlike.is_empty() {
        text += &format!(" Left out for want of a partner: {}.", few(&pair.missing));
    }
    text
}

fn tested(pair: &Pair, (a, b): (&str, &str), (found, family): (&Paired, Family), metric: &Metric) -> String {
    let budget = pair.budget.sparsity();
    let range = format!("[{}, {}]", metric.bare(family.interval.low), metric.bare(family.interval.high));
    let (size, above) = (metric.difference(found.mean.abs()), if found.mean >= 0.0 { "above" } else { "below" });
    let together = match family.comparisons {
        1 => String::new(),
        n => format!(", interval and p for {n} comparisons at once"),
    };
    let how = if pair.resampled.is_some() { ", by bootstrap (BCa)" } else { "" };
    let test = format!("p {}{together}{how}, {}", equals(family.p), repeated(pair, found));
    let plain = format!("{a} is {size} {above} {b} {range}{budget}, {test}");
    let unshown = format!("{a} and {b}{budget}: {size} {above} {range}, {test}");
    let Some(Equivalence { margin, p, verdict }) = pair.margin else {
        return if family.p < LEVEL { plain } else { format!("No difference is shown between {unshown}") };
    };
    let within = metric.difference(margin);
    match verdict {
        Settled::Same => {
            let p = p.map(|p| format!("; p {} that they are not", equals(p))).unwrap_or_default();
            format!("{a} and {b} are the same within {within}{budget}: {size} {above} {range}, {test}{p}")
        }
        Settled::Above | Settled::Below => plain,
        Settled::Undecided(more) => {
            let more = match more {
                Some(more) => format!("{} would settle it if mean and spread stayed", counted(more, "more seed")),
                None => "more seeds like these would not settle it".to_owned(),
            };
            format!("Undecided between {unshown}; neither a difference nor a margin of {within} is shown, {more}")
        }
    }
}

fn untested(pair: &Pair, (a, b): (&str, &str), found: &Paired, metric: &Metric) -> String {
    let budget = pair.budget.sparsity();
    let (size, above) = (metric.difference(found.mean.abs()), if found.mean >= 0.0 { "above" } else { "below" });
    let each = if pair.settings > 1 { "seeds" } else { "pairs" };
    match found.n {
        1 => format!(
            "{a} is {size} {above} {b}{budget} in {}, which shows nothing: run more seeds",
            repeated(pair, found)
        ),
        n if found.mean == 0.0 => {
            format!("{a} and {b} are equal{budget} in each of {n} {each}; without variation there is no test")
        }
        n => format!("{a} is {size} {above} {b}{budget} in each of {n} {each}; without variation there is no test"),
    }
}

/// How often it was repeated: `5 pairs`, or with several settings `5 seeds, each the mean over 4 settings`.
fn repeated(pair: &Pair, found: &Paired) -> String {
    match (pair.settings, found.n) {
        (0 | 1, 1) => "one pair".to_owned(),
        (0 | 1, n) => format!("{n} pairs"),
        (settings, 1) => format!("one seed, the mean over {settings} settings"),
        (settings, n) => format!("{n} seeds, each the mean over {settings} settings"),
    }
}

fn few(all: &[String]) -> String {
    let shown = all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = all.len().saturating_sub(MOST_NAMED);
    if more > 0 { format!("{shown}; and {more} more") } else { shown }
}

/// What is known of a pair in a word or two, where a margin was given.
pub fn verdict(pair: &Pair, metric: &Metric) -> Option<String> {
    Some(match pair.margin?.verdict {
        Settled::Same => "the same".to_owned(),
        Settled::Undecided(Some(more)) => format!("undecided (+{})", counted(more, "seed")),
        Settled::Undecided(None) => "undecided".to_owned(),
        above => match (metric.more_is_better, above == Settled::Above) {
            (None, true) => "above",
            (None, false) => "below",
            (Some(more), above) if more == above => "better",
            _ => "worse",
        }
        .to_owned(),
    })
}

/// The comparisons with controls in one sentence; `None` where there are none.
pub fn of_controls(pairs: &[Pair]) -> Option<String> {
    let shown = pairs.iter().filter(|pair| is_shown(pair)).count();
    match (pairs.len(), shown) {
        (0, _) => None,
        (1, 0) => Some("The comparison with a control shows no difference.".to_owned()),
        (1, _) => Some("The comparison with a control shows a difference.".to_owned()),
        (all, 0) => Some(format!("None of {all} comparisons with controls shows a difference.")),
        (all, 1) => Some(format!("1 of {all} comparisons with controls shows a difference.")),
        (all, shown) => Some(format!("{shown} of {all} comparisons with controls show a difference.")),
    }
}

/// A probability for people: 0.004, 1.2e-4, < 1e-6.
pub fn probability(p: f64) -> String {
    match p {
        p if p < 1e-6 => "< 1e-6".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        // Two numbers on the two sides of the level never read alike.
        p if p < 0.1 && (p < LEVEL) == (format!("{p:.3}").parse::<f64>().is_ok_and(|shown| shown < LEVEL)) => {
            format!("{p:.3}")
        }
        p if p < 0.1 => format!("{p:.5}"),
        p => format!("{p:.2}"),
    }
}

/// `= 0.004`, or `< 1e-6`.
fn equals(p: f64) -> String {
    let text = probability(p);
    if text.starts_with('<') { text } else { format!("= {text}") }
}
