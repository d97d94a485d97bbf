//! `secateur information`

use std::fs;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};

use secateur::information::toy::{Exact, Problems, Pruner, Training, masks};
use secateur::information::{Estimate, Masks};
use serde_json::{Value, json};

use crate::cli::{InformationArgs, ToyArgs};
use crate::engine::{SavedMask, Workbench};
use crate::experiments::index::{Record, read, run_folders};
use crate::experiments::information::{self, CONVENTION, Found, Group, Lipschitz, grouped};
use crate::failure::Failure;
use crate::run::{MODEL, event_lines, write_asked};

pub fn execute(arguments: &InformationArgs, workbench: &Workbench) -> Result<(), Failure> {
    let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let (text, all) = match arguments.toy {
        true => toy(&arguments.training, &bold)?,
        false => of_runs(arguments, workbench, &bold)?,
    };
    if let Some(path) = &arguments.json {
        let all = format!("{all:#}\n");
        if path.as_os_str() == "-" {
            crate::commands::print_exactly(&all);
            return Ok(());
        }
        write_asked(path, all.as_bytes())?;
    }
    // Labels of configs were made printable when they were read, notes where they were made; the rest of an escape
    // sequence is ours.
    if colour {
        crate::commands::print_exactly(&text)
    } else {
        crate::commands::print(&text)
    }
    Ok(())
}

/// A table, and the same as JSON.
fn toy(asked: &ToyArgs, bold: &dyn Fn(&str) -> String) -> Result<(String, Value), Failure> {
    let problems = Problems::new(asked.points, asked.draw)?;
    let pruners = if asked.pruners.is_empty() { Pruner::ALL.to_vec() } else { asked.pruners.clone() };
    let ToyArgs { steps, lr, rate, pruner_seed, .. } = *asked;
    let training = |nnz| Training { steps: steps.get(), lr, nnz, rate, pruner_seed };
    let mut found = Vec::new();
    for nnz in asked.nnz.iter().map(|nnz| nnz.get()) {
        for pruner in &pruners {
            for init in &asked.inits {
                let masks = masks(&problems, *pruner, *init, &training(nnz))?;
                found.push(Exact::of(&masks, *pruner, *init, nnz, asked.sample)?);
            }
        }
    }
    let text = information::toy(&found, problems.data_sets(), problems.len(), bold);
    let all = json!({
        "points": asked.points, "draw": asked.draw, "data_sets": problems.data_sets(), "problems": problems.len(),
        "steps": steps, "lr": lr, "rate": rate, "pruner_seed": pruner_seed, "convention": CONVENTION, "exact": found,
    });
    Ok((text, all))
}

/// The same of runs.
fn of_runs(
    arguments: &InformationArgs,
    workbench: &Workbench,
    bold: &dyn Fn(&str) -> String,
) -> Result<(String, Value), Failure> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in &arguments.folders {
        if !folder.is_dir() {
            let fix = "name folders of runs or sweeps, such as runs/mnist-criteria";
            return Err(Failure::Usage(format!("{}: there is no such folder\n  fix: {fix}", folder.display())));
        }
        folders.extend(run_folders(folder));
    }
    folders.sort();
    folders.dedup();
    let records: Vec<Record> = folders.iter().map(|folder| read(folder)).collect();
    let mut grouped = grouped(&records, &arguments.repeats).map_err(Failure::Usage)?;
    let mut found = Vec::new();
    for group in std::mem::take(&mut grouped.groups) {
        found.extend(estimated(group, &records, workbench, &mut grouped.notes)?);
    }
    let notes: Vec<String> = grouped.notes.iter().map(|note| crate::printable::printable(note).into_owned()).collect();
    if found.is_empty() {
        let fix = "run them again with output.model = true and prune.apply = \"mask\"";
        return Err(Failure::Usage(format!("no masks of two data sets\n  {}\n  fix: {fix}", notes.join("\n  "))));
    }
    let all = json!({ "convention": CONVENTION, "groups": found, "notes": notes });
    Ok((information::runs(&found, &notes, bold), all))
}

/// What the masks of a group tell, where those of two data sets are of one network.
fn estimated(
    group: Group,
    records: &[Record],
    workbench: &Workbench,
    notes: &mut Vec<String>,
) -> Result<Option<Found>, Failure> {
    let mut first: Option<(SavedMask, Masks)> = None;
    let (mut runs, mut sets) = (Vec::new(), std::collections::BTreeSet::new());
    let (mut steep, mut examples) = (Vec::new(), std::collections::BTreeSet::new());
    for (place, data) in &group.runs {
        let record = &records[*place];
        let file = record.folder.join(MODEL);
        let mut left_out = |why: &dyn std::fmt::Display| notes.push(format!("left out: {}: {why}", file.display()));
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                left_out(&error);
                continue;
            }
        };
        let saved = match workbench.mask(&bytes) {
            Ok(saved) => saved,
            Err(failure) => {
                left_out(&failure.message());
                continue;
            }
        };
        let nnz = record.summary.get("nnz").and_then(Value::as_u64);
        if nnz.is_some_and(|nnz| nnz != saved.mask.kept() as u64) {
            left_out(&format!("it keeps {} weights, and its summary says {}", saved.mask.kept(), nnz.unwrap_or(0)));
            continue;
        }
        let sizes = || saved.parameters.iter().map(|(_, weights)| *weights).collect();
        let (shape, masks) = first.get_or_insert_with(|| (saved.clone(), Masks::new(sizes())));
        if shape.parameters != saved.parameters {
            left_out(
                &"its parameters are of other sizes than those of the group's first run: masks of units that were cut \
                       out cannot be compared; prune.apply = \"mask\" leaves them",
            );
            continue;
        }
        steep.extend(saved.lipschitz);
        examples.insert(trained_on(&record.folder));
        masks.add(*data, saved.mask, 1)?;
        runs.push(record.folder.clone());
        sets.insert(*data);
    }
    let Group { label, settings, .. } = group;
    match first {
        Some((shape, masks)) if sets.len() > 1 => {
            let estimate = Estimate::of(&masks)?;
            let examples = examples.first().copied().flatten().filter(|_| examples.len() == 1);
            let lipschitz = Lipschitz::of(&steep, examples, shape.features, estimate.p_eff);
            Ok(Some(Found { label, settings, runs, estimate, lipschitz }))
        }
        _ => Ok(None),
    }
}

/// How many examples a run was trained on, as its first event says.
fn trained_on(folder: &Path) -> Option<u64> {
    let first: Value = serde_json::from_str(&event_lines(folder).ok()?.next()?).ok()?;
    first["examples"].as_u64()
}
