//! Secateur.
fn main() {}
