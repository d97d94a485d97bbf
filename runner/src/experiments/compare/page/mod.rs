//! A comparison as one page that fetches nothing: tables that sort, charts that zoom, and a page for each run within
//! it.

mod axes;
mod columns;
mod curves;
mod data;
mod panels;

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::sentence::{self, is_shown, probability};
use super::text::{Table, counts, headline_metrics, spread};
use super::{Cells, Comparison, Pair};
use crate::experiments::index::Record;
use crate::output::{self, Curves, rounded};
use crate::printable::counted;
use crate::run::{Damage, check_events, log_lines};

pub use panels::{Maps, Over, maps, over_sparsity};

/// Sentences that are written out at most: more are not read.
const SENTENCES: usize = 24;

/// What is wrong with the logs of the runs, by the number of the run: their curves are left out of the page.
pub fn damaged_logs(cells: &Cells) -> BTreeMap<usize, String> {
    let told = |(cell, record): (usize, &Record)| {
        let Damage { file, reason } = check_events(&record.folder, &record.summary).err()?;
        Some((cell, format!("{}: {reason}; its curves are left out", record.folder.join(file).display())))
    };
    cells.records.iter().enumerate().filter_map(told).collect()
}

/// Renders the page; the runs' events are read from their folders, but for the [damaged](damaged_logs) ones.
///
/// `claims` are what the runs were to show, with verdicts; `picture` is an SVG with its caption, above the costs.
pub fn page(
    title: &str,
    comparison: &Comparison,
    cells: &Cells,
    claims: &Table,
    picture: Option<(&str, &[String])>,
    damaged: &BTreeMap<usize, String>,
) -> String {
    let panels = panels::data(comparison);
    let lines = |cell: usize| log_lines(&cells.records[cell].folder).ok().filter(|_| !damaged.contains_key(&cell));
    let curves = |cell| lines(cell).map(|lines| Curves::of(lines, columns::POINTS)).unwrap_or_default();
    let data = data::of(comparison, cells, &panels, curves).to_string().replace("</", "<\\/");
    let body = html! {
        main #overview { (overview(title, comparison, cells, claims, (&panels, picture))) }
        main #cell hidden {}
        script type="application/json" id="data" { (PreEscaped(data)) }
        script { (PreEscaped(include_str!("data.js"))) (PreEscaped(include_str!("page.js"))) (PreEscaped(include_str!("curves.js"))) (PreEscaped(include_str!("start.js"))) }
    };
    output::page(title, include_str!("page.css"), body)
}

fn overview(
    title: &str,
    comparison: &Comparison,
    cells: &Cells,
    claims: &Table,
    (panels, picture): (&Value, Option<(&str, &[String])>),
) -> Markup {
    let metric = comparison.metric.label.as_ref();
    let runs: BTreeSet<usize> = comparison.groups.iter().flat_map(|group| group.cells.iter().copied()).collect();
    let families = [("Against the baseline", &comparison.pairs), ("Against their controls", &comparison.control_pairs)];
    let fronts = comparison.fronts.iter().enumerate();
    html! {
        header {
            h1 { (title) }
            p {
                (counted(runs.len(), "run")) " in " (counted(comparison.groups.len(), "group")) ", compared in " (metric)
                @if !comparison.by.is_empty() { ", by " (comparison.by.join(", ")) }
            }
        }
        @if panels["over"].is_object() {
            section.card.wide #over {
                h2 { "Over sparsity" }
                p { "Mean " (metric) " of each group, with its 95 % interval as a band. Drag to zoom, double-click to see everything; point at something, or use the arrow keys, for the numbers." }
                div.legend {}
                div.fronts {}
            }
        }
        @if !claims.rows.is_empty() {
            section.card.wide {
                h2 { "Claims" }
                p { "What these runs were to show, as their config says it. All intervals hold at once with 95 %." }
                div.scroll { (claimed(claims)) }
            }
        }
        section.card.wide {
            h2 { "What is shown" }
            (sentences(comparison))
            @for note in &comparison.notes { p.note { "Note: " (note) "." } }
        }
        @for (title, pairs) in families {
            @if !pairs.is_empty() {
                section.card.wide {
                    h2 { (title) }
                    p {
                        "Paired differences in " (metric) ", seed by seed. Interval and p hold for all "
                        "comparisons of this table at once (Bonferroni" @if comparison.bootstrap { ", BCa bootstrap" } "). Hover for the sentence."
                    }
                    div.scroll { (differences(comparison, pairs)) }
                }
            }
        }
        @if panels["maps"].is_object() {
            section.card.wide #maps {
                h2 { "Two keys at a time" }
                p { "Mean " (metric) " for every combination: the deeper the colour, the more. Point at a cell, or use the arrow keys, for the numbers." }
                div.fronts {}
            }
        }
        (curves::section())
        @if comparison.groups.iter().any(|group| !group.failed.is_empty()) {
            section.card.wide {
                h2 { "Failed" }
                div.scroll { (failed(comparison, cells)) }
            }
        }
        section.card.wide {
            h2 { "Groups" }
            p { "Mean ± standard deviation over runs, and the 95 % interval of " (metric) ". Hover over a head for what it means." }
            div.scroll { (groups(comparison, cells)) }
        }
        @if let Some((svg, lines)) = picture {
            section.card.wide {
                h2 { "Ranks" }
                @for line in lines { p { (line) "." } }
                div.scroll { (PreEscaped(svg)) }
            }
        }
        @if !comparison.fronts.is_empty() {
            section.card.wide {
                h2 { "Cost" }
                p { "Means with 95 % intervals; the line joins the Pareto front. Drag to zoom, double-click to see everything." }
                div.legend #legend {}
                div.fronts { @for (number, front) in fronts { div.chart data-front=(number) { h3 { (metric) " against " (front.cost.label) } } } }
            }
        }
        section.card.wide {
            h2 { "Runs" }
            p { "Click one for its curves, its pruning steps, and how its config differs from the baseline." }
            div.controls {
                label {
                    "Find " input type="search" #find placeholder="words, failed, seed=3, test_accuracy>0.9";
                }
                span #found {}
            }
            div.scroll { table.sortable #runs {} }
        }
    }
}

