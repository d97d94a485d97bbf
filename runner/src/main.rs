//! The `secateur` command: layered configs, run folders, reports.
//!
//! The modules in the order of use; each imports only what stands before it:
//!
//! printable < failure < config < engine < output < run < forks < experiments < cli < commands

mod cli;
mod commands;
mod config;
mod engine;
mod experiments;
mod failure;
mod forks;
mod output;
mod printable;
mod run;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use engine::Workbench;
use failure::Failure;
use run::Interrupt;
use tracing_subscriber::EnvFilter;

// Training allocates and frees many tensors of the same sizes.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

// What readers take of a damaged file is measured.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: secateur_fuzz::Counting = secateur_fuzz::Counting;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => match commands::right_form(&error) {
            Some(fix) => return ExitCode::from(Failure::Usage(fix).report()),
            None => error.exit(),
        },
    };
    let level = ["warn", "info", "debug", "trace"][usize::from(cli.verbose.min(3))];
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(stderr).with_ansi(colour);
    log.without_time().init();
    match commands::listen(&cli).and_then(|interrupt| carry_out(&cli, interrupt)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}

fn carry_out(cli: &Cli, interrupt: Interrupt) -> Result<(), Failure> {
    let workbench = Workbench::new(&commands::plugin_files(cli)?)?;
    commands::execute(cli, interrupt, &workbench)
}
