//! Criteria that send relevance backwards: what an output owes to each unit.

mod flow;
mod lrp;
mod rule;

pub use flow::flow;
pub use rule::{Rule, Shares, Sharing};
