//! The page of `watch`: one that fetches itself anew, and nothing else.

use std::path::Path;

use maud::{Markup, PreEscaped, html};

use super::runs::{Run, Watched};
use super::tail::{Curve, Tail};
use crate::experiments::cluster::State;
use crate::experiments::sweep::time;
use crate::output::{Chart, Scale, Series, page, percent};
use crate::printable::in_one_line;

/// Rows of the table, lines of a chart: more than a person can read.
const ROWS: usize = 100;
const LINES: usize = 60;
/// Colours that a reader can tell apart.
const COLOURS: usize = 8;

const STYLE: &str = "
.cells { display: flex; flex-wrap: wrap; gap: 3px; }
.cells > * { width: 15px; height: 15px; border-radius: 3px; background: var(--rule); }
.cells .control { border-radius: 50%; }
.cells .running { background: var(--s1); } .cells .done { background: var(--s2); }
.cells .stopped { background: var(--s3); } .cells .failed { background: var(--s4); }
.cells + p { margin: 8px 0 0; font-size: 13px; color: var(--soft); }
progress { width: 110px; height: 8px; vertical-align: middle; accent-color: var(--s1); }
td.label, th.label { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 160px; }
a { color: inherit; }
#lost { display: none; color: var(--s4); } .lost #lost { display: block; }
.card { margin-bottom: 12px; } .charts .card { margin-bottom: 0; }
.find, .found { display: block; font-size: 13px; color: var(--soft); margin: 0 0 10px; }
.find input { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 3px 8px; width: min(320px, 70vw); }
";

