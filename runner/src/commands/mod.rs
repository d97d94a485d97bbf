//! The commands, one file each.

mod config;
mod data;
mod plugins;
mod run;

use std::env;
use std::path::PathBuf;

use crate::cli::{Cli, Command, Layers};
use crate::config::{Request, Resolved, resolve};
use crate::failure::Failure;
use crate::program::Program;

/// Does what the command line asks for.
///
/// # Errors
/// What the person should read, with the exit code it stands for.
pub fn execute(cli: &Cli, program: &dyn Program) -> Result<(), Failure> {
    match &cli.command {
        Command::Run(arguments) => run::execute(arguments, cli.quiet, program),
        Command::Config(arguments) => config::execute(arguments, program),
        Command::Plugins(command) => plugins::execute(command, program),
        Command::Data(command) => data::execute(command, program),
    }
}

fn resolve_layers(layers: &Layers, program: &dyn Program) -> Result<Resolved, Failure> {
    if layers.configs.is_empty() {
        let fix = "name one or more, such as experiment/quickstart; --help explains them";
        return Err(Failure::Usage(format!("no CONFIG was given\n  fix: {fix}")));
    }
    let request =
        Request { configs: layers.configs.clone(), flags: layers.flags(), sets: layers.sets.clone(), ..request()? };
    Ok(resolve(&request, program)?)
}

/// The environment and the working directory; no configs yet.
fn request() -> Result<Request, Failure> {
    let root: PathBuf = env::current_dir().map_err(|error| {
        Failure::Failed(format!("the working directory cannot be read: {error}\n  fix: change to another folder"))
    })?;
    // A variable that is not Unicode cannot be a config key of ours.
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(Request { variables: variables.collect(), root, ..Request::default() })
}

/// Prints to standard output; a reader that went away (`| head`) is no error.
fn print(text: &str) {
    use std::io::Write;
    _ = std::io::stdout().write_all(text.as_bytes());
}
