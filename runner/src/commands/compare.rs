//! `secateur compare`

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::{CompareArgs, IntervalKind};
use crate::experiments::claims::{self, Noted};
use crate::experiments::compare::{self, Cells, Question};
use crate::experiments::figures;
use crate::experiments::index::{Index, Record};
use crate::experiments::kept;
use crate::experiments::ranks::Ranks;
use crate::experiments::sweep::Waves;
use crate::failure::Failure;
use crate::printable::{markdown_line, printable};

pub fn execute(arguments: &CompareArgs) -> Result<(), Failure> {
    let Taken { records, claims, tables } = take(&arguments.folders)?;
    if let Some(path) = &arguments.keep {
        let ended = records.iter().filter(|record| ["finished", "failed"].contains(&record.status.as_str()));
        write(path, &kept::written(&ended.cloned().collect::<Vec<_>>(), claims.clone()))?;
    }
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
    comparison.notes.extend(tables.iter().map(|table| {
        format!(
            "{}: a table that was kept, not verified against the folders of its runs",
            printable(&table.display().to_string())
        )
    }));
    for folder in &arguments.folders {
        comparison.notes.extend(looked_at(folder));
    }
    let judged = claims::judge(&cells, &claims);
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
        write(path, &compare::page(&title, &comparison, &cells, &claims::table(&judged), picture))?;
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
            all["claims"] = claims::json(&judged);
            format!("{all:#}\n")
        }),
        (&arguments.csv, &|| compare::csv(&comparison)),
        (&arguments.markdown, &|| {
            let ranked = lines.iter().map(|line| format!("- {}\n", markdown_line(line)));
            let claimed = claims::table(&judged);
            let claimed =
                if judged.is_empty() { String::new() } else { format!("\n### Claims\n\n{}", claimed.markdown()) };
            compare::markdown(&comparison) + &ranked.collect::<String>() + &claimed
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
        claims::lines(&judged).iter().for_each(|line| text += &format!("\nclaim: {line}"));
        text += if lines.is_empty() && judged.is_empty() { "" } else { "\n" };
        if colour { super::print_exactly(&text) } else { super::print(&text) }
    }
    Ok(())
}

/// What there is to compare.
struct Taken {
    records: Vec<Record>,
    claims: Vec<Noted>,
    /// The tables among what was named.
    tables: Vec<PathBuf>,
}

/// Reads folders, and tables that were kept.
fn take(places: &[PathBuf]) -> Result<Taken, Failure> {
    let mut taken = Taken { records: Vec::new(), claims: Vec::new(), tables: Vec::new() };
    for place in places {
        let refused = |why: &str| {
            let fix = "name folders of runs or sweeps, such as runs/mnist-criteria, or tables that `compare --keep FILE.jsonl` wrote";
            Failure::Usage(format!("{}: {why}\n  fix: {fix}", place.display()))
        };
        let (records, claims) = if place.is_dir() {
            (Index::open(place)?.records(place)?, claims::noted(place))
        } else if place.extension().is_some_and(|extension| extension == kept::EXTENSION) && place.exists() {
            taken.tables.push(place.clone());
            kept::read(place).map_err(|why| refused(&why))?
        } else {
            return Err(refused("there is no such folder"));
        };
        taken.records.extend(records);
        taken.claims.extend(claims.into_iter().filter(|claim| !taken.claims.contains(claim)).collect::<Vec<_>>());
    }
    taken.records.sort_by(|a, b| a.folder.cmp(&b.folder));
    taken.records.dedup_by(|a, b| a.folder == b.folder);
    Ok(taken)
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
