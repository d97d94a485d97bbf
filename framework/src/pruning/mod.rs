//! Pruning: when and how much (a schedule), what a weight or unit is worth (a criterion), and from scores to masks or
//! smaller layers.
//!
//! How many stay follows from the schedule and the scope alone ([`asked`]), before anything is scored; scores come in
//! per parameter or per unit group, and the lowest go. What was achieved is counted anew after the change and compared
//! with what was asked.

mod apply;
mod budget;
mod choices;
mod config;
pub mod criterion;
mod forecast;
mod masks;
pub mod measure;
mod plan;
pub mod schedule;
mod scores;

pub use apply::{Census, apply, counts, sparsity, units_in_use};
pub use budget::{Asked, KeepCount, asked};
pub use choices::{Apply, Granularity, Normalizer, OnEmptyLayer, RegrowFrom, Scope};
pub use config::PruneConfig;
pub use forecast::{Forecast, Remark, forecast};
pub use masks::KeepMask;
pub use plan::{Plan, plan};
pub use scores::Answers;
