//! `secateur data`

use toml::Value;

use crate::cli::DataCommand;
use crate::config::{Flag, Request, nearest, resolve};
use crate::failure::Failure;
use crate::program::Program;

pub fn execute(command: &DataCommand, program: &dyn Program) -> Result<(), Failure> {
    match command {
        DataCommand::List => list(program),
        DataCommand::Check { name, sets } => check(name, sets, program)?,
    }
    Ok(())
}

fn list(program: &dyn Program) {
    let sets = program.data_sets();
    let width = sets.iter().map(|set| set.name.len()).max().unwrap_or(0);
    for set in sets {
        super::print(&format!("{:width$}  {}\n", set.name, set.doc));
        if !set.how_to_get.is_empty() {
            super::print(&format!("{:width$}  {}\n", "", set.how_to_get));
        }
    }
}

fn check(name: &str, sets: &[String], program: &dyn Program) -> Result<(), Failure> {
    let known: Vec<String> = program.data_sets().into_iter().map(|set| set.name).collect();
    if !known.iter().any(|known| known == name) {
        let fix = nearest(name, known.iter().map(String::as_str))
            .map_or_else(|| format!("choose one of {}", known.join(", ")), |near| format!("did you mean {near}?"));
        return Err(Failure::Usage(format!("{name}: unknown data set\n  known: {}\n  fix: {fix}", known.join(", "))));
    }
    let named = Flag { name: "data check", key: "data.name", value: name.into() };
    let request = Request { flags: vec![named], sets: sets.to_vec(), ..super::request()? };
    let config = resolve(&request, program)?;
    let seed = config.table.get("seed").and_then(Value::as_integer).map_or(0, i64::cast_unsigned);
    let data = config.table.get("data").and_then(Value::as_table).cloned().unwrap_or_default();
    super::print(&program.check_data(&data, seed)?);
    Ok(())
}
