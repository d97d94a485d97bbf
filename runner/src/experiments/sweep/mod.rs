//! Sweeps: a grid of runs from one config, planned before anything runs, finished cell by cell.

mod cell;
mod choice;
mod control;
mod failed;
mod fork;
mod frozen;
mod grid;
mod growing;
mod plan;
mod problems;
mod runs;
mod section;
mod spec;
mod table;
mod workers;

pub use control::Facts;
pub use failed::reason as fails_again;
pub use frozen::Frozen;
pub use grid::Cell;
pub use growing::{Part, Searched, Trials, Waves, rungs};
pub use plan::{CELLS, SweepPlan, plugin_files};
pub use table::time;
pub use workers::{Tally, Workers, Written};
