use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Normal};

use super::room::power;
use super::*;
use crate::experiments::statistics::t_quantile;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn looks(case: &Value) -> (Vec<usize>, usize, f64) {
    let looks = case["looks"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    (looks, case["most"].as_u64().unwrap() as usize, case["error"].as_f64().unwrap())
}

#[test]
fn levels_of_small_cases_are_those_of_the_areas_on_the_sphere() {
    for case in golden()["exact"].as_array().unwrap() {
        let (looks, most, error) = looks(case);
        let found = levels(&looks, most, error, Sides::Two);
        for (found, expected) in found.iter().zip(case["levels"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 3e-3, "{case}: {found}");
        }
    }
}

#[test]
fn levels_are_those_that_a_count_of_many_paths_finds() {
    for case in golden()["drawn"].as_array().unwrap() {
        let (looks, most, error) = looks(case);
        let sides = if case["sides"] == 2 { Sides::Two } else { Sides::One };
        let found = levels(&looks, most, error, sides);
        for (found, expected) in found.iter().zip(case["levels"].as_array().unwrap()) {
            let (expected, se) = (expected[0].as_f64().unwrap(), expected[1].as_f64().unwrap());
            assert!((found - expected).abs() < 4.0 * se + 1e-3 * expected, "{case}: {found}, not {expected}");
        }
    }
}

#[test]
fn with_many_pairs_the_variance_is_as_good_as_known() {
    for case in golden()["normal"].as_array().unwrap() {
        let (looks, most, error) = looks(case);
        let found = levels(&looks, most, error, Sides::Two);
        for (found, expected) in found.iter().zip(case["levels"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 0.01, "{case}: {found}");
        }
    }
}

/// Normal deviates from a counter: the test must give the same answer everywhere.
struct Deviates(u64);

impl Deviates {
    fn next(&mut self) -> f64 {
        self.0 += 1;
        // SplitMix64 (Steele et al. 2014).
        let mut z = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Normal::standard().inverse_cdf((((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64)
    }
}

/// How seeds are added.
#[derive(Clone, Copy)]
struct Seeds {
    least: usize,
    most: usize,
    every: usize,
}

/// A sweep: groups against the first one, whose means are these; seeds move all of them, and the differences have a deviation
/// of 1. What was claimed of each, and the pairs that each had by then.
fn sweep(
    rule: &Rule,
    seeds: Seeds,
    means: &[f64],
    random: &mut Deviates,
    known: &mut Levels,
) -> Vec<(Option<Claim>, usize)> {
    let count = means.len();
    let (mut runs, mut seen): (Vec<Vec<f64>>, Vec<Vec<Look>>) = (Vec::new(), vec![Vec::new(); count]);
    let mut claims = vec![None; count];
    let mut target = seeds.least;
    loop {
        while runs.len() < target {
            let seed = random.next();
            let mut run = |mean: f64| mean + 3.0 * seed + random.next() / std::f64::consts::SQRT_2;
            let first = run(0.0);
            runs.push(means.iter().map(|mean| run(*mean) - first).collect());
        }
        for (comparison, looks) in seen.iter_mut().enumerate().filter(|(comparison, _)| claims[*comparison].is_none()) {
            let all: Vec<f64> = runs.iter().map(|run| run[comparison]).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
            looks.push(Look { n: all.len(), mean, std: (squares / (all.len() - 1) as f64).sqrt() });
        }
        rule.settle(&seen, &mut claims, known);
        if target == seeds.most || claims.iter().all(Option::is_some) {
            return claims
                .into_iter()
                .zip(seen)
                .map(|(claim, looks)| (claim, looks.last().map_or(0, |look| look.n)))
                .collect();
        }
        target = (target + seeds.every).min(seeds.most);
    }
}

const SEEDS: Seeds = Seeds { least: 5, most: 40, every: 3 };
const SWEEPS: usize = 2000;

#[test]
fn two_thousand_sweeps_without_a_difference_are_seldom_called_different() {
    for (margin, groups) in [(None, 1), (None, 8), (Some(1.0), 1), (Some(1.0), 8)] {
        let rule = Rule { margin, error: 0.05, most: SEEDS.most };
        let (mut random, mut known) = (Deviates(11), Levels::default());
        let differ = |all: &Vec<(Option<Claim>, usize)>| {
            all.iter().any(|(claim, _)| matches!(claim, Some(Claim::Above | Claim::Below)))
        };
        let all = (0..SWEEPS).map(|_| sweep(&rule, SEEDS, &vec![0.0; groups], &mut random, &mut known));
        let called = all.filter(differ).count();
        println!("margin {margin:?}, {groups} comparisons: {called} of {SWEEPS} are called different");
        assert!(called as f64 <= 0.062 * SWEEPS as f64, "{margin:?} {groups}: {called}");
        // One comparison without a margin spends all of the error.
        assert!(margin.is_some() || groups > 1 || called as f64 > 0.038 * SWEEPS as f64, "{called}");
    }
}

#[test]
fn what_differs_by_the_margin_is_seldom_called_the_same() {
    let rule = Rule { margin: Some(1.0), error: 0.05, most: SEEDS.most };
    for groups in [1, 8] {
        let (mut random, mut known) = (Deviates(1_000_003), Levels::default());
        let all = (0..SWEEPS).map(|_| sweep(&rule, SEEDS, &vec![1.0; groups], &mut random, &mut known));
        let same = |all: &Vec<(Option<Claim>, usize)>| {
            all.iter().any(|(claim, _)| matches!(claim, Some(Claim::Same | Claim::Below)))
        };
        let called = all.filter(same).count();
        assert!(called as f64 <= 0.062 * SWEEPS as f64, "{groups}: {called}");
    }
}

#[test]
fn a_difference_of_one_deviation_is_decided_with_fewer_seeds() {
    for (most, groups) in [(12, 1), (20, 1), (40, 1), (28, 3), (40, 3), (20, 8), (34, 8), (40, 8)] {
        let rule = Rule { margin: None, error: 0.05, most };
        let seeds = Seeds { most, ..SEEDS };
        let (mut random, mut known) = (Deviates(77), Levels::default());
        let (mut decided, mut pairs) = (0, 0);
        for _ in 0..SWEEPS {
            // One of the groups differs.
            let means: Vec<f64> = (0..groups).map(|group| if group == 0 { 1.0 } else { 0.0 }).collect();
            let (claim, n) = sweep(&rule, seeds, &means, &mut random, &mut known)[0];
            decided += usize::from(claim == Some(Claim::Above));
            pairs += n;
        }
        let (found, mean) = (decided as f64 / SWEEPS as f64, pairs as f64 / SWEEPS as f64);
        let fixed = (3..200).find(|n| power(*n, 0.05 / groups as f64) >= found).unwrap();
        let share = mean / fixed as f64;
        let row =
            format!("| {groups} | {most} | {:.1} % | {mean:.1} | {fixed} | {:.0} % |", found * 100.0, share * 100.0);
        println!("{row}");
        assert!(most < room(0.05, groups) || share <= 0.75, "{row}");
    }
}

#[test]
fn without_spread_nothing_is_claimed_and_claims_stay() {
    let rule = Rule { margin: Some(0.5), error: 0.05, most: 20 };
    let look = |n, mean, std| Look { n, mean, std };
    let mut claims = [None, None, Some(Claim::Same)];
    let seen = [vec![look(5, 1.0, 0.0)], vec![look(5, 2.0, 0.1)], vec![look(5, 2.0, 0.1)]];
    rule.settle(&seen, &mut claims, &mut Levels::default());
    assert_eq!(claims, [None, Some(Claim::Above), Some(Claim::Same)]);
}

#[test]
fn a_comparison_that_differs_leaves_its_share_to_the_others() {
    let looks = |mean| vec![Look { n: 10, mean, std: 1.0 }];
    let level = |share: f64| levels(&[10], 10, 0.05 / share, Sides::Two)[0];
    // A probability between a half of the error and all of it.
    let t = t_quantile(1.0 - 0.03 / 2.0, 9);
    assert!(level(2.0) < 0.03 && 0.03 < level(1.0));
    let between = looks(t / 10f64.sqrt());
    let settled = |margin, other: f64| {
        let mut claims = [None, None];
        Rule { margin, error: 0.05, most: 10 }.settle(
            &[looks(other), between.clone()],
            &mut claims,
            &mut Levels::default(),
        );
        claims[1]
    };
    assert_eq!(settled(None, 5.0), Some(Claim::Above), "the other differs");
    assert_eq!(settled(None, 0.1), None, "nothing is left to it");
    assert_eq!(settled(Some(0.01), 5.0), None, "what differs could still be called the same");
}
