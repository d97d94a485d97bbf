//! Secateur.
mod config;
mod event;
mod report;
mod run_dir;
fn main() {}
