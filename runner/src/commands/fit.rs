//! `secateur fit`

use std::fs;
use std::path::Path;

use secateur::pruning::Granularity;
use secateur_bundle::autosparse::{AutoSparse, Fitted, Regression, TERMS};
use serde_json::Value;
use toml::Table;

use crate::cli::{AutosparseArgs, Cli, FitCommand};
use crate::config::{PluginChoice, Resolved, resolve};
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::printable::counted;
use crate::run::{SUMMARY, SURVIVAL, Survival, write_asked};

pub fn execute(command: &FitCommand, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let FitCommand::Autosparse(arguments) = command;
    let run = &arguments.of.run;
    let config = super::of_run(&arguments.of, cli, workbench)?;
    if let Some(out) = &arguments.out {
        may_be_written(out, arguments.force)?;
    }
    let others = beside(arguments, cli, workbench)?;
    let survival = survival(run, &config)?;
    let share = |last: &u16| f64::from(*last) / survival.steps as f64;
    let shares = survival.weights.iter().map(|(name, (_, last))| (name.clone(), last.iter().map(share).collect()));
    let regression = workbench.fit_autosparse(&config, shares.collect(), arguments.batches)?;
    let fitted = regression.solve().ok_or_else(|| {
        let fix = "prune more than once, and less than all: schedule/lottery";
        Failure::Failed(format!("{}: every weight survived as long as any other\n  fix: {fix}", run.display()))
    })?;
    if let Some(out) = &arguments.out {
        write_asked(out, text(run, &fitted, &survival, arguments.batches).as_bytes())?;
    }
    // What is asked for beside the fit is a result, and has no file.
    if !cli.quiet || !others.is_empty() {
        let fit = said(arguments.out.as_ref().unwrap_or(run), &fitted, &survival);
        super::print(&(fit + &correlations(&regression, &fitted, &others)));
    }
    Ok(())
}

/// Coefficients of other runs, each by the name of its config.
type Others = Vec<(String, [f64; TERMS.len()])>;

/// The coefficients of the configs beside which the run is fitted: each laid over the run's own config.
fn beside(arguments: &AutosparseArgs, cli: &Cli, workbench: &Workbench) -> Result<Others, Failure> {
    let one = |config: &String| {
        let mut request = super::own_config(&arguments.of, cli)?;
        request.configs.push(config.clone());
        let PluginChoice { name, options, .. } = resolve(&request, workbench)?.run.criterion;
        let refused = |problem: String| {
            let fix = "give a config that `secateur fit autosparse` wrote, or criterion/autosparse for the defaults";
            Failure::Usage(format!("--beside {config}: {problem}\n  fix: {fix}"))
        };
        if name != "autosparse" {
            return Err(refused(format!("it leaves criterion.name at \"{name}\", which has no coefficients")));
        }
        let options = toml::Value::Table(options).try_into::<AutoSparse>();
        Ok((config.clone(), options.map_err(|error| refused(error.to_string()))?.coefficients()))
    };
    arguments.beside.iter().map(one).collect()
}

fn may_be_written(out: &Path, force: bool) -> Result<(), Failure> {
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

/// How well the coefficients of other runs tell this one's survivors, beside the most that any could.
fn correlations(regression: &Regression, fitted: &Fitted, others: &Others) -> String {
    let mut text = String::new();
    if !others.is_empty() {
        text += "  correlation of scores with how long weights survived:\n";
        text += &format!("  {:>10.5}  fitted to this run, the most that coefficients reach\n", fitted.r_squared.sqrt());
    }
    for (config, coefficients) in others {
        let found = regression.correlation(coefficients);
        let found = found.map_or_else(|| "none".to_owned(), |found| format!("{found:.5}"));
        text += &format!("  {found:>10}  {config}\n");
    }
    text
}
