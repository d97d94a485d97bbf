//! `secateur fork`: a sweep whose cells leave a run.

use std::path::Path;

use toml::Value;

use super::sweep::carry_out;
use crate::cli::{Cli, ForkArgs};
use crate::config::{At, Flag, Request};
use crate::engine::Workbench;
use crate::experiments::sweep::SweepPlan;
use crate::failure::Failure;
use crate::run::{self, CONFIG, Interrupt, ask_repository};

pub fn execute(arguments: &ForkArgs, cli: &Cli, interrupt: &Interrupt, workbench: &Workbench) -> Result<(), Failure> {
    ask_repository();
    let plans = arguments.runs.iter().map(|run| Ok(SweepPlan::make(&request(run, arguments, cli)?, workbench)?));
    for plan in plans.collect::<Result<Vec<_>, Failure>>()? {
        carry_out(&plan, &arguments.how, cli.quiet, interrupt.clone(), workbench)?;
    }
    Ok(())
}

/// A run as a sweep of its forks: its own config, and each value that is set as one of an axis. Neither the environment nor
/// other configs say what it was.
///
/// # Errors
/// This is no run's folder; a place or an assignment that cannot be read.
pub(super) fn request(run: &Path, arguments: &ForkArgs, cli: &Cli) -> Result<Request, Failure> {
    let refused = |problem: &str, fix: &str| Err(Failure::Usage(format!("{problem}\n  fix: {fix}")));
    if !run.join(CONFIG).is_file() {
        let problem = format!("{}: this is not the folder of a run", run.display());
        return refused(&problem, "give one, such as runs/NAME-HASH: it holds config.toml");
    }
    if let Err(allowed) = arguments.at.parse::<At>() {
        return refused(&format!("--at {}: not a place in a run", arguments.at), &format!("it {allowed}"));
    }
    let mut sets = vec![r#"sweep.controls=[]"#.to_owned()];
    for set in &arguments.sets {
        let Some((key, values)) = set.split_once('=').filter(|(key, values)| !key.is_empty() && !values.is_empty())
        else {
            return refused(
                &format!("--set {set}: not a key and a value"),
                "write --set criterion.name=magnitude,random",
            );
        };
        sets.push(format!("sweep.axes.{}=[{}]", key.trim(), values_of(values).join(", ")));
    }
    let place = Value::from(arguments.at.as_str());
    let from = Value::from(run.to_string_lossy().as_ref());
    sets.push(format!("sweep.fork={{ at = {place}, from = {from} }}"));
    let name = run::config_of(run)?.get("name").and_then(Value::as_str).unwrap_or("run").to_owned();
    let name = format!("{name}-at-{}", arguments.at.replace(':', "-"));
    let out = arguments.out.as_deref().or_else(|| run.parent()).filter(|out| !out.as_os_str().is_empty());
    let out = out.unwrap_or(Path::new(".")).to_string_lossy().into_owned();
    let flags = vec![
        Flag { name: "--at", key: "name", value: name.into() },
        Flag { name: "--out", key: "output.dir", value: out.into() },
    ];
    let configs = vec![run.join(CONFIG).to_string_lossy().into_owned()];
    Ok(Request { configs, flags, sets, plugins: cli.plugins.clone(), variables: Vec::new(), ..super::request()? })
}

/// The values between commas, as TOML: those within brackets, braces and quotes part nothing, and a bare word is text.
fn values_of(text: &str) -> Vec<String> {
    let (mut all, mut depth, mut quote) = (vec![String::new()], 0i32, None);
    for c in text.chars() {
        match (quote, c) {
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        match (c, depth, quote) {
            (',', 0, None) => all.push(String::new()),
            _ => all.last_mut().into_iter().for_each(|last| last.push(c)),
        }
    }
    let toml = |text: String| {
        let text = text.trim();
        let is_toml = format!("value = {text}").parse::<toml::Table>().is_ok_and(|table| table.len() == 1);
        if is_toml { text.to_owned() } else { Value::from(text).to_string() }
    };
    all.into_iter().map(toml).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parted_at_commas_outside_of_lists_and_quotes() {
        assert_eq!(values_of("magnitude,random"), ["\"magnitude\"", "\"random\""]);
        assert_eq!(values_of("0.1, 1e-3"), ["0.1", "1e-3"]);
        assert_eq!(values_of("[50, 30],[20]"), ["[50, 30]", "[20]"]);
        assert_eq!(values_of("{ name = \"a,b\" },'c,d'"), ["{ name = \"a,b\" }", "'c,d'"]);
        assert_eq!(values_of("true"), ["true"]);
        assert_eq!(values_of("criterion/taylor"), ["\"criterion/taylor\""]);
    }
}
