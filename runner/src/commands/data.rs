//! `secateur data`

use crate::cli::DataCommand;
use crate::config::{Flag, Request, nearest, resolve};
use crate::engine::Workbench;
use crate::failure::Failure;

pub fn execute(command: &DataCommand, workbench: &Workbench) -> Result<(), Failure> {
    match command {
        DataCommand::List => list(workbench),
        DataCommand::Check { name, sets } => check(name, sets, workbench)?,
    }
    Ok(())
}

fn list(workbench: &Workbench) {
    let sets = workbench.data_sets();
    let width = sets.iter().map(|set| set.name.len()).max().unwrap_or(0);
    for set in sets {
        super::print(&format!("{:width$}  {}\n", set.name, set.doc));
        if !set.how_to_get.is_empty() {
            super::print(&format!("{:width$}  {}\n", "", set.how_to_get));
        }
    }
}

fn check(name: &str, sets: &[String], workbench: &Workbench) -> Result<(), Failure> {
    let known: Vec<String> = workbench.data_sets().into_iter().map(|set| set.name).collect();
    if !known.iter().any(|known| known == name) {
        let fix = nearest(name, known.iter().map(String::as_str))
            .map_or_else(|| format!("choose one of {}", known.join(", ")), |near| format!("did you mean {near}?"));
        return Err(Failure::Usage(format!("{name}: unknown data set\n  known: {}\n  fix: {fix}", known.join(", "))));
    }
    let named = Flag { name: "data check", key: "data.name", value: name.into() };
    let request = Request { flags: vec![named], sets: sets.to_vec(), ..super::request()? };
    let config = resolve(&request, workbench)?;
    super::print(&workbench.check_data(&config.run.data, config.run.seeds())?);
    Ok(())
}
