//! `report.html`: the curves of one run, in one file that fetches nothing.

mod chart;
mod collected;
mod curves;
mod history;
mod metrics;
mod pictures;
mod thinned;
mod weights;

use maud::{Markup, html};
use secateur::backend::Bits;
use secateur::plugins::registry::Kind;
use secateur::pruning::measure::LayerBurden;
use serde_json::{Map, Value};

use super::page::page;
use super::share::percent;
use crate::config::{Resolved, RunConfig, SeedsConfig};
pub use chart::{Chart, Scale, Series};
pub use curves::{Column, Curves, kept, rounded, thinned};
use history::{History, Point};
pub use metrics::headlines;
use pictures::Files;
pub use thinned::Thinned;

/// Colours that a reader can tell apart.
const COLOURS: usize = 8;
/// What lines are that are too many for a legend.
const LAYERS: &str = "one line a layer, from the first to the last";

/// Renders the report of a run from the lines of its `events.jsonl`, its final metrics (`summary.json`), its config,
/// and the pictures among its files.
pub fn render<L: AsRef<str>>(
    config: &Resolved,
    events: impl Iterator<Item = L>,
    summary: &Map<String, Value>,
    files: Files<'_>,
) -> String {
    let history = History::of(events);
    let body = html! {
        main {
            (head(config, summary))
            (notes(&history.notes))
            (metrics::tiles(summary))
            div.charts {
                @if history.has_accuracy() { section.card { h2 { "Accuracy" } (accuracy(&history)) } }
                section.card { h2 { "Loss" } (loss(&history)) }
                section.card { h2 { "Pruned" } (sparsity(&history)) }
                @if history.sparsity_by_layer().len() > 1 {
                    section.card { h2 { "Sparsity of each layer, of its " (history.of_what()) } (layers(&history, Scale::Percent, history.sparsity_by_layer())) }
                }
                @if history.has_learning_rates() { section.card { h2 { "Learning rate" } (learning_rate(&history)) } }
                @if history.shrinks() { section.card { h2 { "Units per layer" } (units(&history)) } }
                @if !history.burden.is_empty() {
                    section.card { h2 { "Gradient burden: ‖g‖₂ / √n of active weights" } (burden(&history, |l| l.gradient)) }
                    section.card { h2 { "Weight burden: ‖w‖₂ / √n of active weights" } (burden(&history, |l| l.weight)) }
                }
                @if history.prunes.iter().any(|prune| prune.regrown > 0) {
                    section.card { h2 { "Weights pruned and regrown, by epoch" } (churn(&history)) }
                }
            }
            (weights::card(&history))
            (pictures::cards(&history, files))
            (metrics::prune_table(&history))
            (config_table(config))
        }
    };
    page(&title(config, summary), "", body)
}

/// What varies in its sweep, after the sweep's name; the run's name where it is in none. A control says what it is.
fn title(config: &Resolved, summary: &Map<String, Value>) -> String {
    let text = |key: &str| summary.get(key).and_then(Value::as_str);
    let control = text("control").map(|kind| format!("control {kind} of ")).unwrap_or_default();
    match text("cell") {
        Some(cell) => format!("{}: {control}{cell}", config.name()),
        None => {
            format!("{}{}", config.name(), text("control").map(|kind| format!(": control {kind}")).unwrap_or_default())
        }
    }
}

fn head(config: &Resolved, summary: &Map<String, Value>) -> Markup {
    let status = summary.get("status").and_then(Value::as_str).unwrap_or("unfinished");
    let run = &config.run;
    let named = |kind| Some(run.plugin(kind)).filter(|name| !name.is_empty()).unwrap_or("–");
    html! {
        header {
            h1 { (title(config, summary)) }
            span.status.failed[status == "failed"] { (status) }
            p {
                (named(Kind::Model)) " on " (named(Kind::Data)) ", pruned by " (named(Kind::Criterion))
                ", schedule " (named(Kind::Schedule)) ", " (seeds(run))
                @if run.train.bits == Bits::Portable { ", bits " (run.train.bits) }
                @if let Some(of) = summary.get("control_of").and_then(Value::as_str) { br; "A control of the run in " (of) }
                @if let Some(fork) = summary.get("fork") { br; (left(fork)) }
                @if let Some(error) = summary.get("error").and_then(Value::as_str) { br; span.down { (error) } }
            }
        }
    }
}

/// The run's seed, and behind it whatever is drawn from another: `seed 3 (init 0, data 7)`.
fn seeds(run: &RunConfig) -> String {
    let SeedsConfig { init, split, order, pruner, data } = run.seeds;
    let all = [("init", init), ("split", split), ("order", order), ("pruner", pruner), ("data", data)];
    let own: Vec<_> = all.iter().filter_map(|(name, seed)| Some(format!("{name} {}", (*seed)?))).collect();
    let behind = if own.is_empty() { String::new() } else { format!(" ({})", own.join(", ")) };
    format!("seed {}{behind}", run.top.seed)
}

