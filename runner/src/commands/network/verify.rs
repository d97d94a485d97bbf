//! `secateur verify`

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{file_of, read, said};
use crate::cli::{Cli, VerifyArgs};
use crate::commands::{of_run, print, print_exactly};
use crate::engine::Workbench;
use crate::failure::Failure;
use crate::run::read_summary;

/// How far a loss may be off, as a fraction of itself: processors with other vector instructions add up in another order.
const LOSS: f64 = 1e-5;

/// One figure, as the summary has it and as it was found.
struct Row {
    name: String,
    said: Value,
    found: Value,
    agrees: bool,
}

pub fn execute(arguments: &VerifyArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let (run, config) = (&arguments.of.run, of_run(&arguments.of, cli, workbench)?);
    let summary = read_summary(run).ok().flatten().unwrap_or_default();
    let file = file_of(run);
    let bytes = read(&file)?;
    said(&file, &bytes)?;
    let found = workbench.recompute(&config, &bytes)?;
    let figures = serde_json::to_value(&found).map_err(|error| Failure::Failed(format!("{error}")))?;
    let figures = figures.as_object().cloned().unwrap_or_default();
    // Whether an example is classified rightly is not to be told from a difference of less than one.
    let example = 0.5 / found.examples.max(1) as f64;
    let rows = rows(&summary, figures, (arguments.within.unwrap_or(0.0) + example, arguments.within.unwrap_or(LOSS)));
    let wrong = rows.iter().filter(|row| !row.agrees).count();
    let json = || Map::from_iter(rows.iter().map(|row| (row.name.clone(), json!([row.said, row.found]))));
    match &arguments.json {
        Some(path) if path.as_os_str() == "-" => print_exactly(&format!("{:#}\n", Value::Object(json()))),
        Some(path) => super::write(path, format!("{:#}\n", Value::Object(json())).as_bytes())?,
        None => {}
    }
    if arguments.json.as_ref().is_none_or(|path| path.as_os_str() != "-") {
        print(&format!("{}\n{}", run.display(), table(&rows)));
    }
    if wrong == 0 {
        return Ok(());
    }
    let fix = "the network, the data or the summary is not what the run left: run it again, or see --within";
    Err(Failure::Failed(format!("{}: {wrong} of {} figures differ\n  fix: {fix}", run.display(), rows.len())))
}

/// Each figure that the summary has.
fn rows(summary: &Map<String, Value>, figures: Map<String, Value>, (accuracy, loss): (f64, f64)) -> Vec<Row> {
    let row = |(name, found): (String, Value)| {
        let said = summary.get(&name)?.clone();
        let allowed = match (name.as_str(), said.as_f64()) {
            ("test_accuracy", _) => accuracy,
            ("test_loss", Some(value)) => loss * value.abs(),
            ("sparsity" | "unit_sparsity", _) => 1e-12,
            _ => 0.0,
        };
        let agrees = match (said.as_f64(), found.as_f64()) {
            (Some(said), Some(found)) => (said - found).abs() <= allowed,
            (said, found) => said.is_none() && found.is_none(),
        };
        Some(Row { name, said, found, agrees })
    };
    figures.into_iter().filter_map(row).collect()
}

fn table(rows: &[Row]) -> String {
    let shown = |value: &Value| match value.as_f64() {
        Some(number) if !(value.is_u64() || value.is_i64()) => format!("{number:.6}"),
        Some(_) => value.to_string(),
        None => "-".to_owned(),
    };
    let mut text = format!("  {:<14} {:>14} {:>14}\n", "", "summary.json", "found now");
    for Row { name, said, found, agrees } in rows {
        let note = if *agrees { "" } else { "  differs" };
        _ = writeln!(text, "  {name:<14} {:>14} {:>14}{note}", shown(said), shown(found));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_must_be_the_same_and_losses_nearly() {
        let summary = json!({ "params_kept": 7, "test_loss": 2.0, "test_accuracy": 0.5, "sparsity": 0.25 });
        let agree = |found: Value| {
            let (summary, found) = (summary.as_object().unwrap(), found.as_object().unwrap().clone());
            rows(summary, found, (0.01, 1e-5)).iter().map(|row| row.agrees).collect::<Vec<_>>()
        };
        assert_eq!(agree(json!({ "params_kept": 7, "test_accuracy": 0.509, "unknown": 1 })), [true, true]);
        assert_eq!(agree(json!({ "params_kept": 8, "test_accuracy": 0.511 })), [false, false]);
        assert_eq!(agree(json!({ "test_loss": 2.000_01, "sparsity": 0.25 })), [true, true]);
        assert_eq!(agree(json!({ "test_loss": 2.000_03, "sparsity": 0.250_001 })), [false, false]);
        assert_eq!(agree(json!({ "test_accuracy": null })), [false]);
    }
}
