//! `secateur config`

use crate::cli::{Cli, ConfigArgs};
use crate::failure::Failure;
use crate::program::Program;

pub fn execute(arguments: &ConfigArgs, cli: &Cli, program: &dyn Program) -> Result<(), Failure> {
    let config = super::resolve_layers(&arguments.layers, cli, program)?;
    let text = match (arguments.plain, arguments.json) {
        (true, _) => config.to_toml(),
        (_, true) => format!("{:#}\n", config.to_json()),
        _ => config.to_annotated_toml(),
    };
    super::print(&text);
    Ok(())
}
