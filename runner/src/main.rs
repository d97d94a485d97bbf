//! Secateur.
mod config;
fn main() {}
