//! In which order the rules of `[[sweep.when]]` are asked: one whose condition another may change comes after it.

use super::{Spec, When};
use crate::config::key;

/// The rules by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Each after all that may set a key which its condition names; those that wait for each other last, as they stand.
    rules: Vec<usize>,
    /// For each rule, those that may set such a key.
    behind: Vec<Vec<usize>>,
}

impl Spec {
    /// In which order the rules are asked, so that a condition is about the values that a cell ends with, and not about
    /// those that another rule is going to replace.
    pub fn order(&self) -> Order {
        let set: Vec<Vec<Vec<String>>> = self.when.iter().map(|rule| self.set_by(rule)).collect();
        let others = |rule: usize| (0..set.len()).filter(move |other| *other != rule);
        let behind: Vec<Vec<usize>> = (self.when.iter().enumerate())
            .map(|(rule, when)| others(rule).filter(|other| names_one_of(when, &set[*other])).collect())
            .collect();
        let (mut rules, mut waiting) = (Vec::new(), (0..set.len()).collect::<Vec<_>>());
        let free = |waiting: &[usize]| {
            waiting.iter().position(|rule| !behind[*rule].iter().any(|other| waiting.contains(other)))
        };
        while let Some(place) = free(&waiting) {
            rules.push(waiting.remove(place));
        }
        rules.append(&mut waiting);
        Order { rules, behind }
    }

    /// The keys that a rule may set.
    fn set_by(&self, rule: &When) -> Vec<Vec<String>> {
        let choices = rule.axes.iter().flat_map(|axis| &self.axes[*axis].values);
        let layers = choices.flat_map(|choice| &choice.layers);
        layers.flat_map(|layer| key::flat(&layer.table)).map(|(path, _)| path).collect()
    }
}

impl Order {
    /// The rule that comes next, of those that hold: one that no other of them may change the answer of, where there is one.
    pub fn next(&self, holds: impl Fn(usize) -> bool) -> Option<usize> {
        let holding: Vec<usize> = self.rules.iter().copied().filter(|rule| holds(*rule)).collect();
        let last_word = |rule: &usize| !self.behind[*rule].iter().any(|other| holding.contains(other));
        holding.iter().copied().find(last_word).or_else(|| holding.first().copied())
    }
}

/// Whether the condition of a rule names one of these keys, a table that holds one, or a key within one.
fn names_one_of(rule: &When, keys: &[Vec<String>]) -> bool {
    let named = |path: &[String]| keys.iter().any(|key| path.starts_with(key) || key.starts_with(path));
    rule.condition.0.iter().any(|(path, _)| named(path))
}
