//! A random order of weights and units that stays the same for a whole run.

use rand::RngExt as _;
use secateur::prelude::*;
use std::collections::BTreeMap;

/// A random number for every weight and every unit, drawn once: where masks are renewed, an order that is drawn anew
/// would rewire the network at every renewal, and no longer be a control for a criterion that does not.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Of the groups that were asked for, the numbers of the units that are left.
    units: BTreeMap<String, Vec<f32>>,
}

impl Order {
    /// Numbers of the target's weights, in its shape.
    pub fn weights<B: Backend>(target: &Target<'_, B>, stream: &str) -> Vec<f32> {
        draw(target.seed(), stream, target.param().spec().shape.count())
    }

    /// Numbers of a group's units.
    pub fn units(&mut self, seed: Seed, stream: &str, group: &UnitGroup) -> &[f32] {
        self.units.entry(group.name.clone()).or_insert_with(|| draw(seed, stream, group.units))
    }

    /// Units that are cut out take their numbers along.
    pub fn cut(&mut self, cut: &Cut<'_>) {
        if let Some(numbers) = self.units.get_mut(&cut.group.name) {
            *numbers = cut.kept.iter().map(|&unit| numbers[unit]).collect();
        }
    }

    pub fn save(&self) -> State {
        State(self.units.iter().map(|(name, n)| (name.clone(), n.iter().map(|&n| f64::from(n)).collect())).collect())
    }

    pub fn load(&mut self, state: State) {
        let numbers = |n: Vec<f64>| n.into_iter().map(|n| n as f32).collect();
        self.units = state.0.into_iter().map(|(name, n)| (name, numbers(n))).collect();
    }
}

/// As many numbers from a seed.
pub(crate) fn draw(seed: Seed, stream: &str, n: usize) -> Vec<f32> {
    let mut rng = seed.stream(stream, &[]);
    (0..n).map(|_| rng.random::<f32>()).collect()
}
