//! Sweeps that many processes run, here or on a cluster: shares of a plan, what became of its cells, and Slurm.

mod limits;
mod packing;
mod restarts;
mod script;
mod site;
mod status;
mod submission;

pub use limits::Limits;
pub use packing::Packing;
pub use restarts::{Restarted, Restarts};
pub use script::{Script, quoted};
pub use site::{queue, submits};
pub use status::{Entry, State, counts, look, state_of};
pub use submission::{Array, Submission};
