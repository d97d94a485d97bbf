//! Sweeps: a grid of runs from one config, planned before anything runs, finished cell by cell.

mod control;
mod grid;
mod plan;
mod pool;
mod section;
mod spec;
mod table;

pub use plan::{Plan, plugin_files};
pub use pool::{Pool, Tally};
pub use table::time;
