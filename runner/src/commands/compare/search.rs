//! What a comparison shows of searches: their trials, and of their runs those alone that chose nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::write;
use crate::cli::CompareArgs;
use crate::experiments::compare::{Cells, Comparison};
use crate::experiments::index::Record;
use crate::experiments::sweep::{Searched, Trials};
use crate::failure::Failure;

/// Leaves of the runs of searches those by which settings are compared.
pub fn seen(records: Vec<Record>, searches: &mut Vec<Searched>) -> Vec<Record> {
    let folders: BTreeSet<PathBuf> =
        records.iter().filter_map(|record| record.folder.parent().map(PathBuf::from)).collect();
    let mut rest = records;
    for folder in folders {
        let Some(trials) = Trials::of(&folder) else { continue };
        let searched = Searched::new(trials);
        let (own, others): (Vec<Record>, Vec<Record>) =
            rest.into_iter().partition(|record| record.folder.parent() == Some(&folder));
        rest = others;
        rest.extend(searched.seen(own));
        searches.push(searched);
    }
    rest
}

/// The metric of the searches, where there is one.
pub fn metric(searches: &[Searched]) -> Option<String> {
    searches.first().map(|first| first.metric.clone())
}

/// The winner of a search, as the baseline of a comparison: the value of the first key that tells its group apart.
pub fn baseline(searches: &[Searched], cells: &Cells, comparison: &Comparison) -> Option<String> {
    let [search] = searches else { return None };
    let runs = search.winner();
    let name = |run: &usize| cells.records[*run].folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut groups = comparison.groups.iter().filter(|group| group.control.is_none());
    let group = groups.find(|group| group.cells.iter().any(|run| runs.contains(&name(run))))?;
    group.values.first().cloned()
}

/// Searches whose best settings were not run again yet: there is nothing to compare, and there are trials to show.
pub fn unfinished(searches: &[Searched], arguments: &CompareArgs) -> Result<(), Failure> {
    let told = |text: String| {
        let notes = searches.iter().flat_map(Searched::notes).map(|note| format!("\nnote: {note}\n"));
        text + &notes.collect::<String>()
    };
    if let Some(path) = &arguments.json {
        return write(path, &format!("{:#}\n", json!({ "searches": json(searches) })));
    }
    if let Some(path) = &arguments.markdown {
        return write(path, &told(markdown(searches)));
    }
    crate::commands::print(&told(text(searches)));
    Ok(())
}

/// For programs.
pub fn json(searches: &[Searched]) -> Value {
    searches.iter().map(Searched::json).collect()
}

/// For people at a terminal.
pub fn text(searches: &[Searched]) -> String {
    let tables = searches.iter().flat_map(Searched::tables);
    tables.map(|(title, table)| format!("{title}\n{}\n", table.aligned(&|head| head.to_owned()))).collect()
}

/// For READMEs and issues.
pub fn markdown(searches: &[Searched]) -> String {
    let tables = searches.iter().flat_map(Searched::tables);
    tables.map(|(title, table)| format!("### {title}\n\n{}\n", table.markdown())).collect()
}
