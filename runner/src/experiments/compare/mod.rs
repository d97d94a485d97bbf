//! Comparisons: which setting is better, by how much, how sure we are, and at what cost.

mod cells;
mod group;
mod html;
mod keys;
mod pair;
mod pareto;
mod sentence;
mod text;

pub use cells::{Cells, Question};
pub use group::{Group, Metric};
pub use html::page;
pub use pair::Pair;
pub use pareto::Front;
pub use text::{csv, json, markdown, terminal};

/// Everything that a comparison found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The config keys that tell groups apart.
    pub by: Vec<String>,
    /// The metric that groups are compared in.
    pub metric: Metric,
    /// The groups, controls last.
    pub groups: Vec<Group>,
    /// Each group against the baseline.
    pub pairs: Vec<Pair>,
    /// Each group against its controls.
    pub control_pairs: Vec<Pair>,
    /// Groups that no other beats in both directions.
    pub fronts: Vec<Front>,
    /// What was left out, and what the numbers cannot say.
    pub notes: Vec<String>,
}
