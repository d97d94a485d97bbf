//! Sweeps: a grid of runs from one config, planned before anything runs, finished cell by cell.

mod cell;
mod choice;
mod control;
mod failed;
mod fork;
mod frozen;
mod grid;
mod plan;
mod runs;
mod section;
mod spec;
mod table;
mod until;
mod waves;
mod workers;

pub use control::Facts;
pub use failed::reason as fails_again;
pub use frozen::Frozen;
pub use grid::Cell;
pub use plan::{CELLS, SweepPlan, plugin_files};
pub use table::time;
pub use waves::Waves;
pub use workers::{Tally, Workers, Written};
