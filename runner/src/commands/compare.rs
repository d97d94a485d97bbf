//! `secateur compare`

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::Path;

use crate::cli::CompareArgs;
use crate::experiments::compare::{self, Cells, Question};
use crate::experiments::figures;
use crate::experiments::index::Index;
use crate::failure::Failure;

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
        choose: arguments.choose.clone(),
    };
    if let Some(margin) = arguments.margin.filter(|margin| !(margin.is_finite() && *margin > 0.0)) {
        let fix = "give what does not matter: 0.5 for half a point of accuracy";
        return Err(Failure::Usage(format!("--margin {margin}: a margin is more than 0\n  fix: {fix}")));
    }
    let comparison = cells.compare(&question).map_err(Failure::Usage)?;
    let mut quiet = false;
    if let Some(path) = &arguments.html {
        let title = arguments.folders.iter().filter_map(|folder| folder.file_name()).map(|name| name.to_string_lossy());
        let title = title.collect::<Vec<_>>().join(", ");
        write(path, &compare::page(&title, &comparison, &cells))?;
    }
    for path in &arguments.figure {
        let refused = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
        let figure = figures::figure(&comparison, arguments.plot, path).map_err(refused)?;
        fs::write(path, figure).map_err(|error| unwritten(path, &error))?;
    }
    let texts: [(_, &dyn Fn() -> String); 4] = [
        (&arguments.json, &|| format!("{:#}\n", compare::json(&comparison, &cells))),
        (&arguments.csv, &|| compare::csv(&comparison)),
        (&arguments.markdown, &|| compare::markdown(&comparison)),
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
        let text = compare::terminal(&comparison, colour);
        if colour { super::print_exactly(&text) } else { super::print(&text) }
    }
    Ok(())
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
