//! What the masks of runs tell of their data.

mod groups;
mod steep;
mod text;

pub use groups::{Found, Group, grouped};
pub use steep::Lipschitz;
pub use text::{CONVENTION, runs, toy};
