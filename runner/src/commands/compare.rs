//! `secateur compare`

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::Path;

use serde_json::json;

use crate::cli::{CompareArgs, IntervalKind};
use crate::experiments::compare::{self, Cells, Question};
use crate::experiments::figures;
use crate::experiments::index::Index;
use crate::experiments::ranks::Ranks;
use crate::experiments::sweep::Waves;
use crate::failure::Failure;
use crate::printable::{markdown_line, printable};

pub fn execute(arguments: &CompareArgs) -> Result<(), Failure> {
    let mut records = Vec::new();
    for folder in &arguments.folders {
        if !folder.is_dir() {
            let fix = "name folders of runs or sweeps, such as runs/mnist-criteria";
            return Err(Failure::Usage(format!("{}: there is no such folder\n  fix: {fix}", folder.display())));
        }
        records.extend(Index::open(folder)?.records(folder)?);
    }
    records.sort_by(|a, b| a.folder.cmp(&b.folder));
    records.dedup_by(|a, b| a.folder == b.folder);
    let cells = Cells::new(records);
    let question = Question {
        by: arguments.by.clone(),
        metric: arguments.metric.clone(),
        baseline: arguments.baseline.clone(),
        margin: arguments.margin,
        bootstrap: arguments.interval == IntervalKind::Bootstrap,
        choose: arguments.choose.clone(),
    };
    if let Some(margin) = arguments.margin.filter(|margin| !(margin.is_finite() && *margin > 0.0)) {
        let fix = "give what does not matter: 0.5 for half a point of accuracy";
        return Err(Failure::Usage(format!("--margin {margin}: a margin is more than 0\n  fix: {fix}")));
    }
    if question.bootstrap && question.margin.is_some() {
        let fix = "leave out one of them: what is the same within a margin is told by t-tests";
        return Err(Failure::Usage(format!("--interval bootstrap: does not go with --margin\n  fix: {fix}")));
    }
    let mut comparison = cells.compare(&question).map_err(Failure::Usage)?;
    for folder in &arguments.folders {
        comparison.notes.extend(looked_at(folder));
    }
    let ranks =
        arguments.ranks.as_ref().map(|key| Ranks::of(&cells, &comparison, key)).transpose().map_err(Failure::Usage)?;
    let (picture, lines) = ranks.as_ref().map_or_else(Default::default, |ranks| (ranks.picture(), ranks.lines()));
    if let Some(path) = &arguments.ranks_svg {
        write(path, &picture)?;
    }
    let mut quiet = false;
    if let Some(path) = &arguments.html {
        let title = arguments.folders.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
        let title = title.collect::<Vec<_>>().join(", ");
        let picture = ranks.as_ref().map(|_| (picture.as_str(), lines.as_slice()));
        write(path, &compare::page(&title, &comparison, &cells, picture))?;
    }
    for path in &arguments.figure {
        let refused = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
        let figure = figures::figure(&comparison, arguments.plot, path).map_err(refused)?;
        fs::write(path, figure).map_err(|error| unwritten(path, &error))?;
    }
    let texts: [(_, &dyn Fn() -> String); 4] = [
        (&arguments.json, &|| {
            let mut all = compare::json(&comparison, &cells);
            all["ranks"] = json!(ranks);
            format!("{all:#}\n")
        }),
        (&arguments.csv, &|| compare::csv(&comparison)),
        (&arguments.markdown, &|| {
            let ranked = lines.iter().map(|line| format!("- {}\n", markdown_line(line)));
            compare::markdown(&comparison) + &ranked.collect::<String>()
        }),
        (&arguments.latex, &|| figures::latex(&comparison)),
    ];
    for (path, text) in texts {
        if let Some(path) = path {
            quiet |= path.as_os_str() == "-";
            write(path, &text())?;
        }
    }
    if !quiet {
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // Values of configs were made printable when they were read; the rest of an escape sequence is ours.
        let mut text = compare::terminal(&comparison, colour);
        lines.iter().for_each(|line| text += &format!("\n{line}"));
        text += if lines.is_empty() { "" } else { "\n" };
        if colour { super::print_exactly(&text) } else { super::print(&text) }
    }
    Ok(())
}

/// What a sweep found whose seeds were added until its comparisons were settled: numbers of a design without looks are too
/// sure there.
fn looked_at(folder: &Path) -> Option<String> {
    let waves = Waves::of(folder)?;
    let told: Vec<String> = waves.told().iter().map(|line| printable(line).into_owned()).collect();
    Some(format!(
        "{}: seeds were added until comparisons were settled, so that intervals and p above, which know of no looks, are too sure; \
         settled with an error of {} for all of them and all looks together: {}",
        folder.display(),
        waves.error(),
        told.join("; ")
    ))
}

/// To a file, or to standard output where it is `-`.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        super::print_exactly(text);
        return Ok(());
    }
    fs::write(path, text).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("{}: cannot write it: {error}\n  fix: choose another file", path.display()))
}
