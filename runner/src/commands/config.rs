//! `secateur config`

use crate::cli::ConfigArgs;
use crate::failure::Failure;
use crate::program::Program;

pub fn execute(arguments: &ConfigArgs, program: &dyn Program) -> Result<(), Failure> {
    let config = super::resolve_layers(&arguments.layers, program)?;
    let text = match (arguments.plain, arguments.json) {
        (true, _) => config.to_toml(),
        (_, true) => format!("{:#}\n", config.to_json()),
        _ => config.to_annotated_toml(),
    };
    super::print(&text);
    Ok(())
}
