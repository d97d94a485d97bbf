//! Secateur.

pub mod data;
