//! What a search has found, and how far it has come.

use super::wiring::Wiring;
use serde::{Deserialize, Serialize};

/// Wirings that separate the classes and are kept of a level; their number is exact.
const KEPT: usize = 100;

/// A wiring and what came of its training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The wiring.
    pub wiring: Wiring,
    /// Seeds from which it separated the classes, each with the step at which that was seen.
    pub separated: Vec<(u32, u64)>,
    /// The most examples on the right side.
    pub right: usize,
    /// The least mean cross-entropy.
    pub loss: f32,
    /// The numbers of the first seed that separated the classes, or of the best: unit by unit, the weights that it reads
    /// with and then its bias.
    pub numbers: Vec<f32>,
}

/// The wirings of one number of weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Weights of each.
    pub nnz: usize,
    /// How many there are to train.
    pub wirings: usize,
    /// How many were trained.
    pub done: usize,
    /// How many of them separated the classes.
    pub separating: usize,
    /// Those that did so from the most seeds, best first.
    pub best: Vec<Found>,
    /// The one that came nearest, where none separated the classes.
    pub nearest: Option<Found>,
}

/// How far a search has come. A search that goes on from it ends as if it had never stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Levels that were searched, in that order.
    pub levels: Vec<Level>,
    /// Of `Mode::Structures`: the widths of networks without a mask that were trained, and whether they separate.
    pub structures: Vec<(Vec<usize>, bool)>,
    /// Of `Mode::Beam`: the wirings of the level, and of those with fewer weights that are known already.
    pub open: Vec<Wiring>,
    /// Of `Mode::Beam`: the best of the level so far, from which the next goes on.
    pub parents: Vec<Found>,
    /// Whether the search has come to its end.
    pub finished: bool,
}

impl State {
    /// The level with the fewest weights on which a wiring separates the classes.
    pub fn minimum(&self) -> Option<&Level> {
        self.levels.iter().filter(|level| level.separating > 0).min_by_key(|level| level.nnz)
    }
}

impl State {
    /// Whether everything in it fits networks of these inputs and hidden widths: what was read from a file may be
    /// anything.
    pub fn sound(&self, inputs: usize, hidden: &[usize]) -> bool {
        let of_levels = self.levels.iter().flat_map(|level| level.best.iter().chain(&level.nearest));
        let found = of_levels.chain(&self.parents);
        let mut wirings = found.map(|found| &found.wiring).chain(&self.open);
        wirings.all(|wiring| wiring.fits(inputs, hidden))
            && self.levels.iter().all(|level| level.done <= level.wirings && level.nnz > 0)
            && self.structures.iter().all(|(widths, _)| widths.len() == hidden.len())
    }
}

/// Keeps the best: more seeds, then more examples on the right side, then less loss, then the earlier.
pub(super) fn insert(best: &mut Vec<Found>, found: Found, most: usize) {
    let worse = |than: &Found| {
        (than.separated.len(), than.right)
            .cmp(&(found.separated.len(), found.right))
            .then(found.loss.total_cmp(&than.loss))
            .is_ge()
    };
    let at = best.iter().take_while(|than| worse(than)).count();
    best.insert(at, found);
    best.truncate(most);
}

impl Level {
    pub(super) fn add(&mut self, found: Found) {
        self.done += 1;
        if !found.separated.is_empty() {
            self.separating += 1;
            self.nearest = None;
            insert(&mut self.best, found, KEPT);
        } else if self.separating == 0 {
            let mut nearest = self.nearest.take().into_iter().collect();
            insert(&mut nearest, found, 1);
            self.nearest = nearest.pop();
        }
    }
}
