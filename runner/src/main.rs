//! Secateur.
mod config;
mod event;
mod progress;
mod report;
mod run_dir;
fn main() {}
