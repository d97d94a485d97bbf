//! Secateur.
pub mod backend;
