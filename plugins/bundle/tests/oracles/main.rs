//! Scores of criteria against implementations that we did not write. For every family of criteria `FAMILY/cases.toml`
//! lists what is scored, and `golden.json` holds what `make.py` found for it: the scores, and what they keep.
#![allow(clippy::unwrap_used, reason = "tests")]

mod case;
mod fits;
mod inputs;

use case::{Found, cases};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest difference of a target's scores, in parts of their norm.
const SCORES: f64 = 1e-5;

fn apart(ours: &[f32], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = theirs.iter().map(|b| b * b).sum::<f64>().sqrt();
    ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt() / norm.max(f64::MIN_POSITIVE)
}

/// Compares every case of a family; `golden` is the text of its JSON file.
fn compare(family: &str, listed: &str, golden: &str) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let (registry, mut faults) = (secateur_bundle::registry().unwrap(), vec![]);
    let all = cases(listed);
    assert_eq!(golden["cases"].as_object().unwrap().len(), all.len(), "run {family}/make.py: its cases are others");
    for case in all {
        let theirs = &golden["cases"][&case.name];
        assert!(theirs.is_object(), "{family}/golden.json has no {}: run {family}/make.py", case.name);
        let Found { scores, kept, params } = case.run(&registry).unwrap();
        let their_scores: BTreeMap<String, Vec<f64>> = serde_json::from_value(theirs["scores"].clone()).unwrap();
        let their_params: BTreeMap<String, Vec<f64>> =
            theirs.get("params").map_or_else(BTreeMap::new, |params| serde_json::from_value(params.clone()).unwrap());
        let their_kept: BTreeMap<String, Vec<usize>> = serde_json::from_value(theirs["kept"].clone()).unwrap();
        assert!(!their_scores.is_empty() || !their_kept.is_empty(), "{}: nothing to compare", case.name);
        for (name, theirs) in their_scores {
            let ours = scores.get(&name).unwrap_or_else(|| panic!("{}: {name} was not scored", case.name));
            let difference = apart(ours, &theirs);
            println!("{:28} {name:24} {difference:.1e}", case.name);
            if difference.is_nan() || difference > SCORES {
                let first = |n: usize| n.min(12);
                let (ours, theirs) = (&ours[..first(ours.len())], &theirs[..first(theirs.len())]);
                faults.push(format!(
                    "{}: the scores of {name} differ by {difference:.1e}: {ours:?}, not {theirs:?}",
                    case.name
                ));
            }
        }
        // Weights at the end of the run, where these are what a method makes.
        for (name, theirs) in their_params {
            let difference = apart(&params[&name], &theirs);
            println!("{:28} {name:24} {difference:.1e} at the end", case.name);
            if difference.is_nan() || difference > SCORES {
                faults.push(format!("{}: {name} differs by {difference:.1e} at the end", case.name));
            }
        }
        for (name, theirs) in their_kept.iter().filter(|(name, theirs)| kept.get(*name) != Some(*theirs)) {
            faults.push(format!("{}: of {name} {theirs:?} are kept, not {:?}", case.name, kept.get(name)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn criteria_over_relevance() {
    compare("relevance", include_str!("relevance/cases.toml"), include_str!("relevance/golden.json"));
}

#[test]
fn criteria_over_weights() {
    compare("weights", include_str!("weights/cases.toml"), include_str!("weights/golden.json"));
}

#[test]
fn masks_with_a_structure() {
    compare("patterns", include_str!("patterns/cases.toml"), include_str!("patterns/golden.json"));
}

#[test]
fn criteria_over_gradients() {
    compare("gradients", include_str!("gradients/cases.toml"), include_str!("gradients/golden.json"));
}

#[test]
fn feature_maps_that_pay_for_their_operations() {
    compare("flops", include_str!("flops/cases.toml"), include_str!("flops/golden.json"));
}

#[test]
fn criteria_over_activations() {
    compare("activations", include_str!("activations/cases.toml"), include_str!("activations/golden.json"));
}

#[test]
fn criteria_over_units_and_their_penalties() {
    compare("units", include_str!("units/cases.toml"), include_str!("units/golden.json"));
}

#[test]
fn criteria_over_maps() {
    compare("maps", include_str!("maps/cases.toml"), include_str!("maps/golden.json"));
}

#[test]
fn scores_of_autosparse() {
    compare("autosparse", include_str!("autosparse/cases.toml"), include_str!("autosparse/golden.json"));
}
