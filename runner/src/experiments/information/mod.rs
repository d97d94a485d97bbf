//! What the masks of runs tell of their data.

mod groups;
mod text;

pub use groups::{Found, Group, grouped};
pub use text::{CONVENTION, runs, toy};
