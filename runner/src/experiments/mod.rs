//! Many runs: sweeps that make them, the index that finds them again, statistics, and comparisons.

pub mod cluster;
pub mod compare;
pub mod figures;
pub mod index;
mod record;
mod statistics;
pub mod sweep;
mod ties;
