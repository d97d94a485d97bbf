//! A schedule's sparsity as a fraction of what the dense network costs is met to the last weight, block or unit.

use crate::scene::{BLOCK, SCHEDULES, config, data, run, steps};
use secateur::pruning::{Apply, Counted, Granularity, PruneConfig, Quantity, Scope};

/// Parameters and multiply-accumulates of the network with these widths; it has biases.
fn costs(fc1: usize, fc2: usize) -> [usize; 2] {
    let macs = 784 * fc1 + fc1 * fc2 + fc2 * 10;
    [macs + fc1 + fc2 + 10, macs]
}

#[test]
fn a_cost_is_met_to_the_last_unit() {
    let data = data();
    for (quantity, counted) in
        [(Quantity::Params, Counted::Params), (Quantity::Macs, Counted::Macs), (Quantity::Bytes, Counted::Bytes)]
    {
        for (scope, schedule) in [Scope::Global, Scope::Layer, Scope::Erk]
            .into_iter()
            .flat_map(|scope| SCHEDULES[..4].iter().chain(&SCHEDULES[6..]).map(move |schedule| (scope, *schedule)))
        {
            for (apply, regrow) in [(Apply::Shrink, false), (Apply::Mask, false), (Apply::Mask, true)] {
                if quantity == Quantity::Bytes && apply == Apply::Mask {
                    continue;
                }
                for rounds in [1, 3] {
                    let prune =
                        PruneConfig { target: quantity, ..config(Granularity::Unit, scope, rounds, apply, regrow) };
                    let what = format!("{quantity:?} {scope:?} {schedule:?} {apply:?} regrow {regrow} rounds {rounds}");
                    let (outcome, events) = run(&prune, schedule, &data).unwrap();
                    let of = |fc1: usize, fc2: usize| {
                        let [params, macs] = costs(fc1, fc2);
                        if counted == Counted::Macs { macs } else { params }
                    };
                    let dense = of(12, 7) as f64;
                    for (kept, target, achieved) in steps(&events) {
                        let now = of(kept["fc1"], kept["fc2"]) as f64;
                        assert!((achieved - (1.0 - now / dense)).abs() < 1e-9, "{what}: {achieved} {kept:?}");
                        assert!(achieved >= target - 1e-6, "{what}: {achieved} of {target}");
                        // One unit more would be too many.
                        let fc2 = (kept["fc2"] < 7).then(|| of(kept["fc1"], kept["fc2"] + 1));
                        let fc1 = (kept["fc1"] < 12).then(|| of(kept["fc1"] + 1, kept["fc2"]));
                        // The same fraction of two layers may take a unit of both at once.
                        let both =
                            (scope == Scope::Layer).then(|| of((kept["fc1"] + 1).min(12), (kept["fc2"] + 1).min(7)));
                        let more = fc1.max(fc2).max(both).map_or(0.0, |more| 1.0 - more as f64 / dense);
                        assert!(more <= target + 1e-9, "{what}: {more} would do for {target}, {kept:?}");
                    }
                    if apply == Apply::Shrink && counted == Counted::Macs {
                        let (_, target, achieved) = steps(&events).last().unwrap().clone();
                        let summary = 1.0 - outcome.summary.macs_kept as f64 / outcome.summary.macs_dense as f64;
                        assert!((summary - achieved).abs() < 1e-9 && summary >= target - 1e-6, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_cost_of_weights_is_met_to_the_last_weight() {
    let data = data();
    for target in [Quantity::Params, Quantity::Macs] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            let prune = PruneConfig { target, ..config(Granularity::Weight, scope, 2, Apply::Mask, false) };
            let (outcome, events) = run(&prune, ("cubic", "sparsity = 0.8\nevery = 4"), &data).unwrap();
            let [params, macs] = costs(12, 7);
            let (rest, dense) = if target == Quantity::Params { (12 + 7 + 10 + 70, params) } else { (70, macs) };
            for (kept, asked, achieved) in steps(&events) {
                let now = rest + kept.values().sum::<usize>();
                let limit = ((1.0 - asked) * dense as f64 + 1e-5).floor() as usize;
                // Each weight of this network costs the same. Two layers of one fraction round each by itself.
                let rounded = usize::from(scope == Scope::Layer);
                assert!(now <= limit && limit - now <= rounded, "{target:?} {scope:?}: {now} of {limit}");
                assert!((achieved - (1.0 - now as f64 / dense as f64)).abs() < 1e-9);
            }
            let summary = &outcome.summary;
            let last = steps(&events).last().unwrap().2;
            let kept = if target == Quantity::Params {
                summary.params_kept as f64 / summary.params_dense as f64
            } else {
                summary.macs_kept as f64 / summary.macs_dense as f64
            };
            assert!((1.0 - kept - last).abs() < 1e-9, "{target:?}: {kept} {last}");
        }
    }
    let most =
        PruneConfig { target: Quantity::Params, ..config(Granularity::Unit, Scope::Global, 1, Apply::Mask, false) };
    let error = run(&most, ("one-shot", "sparsity = 0.99"), &data).err().unwrap().to_string();
    assert!(error.contains("prune.target") && error.contains("at most 0.91"), "{error}");
}

/// The most weights that so many blocks of a matrix hold, one block after the other.
fn held(rows: usize, columns: usize, blocks: usize) -> usize {
    let [height, width] = BLOCK;
    let mut sizes = vec![];
    for row in (0..rows).step_by(height) {
        for column in (0..columns).step_by(width) {
            sizes.push(height.min(rows - row) * width.min(columns - column));
        }
    }
    sizes.sort_unstable();
    sizes.iter().rev().take(blocks).sum()
}

#[test]
fn a_cost_of_blocks_is_that_of_their_weights() {
    let data = data();
    for target in [Quantity::Params, Quantity::Macs] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            for regrow in [false, true] {
                let prune = PruneConfig { target, ..config(Granularity::Block, scope, 2, Apply::Mask, regrow) };
                let (outcome, events) = run(&prune, ("cubic", "sparsity = 0.8\nevery = 4"), &data).unwrap();
                let what = format!("{target:?} {scope:?} regrow {regrow}");
                let [params, macs] = costs(12, 7);
                let (rest, dense) = if target == Quantity::Params { (12 + 7 + 10 + 70, params) } else { (70, macs) };
                let of = |fc1: usize, fc2: usize| rest + held(12, 784, fc1) + held(7, 12, fc2);
                for (kept, asked, achieved) in steps(&events) {
                    let (fc1, fc2) = (kept["fc1.weight"], kept["fc2.weight"]);
                    let limit = ((1.0 - asked) * dense as f64 + 1e-5).floor() as usize;
                    assert!(of(fc1, fc2) <= limit, "{what}: {kept:?} of {limit}");
                    // What is achieved is counted in weights, of which blocks at an edge hold fewer.
                    let least = 1.0 - of(fc1, fc2) as f64 / dense as f64;
                    assert!(achieved >= least - 1e-9 && achieved >= asked - 1e-9, "{what}: {achieved} {least} {asked}");
                    let more = of((fc1 + 1).min(4 * 157), fc2).max(of(fc1, (fc2 + 1).min(9)));
                    let both = if scope == Scope::Layer { of(fc1 + 1, fc2 + 1) } else { 0 };
                    let all = (fc1, fc2) == (4 * 157, 9);
                    assert!(all || more.max(both) > limit, "{what}: {kept:?} and one more would do for {limit}");
                }
                let summary = &outcome.summary;
                let kept = if target == Quantity::Params {
                    summary.params_kept as f64 / summary.params_dense as f64
                } else {
                    summary.macs_kept as f64 / summary.macs_dense as f64
                };
                let last = steps(&events).last().unwrap().2;
                assert!((1.0 - kept - last).abs() < 1e-9, "{what}: {kept} {last}");
            }
        }
    }
}