/// Which run a fork left, and where.
fn left(fork: &Value) -> String {
    let text = |key: &str| fork.get(key).and_then(Value::as_str).unwrap_or("?");
    let step = fork.get("step").and_then(Value::as_u64).unwrap_or(0);
    format!("Up to {} (from step {step} on with settings of its own) the run {}", text("at"), text("of"))
}

fn notes(notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            section.card.wide { h2 { "Notes" } ul { @for note in notes { li { (note) } } } }
        }
    }
}

fn accuracy(history: &History) -> Markup {
    let points = [&history.train_accuracy, &history.held_out_accuracy, &history.final_accuracy];
    curves(history, Scale::Percent, points)
}

fn loss(history: &History) -> Markup {
    curves(history, Scale::Plain, [&history.train_loss, &history.held_out_loss, &history.final_loss])
}

/// Training and held-out data as lines, the final test as a dot.
fn curves(history: &History, scale: Scale, [train, held_out, last]: [&Vec<Point>; 3]) -> Markup {
    let marks = marks(history);
    let last = Series { dots: true, ..Series::line("test, at the end", 4, last.clone()) };
    let series =
        vec![Series::line("training", 1, train.clone()), Series::line(&history.held_out, 2, held_out.clone()), last];
    Chart { axis: history.axis(), end: history.end, scale, from_zero: false, marks: &marks, many: LAYERS, series }
        .draw()
}

fn sparsity(history: &History) -> Markup {
    if history.prunes.is_empty() {
        return html! { p.empty { "Nothing was pruned." } };
    }
    let achieved = history.by_prune(0.0, |prune| prune.achieved);
    let zeros = history.by_prune(0.0, |prune| 1.0 - prune.weights_kept as f64 / prune.weights_total.max(1) as f64);
    let differs = achieved.iter().zip(&zeros).any(|((_, a), (_, b))| (a - b).abs() > 0.02);
    let mut series = Vec::new();
    if differs {
        series.push(Series::line("of all parameters", 5, zeros));
    }
    series.push(Series::line(&format!("of the {}", history.of_what()), 2, achieved));
    if history.prunes.iter().all(|prune| prune.target.is_some()) {
        let target = history.by_prune(0.0, |prune| prune.target.unwrap_or(f64::NAN));
        series.push(Series { dashed: true, ..Series::line("target for those", 3, target) });
    }
    Chart {
        axis: history.axis(),
        end: history.end,
        scale: Scale::Percent,
        from_zero: true,
        marks: &[],
        many: LAYERS,
        series,
    }
    .draw()
}

fn learning_rate(history: &History) -> Markup {
    let series = vec![Series::line("learning rate", 1, history.learning_rate.clone())];
    Chart {
        axis: history.axis(),
        end: history.end,
        scale: Scale::Plain,
        from_zero: true,
        marks: &[],
        many: LAYERS,
        series,
    }
    .draw()
}

fn units(history: &History) -> Markup {
    let curves = history.layers.iter().map(|layer| (layer.name.clone(), history.units(layer))).collect();
    layers(history, Scale::Plain, curves)
}

/// Burdens of layers lie factors apart, so that their scale counts factors.
fn burden(history: &History, value: fn(&LayerBurden) -> f64) -> Markup {
    layers(history, Scale::Log, history.burden_of(value))
}

/// One curve for each layer, with a name in the legend where there are few.
fn layers(history: &History, scale: Scale, curves: Vec<(String, Vec<Point>)>) -> Markup {
    let count = curves.len();
    let line = |(index, (name, points)): (usize, (String, Vec<Point>))| match count > COLOURS {
        true => Series::of_many(&name, index, count, points),
        false => Series::line(&name, index + 1, points),
    };
    let series = curves.into_iter().enumerate().map(line).collect();
    Chart { axis: history.axis(), end: history.end, scale, from_zero: true, marks: &[], many: LAYERS, series }.draw()
}

/// The first steps of a schedule take most weights, later ones exchange some: both can be seen where factors count.
fn churn(history: &History) -> Markup {
    let [pruned, regrown] = history.churn();
    let series = vec![Series::line("pruned", 3, pruned), Series::line("regrown", 2, regrown)];
    Chart {
        axis: history.axis(),
        end: history.end,
        scale: Scale::Log,
        from_zero: true,
        marks: &[],
        many: LAYERS,
        series,
    }
    .draw()
}

fn marks(history: &History) -> Vec<(f64, String)> {
    let mark = |prune: &history::PruneStep| {
        let (step, achieved, kept) = (prune.step, percent(prune.achieved), prune.weights_kept);
        let what = history.of_what();
        let text = format!("step {step}: {achieved} of the {what} are gone, {kept} parameters remaining");
        (prune.at, text)
    };
    history.prunes.iter().map(mark).collect()
}

fn config_table(config: &Resolved) -> Markup {
    html! {
        section.card.wide {
            details {
                summary { "Config, and where each value was set" }
                table.config {
                    thead { tr { th { "key" } th { "value" } th { "set by" } } }
                    tbody {
                        @for row in config.rows() {
                            tr.default[row.is_default] { td { (row.key) } td { (row.value) } td { (row.origin) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
