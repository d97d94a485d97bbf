//! Pruning: when and how much (a schedule), what a weight or unit is worth (a criterion), and from scores to masks or
//! smaller layers.
//!
//! How many stay follows from the schedule and the scope alone ([`asked`]), before anything is scored; scores come in
//! per parameter or per unit group, and the lowest go. What was achieved is counted anew after the change and compared
//! with what was asked. Where weights [grow] besides, as many as are dropped for them come in.

mod apply;
mod budget;
mod config;
pub mod criterion;
mod forecast;
mod grow;
mod latency;
mod masks;
pub mod measure;
mod plan;
pub mod schedule;
mod scores;
pub mod sparsest;

pub use apply::{Census, apply, counts, saved, sparsity, stay, units_in_use};
pub(crate) use budget::affordable;
pub use budget::{Asked, CostOf, Goal, KeepCount, asked, asked_at_cost};
pub use config::{
    Apply, Counted, Disconnected, Granularity, Normalizer, OnEmptyLayer, PruneConfig, Quantity, RegrowFrom, Scope,
};
pub use forecast::{Forecast, Remark, forecast};
pub use grow::{Decay, GrowConfig, grow};
pub use latency::{Bench, LatencyTable, TimedNetwork, Together};
pub use masks::KeepMask;
pub(crate) use masks::weights_by_blocks;
pub use plan::{Plan, plan, plan_at_cost};
pub use scores::Answers;
