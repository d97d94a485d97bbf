//! The numbers of the report: headlines and the table of pruning steps.

use maud::{Markup, html};
use secateur::training::Inference;
use serde_json::{Map, Value};

use super::history::History;
use crate::output::share::percent;

/// A label of more letters takes the room of two.
const LONG: usize = 40;

/// One metric for people: `92.1 %`, "test accuracy".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headline {
    /// The number with its unit.
    pub value: String,
    /// What is measured.
    pub label: String,
}

/// The metrics of a summary that matter most, those it has.
pub fn headlines(summary: &Map<String, Value>) -> Vec<Headline> {
    let number = |key: &str| summary.get(key).and_then(Value::as_f64);
    let share = |key: &str| number(key).map(percent);
    let kept = |key: &str, noun: &str| {
        let (dense, kept) = (number(&format!("{key}_dense"))?, number(&format!("{key}_kept"))?);
        Some((count(kept), format!("of {} {noun} remaining", count(dense))))
    };
    let seconds = |key: &str| number(key).unwrap_or(0.0);
    let (train, prune, eval) = (seconds("seconds_train"), seconds("seconds_prune"), seconds("seconds_eval"));
    let all = [
        share("test_accuracy").map(|value| (value, "test accuracy".to_owned())),
        number("test_loss").map(|value| (loss(value), "test loss".to_owned())),
        number("test_r2").map(|value| (format!("{value:.4}"), "R² on the test split".to_owned())),
        share("unit_sparsity").map(|value| (value, "of all units removed".to_owned())),
        share("sparsity").map(|value| (value, "of all weights removed".to_owned())),
        on_paths(summary),
        kept("params", "parameters"),
        kept("macs", "multiply-adds"),
        inference(summary),
        number("seconds_train").map(|_| {
            let parts = format!("train {}, prune {}, evaluate {}", time(train), time(prune), time(eval));
            (time(train + prune + eval), parts)
        }),
        number("peak_memory_bytes").map(|bytes| (format!("{:.0} MB", bytes / 1e6), "peak memory".to_owned())),
    ];
    all.into_iter().flatten().map(|(value, label)| Headline { value, label }).collect()
}

/// How many of the weights that are left work, where not all of them do.
fn on_paths(summary: &Map<String, Value>) -> Option<(String, String)> {
    let whole = |key: &str| summary.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (kept, effective) = (whole("nnz")?, whole("nnz_effective")?);
    let units = whole("units_cut_off").filter(|n| *n > 0).map(|n| format!("; {} cut off", units(n)));
    let end = match effective {
        _ if effective == kept => return None,
        0 => "; the outputs do not depend on the inputs".to_owned(),
        _ => units.unwrap_or_default(),
    };
    let text = format!("of the {} prunable weights left are on a path from an input to an output{end}", grouped(kept));
    Some((grouped(effective), text))
}

/// What inference takes, where pruning went by it.
fn inference(summary: &Map<String, Value>) -> Option<(String, String)> {
    let found: Inference = serde_json::from_value(summary.get("inference")?.clone()).ok()?;
    let asked = found.asked.map(|asked| format!("{} asked, ", percent(asked))).unwrap_or_default();
    let shrunk = if found.shrunk { "" } else { "; of the network that prune.apply = \"shrink\" would leave" };
    let text = format!(
        "for a batch of {}, {:.3} ms dense: {} gone ({asked}{} by the table){shrunk}",
        found.batch,
        found.dense,
        percent(found.measured),
        percent(found.predicted),
    );
    Some((format!("{:.3} ms", found.pruned), text))
}

fn units(n: usize) -> String {
    if n == 1 { "1 unit".to_owned() } else { format!("{} units", grouped(n)) }
}

/// The headlines side by side.
pub fn tiles(summary: &Map<String, Value>) -> Markup {
    html! {
        div.tiles { @for one in headlines(summary) { div.tile.long[one.label.len() > LONG] { b { (one.value) } span { (one.label) } } } }
    }
}