/// What was found, in words: of very many comparisons those first that show a difference, and the others where they are asked for.
fn sentences(comparison: &Comparison) -> Markup {
    let (mut first, mut rest): (Vec<&Pair>, Vec<&Pair>) = (comparison.pairs.iter().collect(), Vec::new());
    if first.len() > SENTENCES {
        (first, rest) = first.into_iter().partition(|pair| is_shown(pair));
        let moved = first.split_off(first.len().min(SENTENCES));
        rest.extend(moved);
    }
    html! {
        ul.sentences {
            @for pair in &first { li.shown[is_shown(pair)] { (pair.sentence) } }
            @if let Some(summary) = sentence::of_controls(&comparison.control_pairs) { li { (summary) } }
            @if comparison.pairs.is_empty() && comparison.control_pairs.is_empty() { li { "There is nothing to compare." } }
        }
        @if !rest.is_empty() {
            p.note {
                (first.len()) " of " (comparison.pairs.len()) " comparisons; the others are in the table below: hover over a row for its sentence."
            }
        }
    }
}

fn claimed(claims: &Table) -> Markup {
    html! {
        table.sortable.claims {
            thead { tr { @for head in &claims.head { th { (head) } } } }
            tbody { @for row in &claims.rows { tr { @for cell in row { td { (cell) } } } } }
        }
    }
}

