//! A search for people at a terminal.

use secateur::pruning::sparsest::{Found, Mode};

use super::file::File;
use crate::experiments::compare::Table;

/// A row for every number of weights, what they amount to, and the sparsest network.
pub fn table(file: &File, bold: &dyn Fn(&str) -> String) -> String {
    let (about, state) = (&file.about, &file.state);
    let head = ["weights", "networks", "trained", "separating", "seeds of the best", "steps", "accuracy", "widths"];
    let seeds = about.training.seeds;
    let rows = state.levels.iter().map(|level| {
        let best = level.best.first().or(level.nearest.as_ref());
        let of = |value: &dyn Fn(&Found) -> String| best.map_or_else(|| "–".to_owned(), value);
        let first = |found: &Found| found.separated.iter().map(|(_, step)| *step).min();
        vec![
            level.nnz.to_string(),
            level.wirings.to_string(),
            level.done.to_string(),
            level.separating.to_string(),
            of(&|found| format!("{} of {seeds}", found.separated.len())),
            of(&|found| first(found).map_or_else(|| "–".to_owned(), |step| step.to_string())),
            of(&|found| format!("{:.2} %", 100.0 * found.right as f64 / about.examples.max(1) as f64)),
            of(&|found| widths(&found.wiring.widths())),
        ]
    });
    let table = Table { head: head.map(str::to_owned).to_vec(), rows: rows.collect() };
    let mut text = table.aligned(bold);
    text += &format!("\n{}\n", verdict(file));
    if let Some(found) = state.minimum().and_then(|level| level.best.first()) {
        text += &format!("\n{}", network(found));
    }
    text
}

fn widths(widths: &[usize]) -> String {
    widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}

/// What was found, and how sure it is.
fn verdict(file: &File) -> String {
    let (about, state) = (&file.about, &file.state);
    let (examples, seeds) = (about.examples, about.training.seeds);
    let task = format!("{:.4} of {examples} examples of {}", about.training.accuracy, about.data);
    let whole = state.levels.iter().filter(|level| level.done == level.wirings).count();
    let bound = match (about.mode, state.minimum()) {
        (Mode::Every, Some(level)) => format!("minimum: {} weights separate {task}", level.nnz),
        (_, Some(level)) => format!("at most: {} weights separate {task}", level.nnz),
        (_, None) => format!("no network that was trained separates {task}"),
    };
    let fewer = match (about.mode, state.minimum().map(|level| level.nnz).or(state.levels.last().map(|l| l.nnz))) {
        (Mode::Every, Some(_)) => format!("; none with fewer did from {seeds} seeds ({whole} levels are whole)"),
        _ => String::new(),
    };
    format!("{bound}{fewer}\nnote: {}", about.note)
}

/// A network in words: what each unit reads, and with which weights.
fn network(found: &Found) -> String {
    let wiring = &found.wiring;
    let used: usize = wiring.nnz();
    let mut text = format!("the sparsest network: {used} weights, {} biases\n", wiring.parameters() - used);
    let mut numbers = found.numbers.iter();
    let mut next = || numbers.next().copied().unwrap_or(0.0);
    for (layer, rows) in wiring.layers().iter().enumerate() {
        for (unit, row) in rows.iter().enumerate() {
            let from = |at: usize| if layer == 0 { format!("x{}", at + 1) } else { format!("fc{layer}.{}", at + 1) };
            let reads: Vec<String> =
                (0..32).filter(|at| row >> at & 1 == 1).map(|at| format!("{:+.3} {}", next(), from(at))).collect();
            let (bias, last) = (next(), layer + 1 == wiring.layers().len());
            let sum = format!("{} {bias:+.3}", reads.join(" "));
            text += &if last {
                format!("  output = {sum}\n")
            } else {
                format!("  fc{}.{} = relu({sum})\n", layer + 1, unit + 1)
            };
        }
    }
    text
}