/// What was scrolled stays where it is; a page that nobody looks at asks for nothing.
const SCRIPT: &str = "
const main = document.getElementById('now');
const find = document.getElementById('find');
let before = '', waits;
async function look() {
  clearTimeout(waits);
  try {
    if (!document.hidden) {
      const answer = await fetch('now?find=' + encodeURIComponent(find.value), { cache: 'no-store' });
      if (!answer.ok) throw new Error(answer.status);
      const text = await answer.text();
      if (text !== before) {
        const at = [...main.querySelectorAll('.scroll')].map(box => box.scrollTop);
        main.innerHTML = before = text;
        main.querySelectorAll('.scroll').forEach((box, i) => { box.scrollTop = at[i] || 0; });
      }
      document.body.classList.remove('lost');
    }
  } catch { document.body.classList.add('lost'); }
  clearTimeout(waits);
  waits = setTimeout(look, 2000);
}
find.addEventListener('input', () => { clearTimeout(waits); waits = setTimeout(look, 150); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
waits = setTimeout(look, 2000);
";

/// The whole page.
pub fn whole(watched: &Watched) -> String {
    let body = html! {
        main {
            label.find { "Find runs " input type="search" id="find" placeholder="words of their names, or failed"; }
            div id="now" { (now(watched, &[])) }
        }
        script { (PreEscaped(SCRIPT)) }
    };
    page(&name(watched), STYLE, body)
}

/// What changes on it, with the runs that all these words stand in.
pub fn now(watched: &Watched, words: &[String]) -> Markup {
    let found: Vec<_> = of_interest(watched).into_iter().filter(|(_, run)| is_named(run, words)).collect();
    let counts = watched.counts();
    let (total, done) = (counts.iter().map(|(_, count)| count).sum::<usize>(), count_of(&counts, "done"));
    html! {
        header {
            h1 { (name(watched)) }
            span.status { (if total == 1 { "1 run".to_owned() } else { format!("{done} of {total} runs done") }) }
            p { (summary(watched)) }
            p id="lost" { "The program that this page follows does not answer any more." }
        }
        @if total > 1 { section.card { (cells(watched)) } }
        @if !words.is_empty() { p.found { (found.len()) " of " (watched.runs.len()) " runs" } }
        (table(watched, &found))
        div.charts {
            (chart(&found, "Accuracy", Scale::Percent, |tail| if tail.accuracy.newest().is_some() { &tail.accuracy } else { &tail.train_accuracy }))
            (chart(&found, "Training loss", Scale::Plain, |tail| &tail.loss))
            (chart(&found, "Pruned", Scale::Percent, |tail| &tail.sparsity))
        }
    }
}

fn name(watched: &Watched) -> String {
    let name = watched.folder.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| watched.folder.display().to_string())
}

fn count_of(counts: &[(&str, usize)], state: &str) -> usize {
    counts.iter().find(|(name, _)| *name == state).map_or(0, |(_, count)| *count)
}

/// The counts, and how long it will take, in one line.
pub fn summary(watched: &Watched) -> String {
    let counts: Vec<String> = watched.counts().iter().map(|(name, count)| format!("{count} {name}")).collect();
    match (counts.is_empty(), watched.seconds_left()) {
        (true, _) => "No run has begun here.".to_owned(),
        (_, Some(left)) => format!("{}; about {} left", counts.join(", "), time(left)),
        (_, None) => counts.join(", "),
    }
}

/// The address of a run's report, below that of the page.
pub fn address(watched: &Watched, folder: &Path) -> String {
    let below = folder.strip_prefix(&watched.folder).unwrap_or(folder);
    let parts = below.iter().map(|part| percent_encoded(&part.to_string_lossy()));
    ["run".to_owned()].into_iter().chain(parts).collect::<Vec<_>>().join("/")
}

/// Letters that mean something in an address are written as numbers.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A square for each cell, a circle for each control.
fn cells(watched: &Watched) -> Markup {
    html! {
        div.cells {
            @for (folder, run) in &watched.runs {
                a.(run.state.name()).control[run.control.is_some()] href=(address(watched, folder)) target="_blank" title=(hint(run)) {}
            }
            @for label in &watched.waiting { span.waiting title=(format!("{label}: waiting")) {} }
        }
        p { "A square is a cell, a circle a control; each leads to its report." }
    }
}

fn hint(run: &Run) -> String {
    let steps = run.steps().map(|(step, steps)| format!(", step {step} of {steps}")).unwrap_or_default();
    format!("{}: {}{steps}", label(run), run.state.name())
}

/// What a person calls it, in one line.
pub fn label(run: &Run) -> String {
    in_one_line(&match &run.control {
        Some(kind) => format!("control {kind} of {}", run.label),
        None => run.label.clone(),
    })
}

/// The runs that a person wants to see first: those that run, then those that something happened to.
pub fn of_interest(watched: &Watched) -> Vec<(&Path, &Run)> {
    let order = |run: &Run| match run.state {
        State::Running(_) => 0,
        State::Failed(..) => 1,
        State::Stopped(_) => 2,
        State::Waiting => 3,
        State::Done(_) => 4,
    };
    let mut all: Vec<_> = watched.runs.iter().map(|(folder, run)| (folder.as_path(), run)).collect();
    all.sort_by_key(|(_, run)| order(run));
    all
}

/// Why a run is not done, in one line.
pub fn reason(run: &Run) -> String {
    match &run.state {
        State::Running(held) => held.who(),
        State::Failed(error, _) => error.lines().next().unwrap_or_default().to_owned(),
        State::Stopped(_) => "nobody goes on with it".to_owned(),
        State::Done(Some(seconds)) => format!("took {}", time(*seconds)),
        State::Done(None) | State::Waiting => String::new(),
    }
}

/// Whether all these words, in small letters, stand in what the table says of a run.
fn is_named(run: &Run, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let told = format!("{} {} {}", label(run), run.state.name(), reason(run)).to_lowercase();
    words.iter().all(|word| told.contains(word))
}

fn table(watched: &Watched, all: &[(&Path, &Run)]) -> Markup {
    let hidden = all.len().saturating_sub(ROWS);
    html! {
        @if !all.is_empty() {
            section.card {
                div.scroll {
                    table {
                        thead { tr { th.label { "run" } th { "state" } th { "steps" } th { "accuracy" } th { "pruned" } th { "left" } th.label { "" } } }
                        tbody {
                            @for (folder, run) in all.iter().take(ROWS) {
                                tr {
                                    td.label { a href=(address(watched, folder)) target="_blank" { (label(run)) } }
                                    td.down[matches!(run.state, State::Failed(..))] { (run.state.name()) }
                                    td {
                                        @if let Some((step, steps)) = run.steps() {
                                            (step) " of " (steps) " " progress max=(steps) value=(step.min(steps)) {}
                                        }
                                    }
                                    td { @if let Some((accuracy, of)) = run.accuracy() { (percent(accuracy)) " " (of) } }
                                    td { @if let Some(sparsity) = run.tail.sparsity.newest() { (percent(sparsity)) } }
                                    td { @if let Some(left) = run.seconds_left() { (time(left)) } }
                                    td.label { (reason(run)) }
                                }
                            }
                        }
                    }
                }
                @if hidden > 0 { p.note { (hidden) " more, all of them further on in their life, are squares above." } }
            }
        }
    }
}

/// A line for each run.
fn chart(found: &[(&Path, &Run)], title: &str, scale: Scale, of: fn(&Tail) -> &Curve) -> Markup {
    let drawn: Vec<_> = found.iter().copied().filter(|(_, run)| of(&run.tail).newest().is_some()).collect();
    let (all, count) = (drawn.len(), drawn.len().min(LINES));
    let line = |(index, (_, run)): (usize, &(&Path, &Run))| match count > COLOURS {
        true => Series::of_many(&label(run), index, count, of(&run.tail).points()),
        false => Series::line(&label(run), index + 1, of(&run.tail).points()),
    };
    let series: Vec<_> = drawn.iter().take(LINES).enumerate().map(line).collect();
    let epochs = |run: &Run| run.tail.steps as f64 / run.tail.steps_per_epoch.max(1) as f64;
    let end = drawn.iter().take(LINES).map(|(_, run)| epochs(run)).fold(0.0, f64::max);
    let chart = Chart {
        axis: "epoch",
        end,
        scale,
        from_zero: title == "Pruned",
        marks: &[],
        many: "one line a run; hover to see which",
        series,
    };
    html! {
        @if count > 0 {
            section.card {
                h2 { (title) }
                (chart.draw())
                @if all > count { p.note { "The first " (count) " of the table; there are " (all) "." } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders_are_written_so_that_they_are_one_part_of_an_address() {
        assert_eq!(percent_encoded("s-12ab"), "s-12ab");
        assert_eq!(percent_encoded("a b/../ä?#"), "a%20b%2F..%2F%C3%A4%3F%23");
    }
}
