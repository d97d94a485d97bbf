//! The `secateur` command: layered configs, run folders, reports.

mod checkpoints;
mod cli;
mod commands;
mod compare;
mod config;
mod engine;
mod event;
mod failure;
mod index;
mod interrupt;
mod picture;
mod program;
mod progress;
mod provenance;
mod recorder;
mod report;
mod run_dir;
mod stats;
mod sweep;
mod tensorboard;

use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use engine::Engine;
use tracing_subscriber::EnvFilter;

// Training allocates and frees many tensors of the same sizes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = ["warn", "info", "debug", "trace"][usize::from(cli.verbose.min(3))];
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr).without_time().init();
    let engine = commands::plugin_files(&cli).and_then(|libraries| Engine::new(&libraries));
    match engine.and_then(|engine| commands::execute(&cli, &engine)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.report()),
    }
}
