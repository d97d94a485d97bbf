//! Comparisons: which setting is better, by how much, how sure we are, and at what cost.

mod blocks;
mod budget;
mod cells;
mod choice;
mod controls;
mod copies;
mod failures;
mod group;
mod keys;
mod metric;
mod page;
mod pair;
mod pareto;
mod sentence;
mod text;

pub use cells::{Cells, Question};
pub use group::Group;
pub use keys::{Flat, flat, telling, value};
pub use metric::{Metric, Unit, named};
pub use page::{Maps, Over, damaged_logs, maps, over_sparsity, page};
pub use pair::{Pair, Sides, Versus, Wanted};
pub use pareto::Front;
pub use text::{Table, all as tables, csv, json, markdown, terminal};

/// Everything that a comparison found.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The config keys that tell groups apart.
    pub by: Vec<String>,
    /// The metric that groups are compared in.
    pub metric: Metric,
    /// Differences of that metric within this do not matter, where that was asked.
    pub margin: Option<f64>,
    /// Whether intervals and probabilities are from resampling, and not Student's.
    pub bootstrap: bool,
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
