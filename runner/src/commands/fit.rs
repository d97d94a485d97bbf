//! `secateur fit`

use std::fs;
use std::path::Path;

use secateur::pruning::Granularity;
use secateur_bundle::autosparse::{Fitted, TERMS};
use serde_json::Value;
use toml::Table;

use crate::cli::{AutosparseArgs, Cli, FitCommand};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::{SUMMARY, SURVIVAL, Survival, write_asked};

pub fn execute(command: &FitCommand, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let FitCommand::Autosparse(arguments) = command;
    let (run, out) = (&arguments.of.run, &arguments.out);
    let config = super::of_run(&arguments.of, cli, workbench)?;
    may_be_written(arguments)?;
    let survival = survival(run, &config)?;
    let share = |last: &u16| f64::from(*last) / survival.steps as f64;
    let shares = survival.weights.iter().map(|(name, (_, last))| (name.clone(), last.iter().map(share).collect()));
    let fitted = workbench.fit_autosparse(&config, shares.collect(), arguments.batches)?.ok_or_else(|| {
        let fix = "prune more than once, and less than all: schedule/lottery";
        Failure::Failed(format!("{}: every weight survived as long as any other\n  fix: {fix}", run.display()))
    })?;
    write_asked(out, text(run, &fitted, &survival, arguments.batches).as_bytes())?;
    if !cli.quiet {
        super::print(&said(out, &fitted, &survival));
    }
    Ok(())
}

fn may_be_written(AutosparseArgs { out, force, .. }: &AutosparseArgs) -> Result<(), Failure> {
    let refused = |problem: &str, fix: &str| Failure::Usage(format!("{}: {problem}\n  fix: {fix}", out.display()));
    if out.extension().is_none_or(|extension| extension != "toml") {
        return Err(refused("a config's name ends in .toml", "--out autosparse.toml"));
    }
    if out.exists() && !force {
        return Err(refused("there is such a file", "name another one with --out, or replace it with --force"));
    }
    Ok(())
}

/// What the run recorded, where it says how long each weight would last.
fn survival(run: &Path, config: &Resolved) -> Result<Survival, Failure> {
    let refused =
        |problem: String, fix: String| Err(Failure::Usage(format!("{}: {problem}\n  fix: {fix}", run.display())));
    if config.run.prune.granularity == Granularity::Unit {
        let fix = "fit to one with prune.granularity = \"weight\"";
        return refused("this run pruned units, and autosparse scores weights".into(), fix.into());
    }
    let summary = fs::read(run.join(SUMMARY)).ok();
    let summary: Option<Value> = summary.and_then(|text| serde_json::from_slice(&text).ok());
    let regrown = summary.and_then(|summary| summary["regrown"].as_u64()).unwrap_or(0);
    if regrown > 0 {
        let fix = "fit to a run in which what is pruned stays pruned, as with schedule/lottery";
        return refused(format!("{regrown} weights came back in this run, and have survived nothing"), fix.into());
    }
    if !run.join(SURVIVAL).is_file() {
        let again = run.join("config.toml");
        let fix = format!("run it again: secateur run {} --set output.survival=true --force", again.display());
        return refused("this run has not recorded how long its weights survived".into(), fix);
    }
    Ok(Survival::read(run)?)
}

/// The config with what was found.
fn text(run: &Path, fitted: &Fitted, survival: &Survival, batches: u64) -> String {
    let mut criterion = Table::from_iter([
        ("name".to_owned(), "autosparse".into()),
        ("batches".to_owned(), i64::try_from(batches).unwrap_or(i64::MAX).into()),
    ]);
    criterion.extend(TERMS.iter().zip(fitted.coefficients).map(|(term, value)| ((*term).to_owned(), value.into())));
    format!(
        "# How long a weight would survive, fitted to {}: {} weights, {}, R\u{b2} = {:.4}.\n\
         # Named as the last config of a run, it chooses the criterion: secateur run CONFIG... FILE\n{}",
        run.display(),
        fitted.weights,
        counted(survival.steps, "pruning step"),
        fitted.r_squared,
        Table::from_iter([("criterion".to_owned(), criterion.into())])
    )
}

fn said(out: &Path, fitted: &Fitted, survival: &Survival) -> String {
    let mut text = format!("{}\n", out.display());
    for (term, value) in TERMS.iter().zip(fitted.coefficients) {
        text += &format!("  {value:>10.5}  {term}\n");
    }
    text + &format!(
        "  fitted to {} weights and {}; the terms explain {:.1} % of the variance\n",
        fitted.weights,
        counted(survival.steps, "pruning step"),
        100.0 * fitted.r_squared
    )
}