/// One row a pair, with its interval drawn to the scale of the table.
fn differences(comparison: &Comparison, pairs: &[Pair]) -> Markup {
    let metric = &comparison.metric;
    let ends = |pair: &Pair| {
        let mean = pair.found.map_or(0.0, |found| found.mean);
        pair.family.map_or((mean, mean), |family| (family.interval.low, family.interval.high))
    };
    let (low, high) = pairs.iter().map(ends).fold((0.0f64, 0.0f64), |(low, high), (a, b)| (low.min(a), high.max(b)));
    // A tenth of a pixel, and as many digits as put rows in order: hundreds of rows are long enough.
    let (width, sort) = ((high - low).max(f64::MIN_POSITIVE), |value: f64| rounded(value, 7));
    let x = |value: f64| (60.0 + 1480.0 * (value - low) / width).round() / 10.0;
    let none = || "–".to_owned();
    let p = |p: Option<f64>| p.map_or_else(none, probability);
    let heads = [
        ("compared", "A group and what it is compared with"),
        ("seeds", "Pairs: one difference for each seed, the mean over settings where there are several"),
        ("difference", "Mean of the differences, the first minus the second"),
        ("95 % interval", "Of the mean difference; all intervals of this table hold at once with 95 %"),
        ("", "The interval, drawn to the scale of the table"),
        (
            "p",
            if comparison.bootstrap {
                "By bootstrap, corrected for all comparisons of this table"
            } else {
                "Paired t-test, corrected for all comparisons of this table"
            },
        ),
        ("p alone", "Paired t-test, as if it were the only comparison"),
        ("p, Wilcoxon", "Signed-rank test, as if it were the only comparison"),
        ("effect d", "Mean difference in standard deviations of the differences"),
    ];
    html! {
        table.sortable.differences {
            thead { tr {
                @for (head, about) in heads { th title=(about) { (head) } }
                @if let Some(margin) = comparison.margin { th title="Better, worse, the same within the margin, or undecided and how many seeds more would settle it" { "verdict at " (metric.difference(margin)) } }
            } }
            tbody {
                @for pair in pairs {
                    @let (group, baseline) = (&comparison.groups[pair.group], &comparison.groups[pair.baseline]);
                    tr.shown[is_shown(pair)] title=(pair.sentence) {
                        td { (group.label) span.soft { " – " (baseline.label) } }
                        @if let Some(found) = &pair.found {
                            @let (a, b) = ends(pair);
                            td { (found.n) }
                            td data-sort=(sort(found.mean)) { (if found.mean < 0.0 { "−" } else { "+" }) (metric.difference(found.mean.abs())) }
                            td data-sort=(sort(a)) { @if pair.family.is_some() { "[" (metric.bare(a)) ", " (metric.bare(b)) "]" } @else { "–" } }
                            td data-sort=(sort(found.mean)) {
                                svg.forest viewBox="0 0 160 18" {
                                    line.zero x1=(x(0.0)) x2=(x(0.0)) y1="0" y2="18" {}
                                    line.range x1=(x(a)) x2=(x(b)) y1="9" y2="9" {}
                                    circle cx=(x(found.mean)) cy="9" r="4" {}
                                }
                            }
                            td data-sort=[pair.family.map(|family| sort(family.p))] { (p(pair.family.map(|family| family.p))) }
                            td data-sort=[found.p_t.map(sort)] { (p(found.p_t)) }
                            td data-sort=[found.p_wilcoxon.map(sort)] { (p(found.p_wilcoxon)) }
                            td { (found.effect.map_or_else(none, |effect| format!("{effect:.2}"))) }
                        } @else {
                            td { "0" } td { "not compared" } @for _ in 0..6 { td { "–" } }
                        }
                        @if comparison.margin.is_some() { td { (sentence::verdict(pair, metric).unwrap_or_else(none)) } }
                    }
                }
            }
        }
    }
}

fn groups(comparison: &Comparison, cells: &Cells) -> Markup {
    let metrics = headline_metrics(comparison);
    html! {
        table.sortable #groups {
            thead { tr { th title="Runs that differ in their seeds alone" { "group" } th title="How many finished, and how many failed" { "runs" } @for metric in &metrics { th title=(metric.about) { (metric.label) } } } }
            tbody {
                @for group in &comparison.groups {
                    tr.control[group.control.is_some()] title=[cells.failure(group)] {
                        td { (group.label) } td.failed[!group.failed.is_empty()] data-sort=(group.cells.len()) { (counts(group)) }
                        @for metric in &metrics {
                            @match group.metrics.get(&*metric.key) {
                                Some(sample) => td data-sort=(rounded(sample.mean, 7)) {
                                    (spread(metric, sample, false))
                                    @if let Some(i) = sample.interval.filter(|_| *metric == comparison.metric) {
                                        " " span.soft.range { "[" (metric.bare(i.low)) ", " (metric.bare(i.high)) "]" }
                                    }
                                },
                                None => td {},
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What did not finish, and why.
fn failed(comparison: &Comparison, cells: &Cells) -> Markup {
    html! {
        table.sortable {
            thead { tr { th title="Runs that differ in their seeds alone" { "group" } th title="How many of its runs failed" { "failed" } th.why title="What the first of them said" { "why" } } }
            tbody {
                @for group in comparison.groups.iter().filter(|group| !group.failed.is_empty()) {
                    tr { td { (group.label) } td.failed { (group.failed.len()) " of " (group.failed.len() + group.cells.len()) } td.why { (cells.failure(group).unwrap_or_default()) } }
                }
            }
        }
    }
}
