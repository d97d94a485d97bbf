//! Searches: what proposes the settings of trials, which of them are stopped early, and by what figure they are judged.
//! Nothing here knows a run; a sweep that searches asks, and remembers the answers.

mod halving;
mod parzen;
mod propose;
mod reward;
mod settings;
mod space;

pub use halving::{Halving, promoted};
pub use propose::propose;
pub use reward::Reward;
pub use settings::{Direction, Method, Replicate, Settings};
pub use space::{Active, Dimension, Drawn, Kind, Point, Span, is_active};

use crate::printable::counted;

/// Everything that `[sweep.search]` says.
#[derive(Clone, Debug)]
pub struct Search {
    /// Its plain keys.
    pub settings: Settings,
    /// How trials are stopped early, where they are.
    pub halving: Option<Halving>,
    /// How the best are run again.
    pub replicate: Replicate,
    /// The figure by which trials are judged.
    pub reward: Reward,
    /// What is searched: a dimension a key; one that holds under a condition stands after the one that it depends on.
    pub space: Vec<Dimension>,
}

impl Search {
    /// Whether more of the figure is better.
    pub fn more_is_better(&self) -> bool {
        self.settings
            .direction
            .map_or_else(|| self.reward.more_is_better(), |direction| direction == Direction::Maximize)
    }

    /// What must not change once the search has begun, a line each.
    pub fn rule(&self) -> Vec<String> {
        let Settings { method, trials, wave, seed, .. } = &self.settings;
        let better = if self.more_is_better() { "more" } else { "less" };
        let mut lines = vec![
            format!("method {method}, {} in waves of {wave}, seed {seed}", counted(*trials, "trial")),
            format!("metric {}: {better} is better", self.reward),
        ];
        lines.extend((*method == Method::Tpe).then(|| format!("startup {}", self.settings.startup())));
        lines.extend(self.halving.as_ref().map(ToString::to_string));
        lines.push(self.replicate.to_string());
        lines.extend(self.space.iter().map(|dimension| dimension.told(&self.space)));
        lines
    }
}
