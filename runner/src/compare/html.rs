//! A comparison as one page that fetches nothing: tables that sort, charts that zoom, and a page for each run within it.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::keys::{self, Flat};
use super::text::{figures, json as as_json, spread};
use super::{Cells, Comparison};
use crate::report::{Curves, STYLE};

/// Renders the page; the runs' events are read from their folders.
pub fn page(title: &str, comparison: &Comparison, cells: &Cells) -> String {
    let data = data(comparison, cells).to_string().replace("</", "<\\/");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – Secateur" }
                style { (PreEscaped(STYLE)) (PreEscaped(include_str!("page.css"))) }
            }
            body {
                main #overview { (overview(title, comparison)) }
                main #cell hidden {}
                script type="application/json" id="data" { (PreEscaped(data)) }
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    page.into_string()
}

fn overview(title: &str, comparison: &Comparison) -> Markup {
    let metric = comparison.metric.label;
    html! {
        header { h1 { (title) } p { (comparison.groups.iter().map(|group| group.cells.len()).sum::<usize>()) " runs, compared in " (metric) } }
        section.card.wide {
            h2 { "What is shown" }
            ul.sentences {
                @for pair in comparison.pairs.iter().chain(&comparison.control_pairs) {
                    li.shown[pair.p_holm.is_some_and(|p| p <= 0.05)] { (pair.sentence) }
                }
                @if comparison.pairs.is_empty() && comparison.control_pairs.is_empty() { li { "There is nothing to compare." } }
            }
            @for note in &comparison.notes { p.note { (note) } }
        }
        section.card.wide { h2 { "Groups" } p { "Mean ± standard deviation over runs; " (metric) " with its 95 % interval." } div.scroll { (groups(comparison)) } }
        div.charts {
            @for (number, front) in comparison.fronts.iter().enumerate() {
                section.card {
                    h2 { (metric) " against " (front.cost.label) }
                    p { "Groups with 95 % intervals; the line joins the Pareto front. Drag to zoom, double-click to go back." }
                    div.chart data-front=(number) {}
                }
            }
        }
        section.card.wide { h2 { "Runs" } p { "Click a run for its curves, its pruning steps, and how its config differs from the baseline." } div.scroll { table.sortable #runs {} } }
    }
}

fn groups(comparison: &Comparison) -> Markup {
    let figures = figures(comparison);
    html! {
        table.sortable #groups {
            thead { tr { th { "group" } th { "runs" } @for figure in &figures { th { (figure.label) } } } }
            tbody {
                @for group in &comparison.groups {
                    tr.control[group.control.is_some()] {
                        td { (group.label) } td data-sort=(group.cells.len()) { (group.cells.len()) }
                        @for figure in &figures {
                            @match group.figures.get(figure.key) {
                                Some(sample) => td data-sort=(sample.mean) { (spread(*figure, sample, *figure == comparison.metric)) },
                                None => td {},
                            }
                        }
                    }
                }
            }
        }
    }
}

fn data(comparison: &Comparison, cells: &Cells) -> Value {
    let baseline = comparison.pairs.first().map_or(0, |pair| pair.baseline);
    let reference: Option<usize> = comparison.groups.get(baseline).and_then(|group| group.cells.first().copied());
    let reference: Flat = reference.map(|cell| cells.config(cell)).unwrap_or_default();
    let figures = figures(comparison);
    let mut runs = Vec::new();
    for (number, group) in comparison.groups.iter().enumerate() {
        for cell in &group.cells {
            let record = &cells.records[*cell];
            let config = cells.config(*cell);
            let mut all: Vec<&String> = config.keys().chain(reference.keys()).collect();
            all.sort();
            all.dedup();
            let differs: Vec<[&str; 3]> = (all.into_iter())
                .map(|key| [key.as_str(), keys::value(&config, key), keys::value(&reference, key)])
                .filter(|[_, own, other]| own != other)
                .collect();
            let values: Vec<Value> = (figures.iter())
                .map(|figure| {
                    figure.of(&record.summary).map_or(Value::Null, |value| json!([value, figure.written(value)]))
                })
                .collect();
            let folder = record.folder.file_name().map(|name| name.to_string_lossy().into_owned());
            runs.push(json!({
                "folder": folder, "group": number, "seed": keys::value(&config, "seed"), "figures": values, "differs": differs,
                "curves": Curves::read(&record.folder),
            }));
        }
    }
    let heads: Vec<Value> =
        figures.iter().map(|figure| json!({ "key": figure.key, "label": figure.label, "percent": figure.unit == super::group::Unit::Percent })).collect();
    let fronts: Vec<Value> =
        comparison.fronts.iter().map(|front| json!({ "key": front.cost.key, "groups": front.groups })).collect();
    let whole = as_json(comparison, cells);
    let groups: Vec<Value> = comparison
        .groups
        .iter()
        .map(|group| json!({ "label": group.label, "control": group.control, "figures": group.figures }))
        .collect();
    json!({ "metric": whole["metric"], "by": whole["by"], "figures": heads, "groups": groups, "fronts": fronts, "runs": runs })
}
