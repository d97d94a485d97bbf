//! Pruning: when and how much (a schedule), what a weight or unit is worth (a criterion), and from scores to masks or smaller layers.
//!
//! Scores come in per parameter or per unit group, counts come out of the scope, the lowest go. What was achieved is counted anew
//! after the change, never assumed.

mod budget;
mod config;
pub mod criterion;
mod masks;
pub mod measure;
mod plan;
pub mod schedule;
mod scores;

pub use config::{Apply, Granularity, PruneConfig, Scope};
pub use masks::Choice;
pub use plan::{Plan, Pruned, apply, counts, plan, sparsity, units_in_use};
