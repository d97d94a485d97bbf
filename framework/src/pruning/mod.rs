//! Pruning: when and how much (a schedule), what a weight or unit is worth (a criterion), and from scores to masks or
//! smaller layers.
//!
//! Scores come in per parameter or per unit group, counts come out of the scope, the lowest go. What was achieved is
//! counted anew after the change, never assumed.

mod apply;
mod budget;
mod config;
pub mod criterion;
mod masks;
pub mod measure;
mod plan;
pub mod schedule;
mod scores;

pub use apply::{Pruned, apply, counts, sparsity, units_in_use};
pub use config::{Apply, Granularity, PruneConfig, Scope};
pub use masks::KeepMask;
pub use plan::{Plan, plan};
pub use scores::Answers;
