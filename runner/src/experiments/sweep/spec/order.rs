//! The order in which the rules of `[[sweep.when]]` are asked: one that another rule may change the answer of comes after it.

use super::{Spec, When};
use crate::config::key;

/// The rules by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Those that can be asked, each after all that may set a key that its condition names; else as they stand.
    pub asked: Vec<usize>,
    /// Those that wait for each other, or for such.
    pub waiting: Vec<usize>,
}

impl Spec {
    /// In which order the rules are asked, so that a condition is about the values that a cell ends with, and not about those
    /// that another rule is going to replace.
    pub fn order(&self) -> Order {
        let set: Vec<Vec<Vec<String>>> = self.when.iter().map(|rule| self.set_by(rule)).collect();
        let waits_for = |rule: usize, other: usize| rule != other && names_one_of(&self.when[rule], &set[other]);
        let mut order = Order { asked: Vec::new(), waiting: (0..self.when.len()).collect() };
        let free =
            |waiting: &[usize]| waiting.iter().position(|rule| !waiting.iter().any(|other| waits_for(*rule, *other)));
        while let Some(place) = free(&order.waiting) {
            order.asked.push(order.waiting.remove(place));
        }
        order
    }

    /// The keys that a rule may set.
    fn set_by(&self, rule: &When) -> Vec<Vec<String>> {
        let choices = rule.axes.iter().flat_map(|axis| &self.axes[*axis].values);
        let layers = choices.flat_map(|choice| &choice.layers);
        layers.flat_map(|layer| key::flat(&layer.table)).map(|(path, _)| path).collect()
    }
}

/// Whether the condition of a rule names one of these keys, a table that holds one, or a key within one.
fn names_one_of(rule: &When, keys: &[Vec<String>]) -> bool {
    let named = |path: &[String]| keys.iter().any(|key| path.starts_with(key) || key.starts_with(path));
    rule.condition.0.iter().any(|(path, _)| named(path))
}
