//! Whole runs against PyTorch: `torch.json` holds what `make.py` computed in double precision for every run of
//! `cases.toml`, from our initial weights, and what it would have been with a convention that is not ours.
#![allow(clippy::unwrap_used, reason = "tests")]

mod cases;
#[path = "../common/mod.rs"]
mod common;
mod given;
mod images;
mod inputs;

use cases::{Checksums, cases, checksums};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest difference of a loss, relative where the loss is above 1.
const LOSSES: f64 = 1e-5;
/// Largest difference of the sum or the norm of a parameter at the end of a run, in parts of its norm, or of 0.1 where
/// that is larger.
const WEIGHTS: f64 = 5e-5;

/// Whether two runs are one: what [`losses_apart`] may be.
fn agree(ours: &[f64], theirs: &[f64]) -> bool {
    losses_apart(ours, theirs) <= LOSSES
}

/// The largest difference of a loss, relative where the loss is above 1.
fn losses_apart(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

/// How losses part, every third step: a slope that is wrong shows at once, rounding grows.
fn parting(ours: &[f64], theirs: &[f64]) -> String {
    let each = ours.iter().zip(theirs).enumerate().step_by(3);
    each.map(|(step, (a, b))| format!("{step}: {:.0e}", (a - b).abs())).collect::<Vec<_>>().join(", ")
}

/// The largest difference of a parameter's sum or norm, in parts of its norm, and that parameter.
fn weights_apart(ours: &Checksums, theirs: &Checksums) -> (f64, String) {
    assert!(ours.keys().eq(theirs.keys()), "{:?} and {:?}", ours.keys(), theirs.keys());
    let each = ours.iter().zip(theirs.values()).map(|((name, a), b)| {
        // Biases that start at zero have hardly a norm yet; their gradients are sums that cancel, rounded as large ones.
        let differences = [0, 1].map(|i| (a[i] - b[i]).abs() / b[1].max(0.1));
        (differences[0].max(differences[1]), name.clone())
    });
    each.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

fn numbers(golden: &Value) -> Vec<f64> {
    golden.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn pairs(golden: &Value) -> Checksums {
    let pair = |v| <[f64; 2]>::try_from(numbers(v)).unwrap();
    golden.as_object().unwrap().iter().map(|(name, v)| (name.clone(), pair(v))).collect()
}

#[test]
fn runs_follow_pytorch_and_no_other_convention() {
    let golden: Value = serde_json::from_str(include_str!("torch.json")).unwrap();
    let (registry, mut faults, mut others) = (secateur_bundle::registry().unwrap(), vec![], 0);
    let all = cases();
    let ours: Vec<_> = all.par_iter().map(|case| case.run(&registry).unwrap()).collect();
    for (case, ours) in all.iter().zip(ours) {
        let (name, theirs) = (&case.name, &golden["cases"][&case.name]);
        assert!(theirs.is_object(), "torch.json has no {name}: run make.py");
        let initial = checksums(&case.initial(&registry).unwrap()).unwrap();
        let (changed, parameter) = weights_apart(&initial, &pairs(&theirs["initial"]));
        assert!(changed < 1e-6, "{name}: {parameter} starts differently than it did for torch.json: run make.py");
        let expected = numbers(&theirs["losses"]);
        let (weights, parameter) = weights_apart(&ours.weights, &pairs(&theirs["weights"]));
        let found = losses_apart(&ours.losses, &expected);
        println!("{name:20} losses {found:.1e}, weights {weights:.1e} ({parameter})");
        if let Some(theirs) = theirs.get("kept") {
            let theirs: BTreeMap<String, Vec<usize>> = serde_json::from_value(theirs.clone()).unwrap();
            println!("    {} weights kept", theirs.values().map(Vec::len).sum::<usize>());
            if ours.kept != theirs {
                faults.push(format!("{name} keeps other weights than PyTorch"));
            }
        }
        if !agree(&ours.losses, &expected) || weights > WEIGHTS {
            let parting = parting(&ours.losses, &expected);
            let weights = format!("{parameter} by {weights:.1e}");
            faults
                .push(format!("{name} is not PyTorch's: losses differ by {found:.1e}, {weights}; by step: {parting}"));
        }
        for (other, run) in golden["other"].as_object().unwrap().iter().filter(|(_, run)| run["of"] == **name) {
            let theirs = numbers(&run["losses"]);
            println!("    {other}: {:.1e}", losses_apart(&ours.losses, &theirs));
            if agree(&ours.losses, &theirs) {
                faults.push(format!("{name} cannot be told from the same with {other}"));
            }
            others += 1;
        }
    }
    let listed = |key: &str| golden[key].as_object().unwrap().len();
    assert_eq!((all.len(), others), (listed("cases"), listed("other")), "torch.json has runs of cases that are gone");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