/// One row for each pruning step, or nothing where nothing was pruned.
pub fn prune_table(history: &History) -> Markup {
    if history.prunes.is_empty() {
        return html! {};
    }
    let regrown = history.prunes.iter().any(|prune| prune.regrown > 0);
    let measured = history.prunes.iter().any(|prune| prune.accuracy.is_some());
    let planned = history.prunes.iter().any(|prune| prune.planned.is_some());
    let layers = if history.shrinks() && history.layers.len() <= 8 { history.layers.as_slice() } else { &[] };
    html! {
        section.card.wide {
            h2 { "Pruning steps" }
            p {
                "Target and achieved are fractions of the " (history.of_what()) "; parameters are "
                "those of the whole network."
                @if history.pruned_times > history.prunes.len() as u64 {
                    " There were " (grouped(history.pruned_times as usize)) " pruning steps; some of them are shown, evenly spread."
                }
            }
            div.scroll {
                table {
                    thead { tr {
                        th { "epoch" } th { "step" }
                        @if planned { th { "planned at most" } }
                        th { "target" } th { "achieved" }
                        @for layer in layers { th { (layer.name) } }
                        th { "parameters remaining" }
                        @if regrown { th { "pruned" } th { "regrown" } }
                        @if measured { th { (history.held_out) " accuracy before" } th { "after" } th { "change" } }
                        th { "time" }
                    } }
                    tbody {
                        @for prune in &history.prunes {
                            tr {
                                td { (prune.epoch) } td { (prune.step) }
                                @if planned { td { (prune.planned.map(percent).unwrap_or_default()) } }
                                td { (prune.target.map_or("its own".to_owned(), percent)) } td { (percent(prune.achieved)) }
                                @for layer in layers { td { @if let Some(units) = prune.units.get(&layer.name) { (units) } } }
                                td { (grouped(prune.weights_kept)) }
                                @if regrown { td { (grouped(prune.pruned)) } td { (grouped(prune.regrown)) } }
                                @if measured { (change(prune.accuracy)) }
                                td { (time(prune.seconds)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn change(accuracy: Option<(f64, f64)>) -> Markup {
    let Some((before, after)) = accuracy else { return html! { td {} td {} td {} } };
    let points = (after - before) * 100.0;
    html! {
        td { (percent(before)) } td { (percent(after)) }
        td.down[points <= -1.0] { (format!("{points:+.1} points").replace('-', "−")) }
    }
}

/// A loss with about five digits that count.
fn loss(value: f64) -> String {
    let decimals = if value >= 100.0 { 1 } else { 4 };
    format!("{value:.decimals$}")
}

/// A number of three digits: 40.7 k, 85.2 M.
fn count(value: f64) -> String {
    let (scaled, unit) = match value {
        v if v >= 1e9 => (v / 1e9, " G"),
        v if v >= 1e6 => (v / 1e6, " M"),
        v if v >= 1e4 => (v / 1e3, " k"),
        v => return grouped(v as usize),
    };
    let decimals = if scaled < 100.0 { 1 } else { 0 };
    format!("{scaled:.decimals$}{unit}")
}

/// A whole number with its thousands apart: 40,700.
fn grouped(value: usize) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min {:.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!("{:.0} h {:.0} min", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_nothing_are_said_to() {
        let text = |nnz: u64, effective: u64, units: u64| {
            let summary = serde_json::json!({"nnz": nnz, "nnz_effective": effective, "units_cut_off": units});
            let headlines = headlines(summary.as_object().unwrap());
            headlines.iter().map(|one| format!("{} {}", one.value, one.label)).collect::<String>()
        };
        assert_eq!(
            text(1712, 0, 8),
            "0 of the 1,712 prunable weights left are on a path from an input to an output; the outputs do not depend \
             on the inputs"
        );
        assert_eq!(
            text(1712, 1200, 1),
            "1,200 of the 1,712 prunable weights left are on a path from an input to an output; 1 unit cut off"
        );
        assert_eq!(text(1712, 1712, 0), "");
        assert!(headlines(serde_json::json!({"status": "finished"}).as_object().unwrap()).is_empty(), "an old run");
    }

    #[test]
    fn times_are_told_with_what_was_asked_and_predicted() {
        let text = |shrunk: bool| {
            let inference = serde_json::json!({
                "batch": 64, "dense": 2.0, "pruned": 1.25, "asked": 0.4, "predicted": 0.4125, "measured": 0.375,
                "shrunk": shrunk,
            });
            let summary = serde_json::json!({ "inference": inference });
            let all = headlines(summary.as_object().unwrap());
            all.iter().map(|one| format!("{} {}", one.value, one.label)).collect::<String>()
        };
        let told = "1.250 ms for a batch of 64, 2.000 ms dense: 37.5 % gone (40.0 % asked, 41.2 % by the table)";
        assert_eq!(text(true), told);
        assert_eq!(text(false), format!("{told}; of the network that prune.apply = \"shrink\" would leave"));
    }

    #[test]
    fn numbers_are_written_for_readers() {
        assert_eq!([grouped(7), grouped(40_700), grouped(1_000_000)], ["7", "40,700", "1,000,000"]);
        assert_eq!([count(9_999.0), count(40_700.0), count(85.2e6)], ["9,999", "40.7 k", "85.2 M"]);
        let times = [0.000_02, 0.0031, 2.0, 75.0, 7260.0].map(time);
        assert_eq!(times, ["20 µs", "3 ms", "2.0 s", "1 min 15 s", "2 h 1 min"]);
    }
}
