//! `secateur config`

use crate::cli::{Cli, ConfigArgs};
use crate::engine::Workbench;
use crate::failure::Failure;

pub fn execute(arguments: &ConfigArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let config = super::resolve_layers(&arguments.layers, cli, workbench)?;
    let text = match (arguments.plain, arguments.json) {
        (true, _) => config.to_toml(),
        (_, true) => format!("{:#}\n", config.to_json()),
        _ => config.to_annotated_toml(),
    };
    super::print(&text);
    Ok(())
}
