//! `secateur config`

use crate::cli::{Cli, ConfigArgs};
use crate::engine::Workbench;
use crate::failure::Failure;

pub fn execute(arguments: &ConfigArgs, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    let config = super::resolve_layers(&arguments.layers, cli, workbench)?;
    let text = match (arguments.plain, arguments.json) {
        (true, _) => config.to_toml(),
        (_, true) => {
            // The folder's name stands for the content of the data too.
            let folder = workbench.identified(config.clone(), &mut |_| ()).ok().map(|config| config.folder_name());
            format!("{:#}\n", config.to_json(folder))
        }
        _ => config.to_annotated_toml(),
    };
    // TOML and JSON write control characters out themselves, and are read again as they stand.
    if arguments.plain || arguments.json {
        super::print_exactly(&text)
    } else {
        super::print(&text)
    }
    Ok(())
}
