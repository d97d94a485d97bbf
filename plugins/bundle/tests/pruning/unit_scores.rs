//! What the scores of units looked like is told at each pruning step, of the units that were there.

use crate::common;
use crate::scene::config;
use secateur::data::DataConfig;
use secateur::plugins::conformance::{Named, Trial};
use secateur::pruning::measure::UnitScores;
use secateur::pruning::{Apply, Granularity, Scope};
use secateur::training::TrainConfig;
use secateur::training::event::Event;
use std::collections::BTreeMap;

type Told = (BTreeMap<String, UnitScores>, BTreeMap<String, usize>);

/// The scores and what was kept at each pruning step.
fn told(criterion: Named, granularity: Granularity, apply: Apply) -> Vec<Told> {
    let trial = Trial {
        model: ("mlp", "hidden = [12, 7]\nbias = false"),
        criterion,
        schedule: ("periodic", "first = 2\nevery = 1\ncount = 2\nfraction = 0.3"),
        prune: config(granularity, Scope::Layer, 1, apply, false),
        train: TrainConfig { epochs: 4, batch_size: 20, lr: 0.05, ..TrainConfig::default() },
        ..Trial::default()
    };
    let registry = secateur_bundle::registry().unwrap();
    let data = common::glyphs(200, 50, DataConfig::default());
    let (outcome, events) = trial.run(&registry, secateur::backend::Cpu::default(), &data).unwrap();
    let of = |event| match event {
        Event::Prune { scores, kept, .. } => Some((scores, kept)),
        _ => None,
    };
    let all: Vec<Told> = events.into_iter().filter_map(of).collect();
    assert_eq!((all.len(), &outcome.summary.unit_scores), (2, &all[1].0));
    all
}

#[test]
fn relevance_and_contributions_are_conserved_from_layer_to_layer() {
    // Units that nothing reaches have no contributions to share out: of contributions some may be missing.
    for (criterion, least) in [(("lrp", ""), 0.48), (("contribution-rank", "lambda1 = 1.0\nlambda2 = 0.0"), 0.35)] {
        for apply in [Apply::Mask, Apply::Shrink] {
            let all = told(criterion, Granularity::Unit, apply);
            let mut there: BTreeMap<String, usize> = [("fc1".to_owned(), 12), ("fc2".to_owned(), 7)].into();
            for (scores, kept) in all {
                let units: BTreeMap<_, _> = scores.iter().map(|(name, scores)| (name.clone(), scores.units)).collect();
                assert_eq!(units, there, "{criterion:?}");
                for scores in scores.values() {
                    assert!((least..=1.0 - least).contains(&scores.share), "{criterion:?}: {scores:?}");
                    assert!(scores.median <= scores.max && scores.mean > 0.0 && scores.median_over_mean.is_some());
                }
                there = kept;
            }
        }
    }
}

#[test]
fn single_weights_have_no_scores_of_units() {
    assert!(told(("magnitude", ""), Granularity::Weight, Apply::Mask).iter().all(|(scores, _)| scores.is_empty()));
}
