//! The `secateur` command: layered configs, run folders, reports.

mod cli;
mod commands;
mod config;
mod event;
mod failure;
mod program;
mod progress;
mod provenance;
mod recorder;
mod report;
mod run_dir;

fn main() {}
