//! The commands that study masks.

pub mod information;
pub mod sparsest;
