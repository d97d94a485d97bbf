//! Fractions as people read them, and what each is a fraction of.
//!
//! Three are told apart everywhere: *of the weights (or units, or blocks) that may be pruned* is what a schedule asks for
//! and what a pruning step counts, unless `prune.target` is a cost of the dense network, without what `prune.exempt`, `prune.include_output` and the scope leave alone; *of all weights*
//! are those of all layers, the exempt ones among them, without biases and norms; *parameters* are all numbers that are
//! trained.

use std::collections::BTreeMap;

use secateur::network::layout::Sizes;
use secateur::pruning::Counted;

/// `12.5 %`; a fraction below 1 never reads as 100 %, nor one above 0 as 0 %.
pub fn percent(value: f64) -> String {
    let written = |decimals: usize| format!("{:.decimals$}", value * 100.0);
    let none = |text: &str| text.chars().all(|c| c == '0' || c == '.');
    let false_end = |text: &str| value < 1.0 && text.starts_with("100.") || value > 0.0 && none(text);
    let text = (1..=6).map(written).find(|text| !false_end(text)).unwrap_or_else(|| written(6));
    format!("{text} %")
}

/// What a pruning step counted; in events of earlier versions, which do not say it, by the names of what was kept: those
/// of unit groups, or of parameters.
pub fn counted(said: Option<Counted>, kept: &BTreeMap<String, usize>, units: &Sizes) -> Option<Counted> {
    let guess = |name: &String| if units.0.contains_key(name) { Counted::Units } else { Counted::Weights };
    said.or_else(|| kept.keys().next().map(guess))
}

/// What a fraction is taken of, in words.
pub fn of_what(counted: Option<Counted>) -> &'static str {
    counted.map_or("weights or units that may be pruned", Counted::of_what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_below_one_is_not_all() {
        let shown = [0.0, 0.125, 0.9994, 0.9999, 0.999_96, 0.000_04, 1.0].map(percent);
        assert_eq!(shown, ["0.0 %", "12.5 %", "99.9 %", "99.99 %", "99.996 %", "0.004 %", "100.0 %"]);
    }
}
