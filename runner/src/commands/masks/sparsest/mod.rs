//! `secateur sparsest`

mod file;
mod gap;
mod search;
mod text;

use crate::cli::{Cli, SparsestCommand};
use crate::engine::Workbench;
use crate::failure::Failure;

pub fn execute(command: &SparsestCommand, cli: &Cli, workbench: &Workbench) -> Result<(), Failure> {
    match command {
        SparsestCommand::Search(arguments) => search::execute(arguments, cli, workbench),
        SparsestCommand::Gap(arguments) => gap::execute(arguments),
    }
}
