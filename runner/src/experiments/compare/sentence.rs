//! A comparison in words.

use super::group::{Group, Metric};
use super::pair::{EQUAL, Pair};
use crate::output::percent;

/// A difference with this probability or less is called one.
pub const LEVEL: f64 = 0.05;

/// What a pair says; `corrected` where there were other comparisons beside it.
pub fn of(pair: &Pair, group: &Group, baseline: &Group, metric: Metric, corrected: bool) -> String {
    let (a, b) = (&group.label, &baseline.label);
    if !pair.unlike.is_empty() {
        return format!("{a} and {b} are not compared, because they are unlike: {}.", pair.unlike.join("; "));
    }
    let Some(found) = pair.found else {
        return format!("{a} and {b} are not compared: no seed has both.");
    };
    let above = if found.mean >= 0.0 { "above" } else { "below" };
    let size = metric.difference(found.mean.abs());
    let verdict = match (found.interval, pair.p_holm) {
        (Some(interval), Some(p)) => {
            let range = format!("[{}, {}]", metric.bare(interval.low), metric.bare(interval.high));
            let test =
                format!("p = {}{}, {} pairs", probability(p), if corrected { " after Holm" } else { "" }, found.n);
            if p <= LEVEL {
                format!("{a} is {size} {above} {b} {range} {}, {test}", budget(group, baseline))
            } else {
                format!(
                    "No difference is shown between {a} and {b} {}: {size} {above} {range}, {test}",
                    budget(group, baseline)
                )
            }
        }
        (Some(_), None) => {
            format!("{a} is {size} {above} {b} in each of {} pairs; without variation there is no test", found.n)
        }
        _ => format!("{a} is {size} {above} {b} in one pair, which shows nothing: run more seeds"),
    };
    let mut text = verdict + &cost(group, baseline) + ".";
    if !pair.asked.is_empty() {
        text += &format!(" The budgets differ: {}.", pair.asked.join("; "));
    }
    if !pair.missing.is_empty() {
        let shown = pair.missing.iter().take(4).cloned().collect::<Vec<_>>().join("; ");
        let more = if pair.missing.len() > 4 { "; ..." } else { "" };
        text += &format!(" Left out for want of a partner: {shown}{more}.");
    }
    text
}

/// The comparisons with controls in one sentence; `None` where there are none.
pub fn of_controls(pairs: &[Pair]) -> Option<String> {
    let shown = pairs.iter().filter(|pair| pair.p_holm.is_some_and(|p| p <= LEVEL)).count();
    match (pairs.len(), shown) {
        (0, _) => None,
        (all, 0) => Some(format!("None of {all} comparisons with controls shows a difference.")),
        (all, shown) => Some(format!("{shown} of {all} comparisons with controls show a difference.")),
    }
}

/// A probability for people: 0.004, 1.2e-4, < 1e-6.
pub fn probability(p: f64) -> String {
    match p {
        p if p < 1e-6 => "< 1e-6".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

fn budget(group: &Group, baseline: &Group) -> String {
    let both = |key| Some((group.mean(key)?, baseline.mean(key)?));
    match (both("sparsity"), both("params_kept")) {
        (Some((a, b)), _) if (a - b).abs() <= EQUAL => format!("at equal sparsity ({} of all weights)", percent(a)),
        (_, Some((a, b))) if (a / b - 1.0).abs() <= 0.02 => "with as many parameters".to_owned(),
        (Some((a, b)), _) => {
            format!("at unequal sparsity ({} of all weights against {})", percent(a), percent(b))
        }
        _ => String::new(),
    }
}

/// What the difference costs in time; said with care where the 95 % intervals of the two means overlap.
fn cost(group: &Group, baseline: &Group) -> String {
    let (Some(a), Some(b)) = (group.metrics.get("seconds"), baseline.metrics.get("seconds")) else {
        return String::new();
    };
    let percent = (a.mean / b.mean - 1.0) * 100.0;
    let unsure = match (a.interval, b.interval) {
        (Some(a), Some(b)) if a.low <= b.high && b.low <= a.high => ", within the spread of the runs",
        _ => "",
    };
    match percent {
        p if !p.is_finite() => String::new(),
        p if p.abs() < 1.0 => "; it takes as long".to_owned(),
        p if p > 0.0 => format!("; it costs {p:.0} % more time{unsure}"),
        p => format!("; it takes {:.0} % less time{unsure}", -p),
    }
}
