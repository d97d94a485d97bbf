//! Secateur.
mod config;
mod event;
mod run_dir;
fn main() {}
