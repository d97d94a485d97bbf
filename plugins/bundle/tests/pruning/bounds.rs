//! What binds single layers: a pattern, a least and a largest sparsity, multiples.

use crate::scene::{SCHEDULES, WIDTHS, config, data, notes, run, steps};
use secateur::options::OneOrTable;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use std::collections::BTreeMap;

#[test]
fn n_of_m_holds_in_every_row_whichever_the_schedule_and_scope() {
    let data = data();
    for schedule in SCHEDULES {
        for (n, m, regrow) in [(2, 4, false), (2, 4, true), (1, 4, false), (3, 5, true), (1, 16, false)] {
            let prune = PruneConfig {
                granularity: Granularity::NOfM { n, m },
                regrow,
                include_output: true,
                ..PruneConfig::default()
            };
            let (outcome, events) = run(&prune, schedule, &data).unwrap();
            let what = format!("{schedule:?} {n}:{m} regrow {regrow}");
            for (name, inputs) in [("fc1.weight", 784), ("fc2.weight", 12), ("fc3.weight", 7)] {
                let keep = outcome.params.get(name).unwrap().mask().unwrap().keep();
                for row in keep.chunks(inputs) {
                    for group in row.chunks(m) {
                        let kept = group.iter().filter(|k| **k).count();
                        assert_eq!(kept, (group.len() * n).div_ceil(m), "{what} {name}");
                    }
                }
            }
            for (_, target, achieved) in steps(&events) {
                assert_eq!(target.to_bits(), achieved.to_bits(), "{what}");
                assert!((achieved - (1.0 - n as f64 / m as f64)).abs() < 0.005, "{what}: {achieved}");
            }
            let only_when = notes(&events).iter().any(|text| text.contains("the schedule says only when"));
            assert_eq!(only_when, (schedule.0, 2 * n) != ("constant", m), "{what}: it asks for half");
            let uneven = notes(&events).iter().any(|text| text.contains("fc3.weight (7 inputs"));
            assert!(uneven, "{what}: {:?}", notes(&events));
        }
    }
    let quiet = PruneConfig { granularity: Granularity::NOfM { n: 1, m: 2 }, ..PruneConfig::default() };
    let (_, events) = run(&quiet, ("one-shot", "sparsity = 0.5\nat = 0.3"), &data).unwrap();
    assert_eq!(notes(&events), Vec::<String>::new(), "two divides 784 and 12, and half is what was asked");
}

#[test]
fn least_and_largest_sparsities_hold_and_the_total_stays() {
    let data = data();
    let table = |name: &str, s: f64| OneOrTable::Table([(name.to_owned(), s)].into());
    for granularity in [Granularity::Weight, Granularity::Block, Granularity::Unit] {
        for scope in [Scope::Global, Scope::Layer, Scope::Erk] {
            for regrow in [false, true] {
                let free = config(granularity, scope, 2, Apply::Mask, regrow);
                let bound =
                    PruneConfig { min_sparsity: table("fc1*", 0.5), max_sparsity: table("fc2*", 0.3), ..free.clone() };
                let what = format!("{granularity:?} {scope:?} regrow {regrow}");
                let schedule = ("cubic", "sparsity = 0.55\nevery = 4");
                // Shares of a layer each are rounded there.
                let rounded = if scope == Scope::Layer { 1 } else { 0 };
                let found = [&free, &bound].map(|prune| steps(&run(prune, schedule, &data).unwrap().1));
                let sum = |kept: &BTreeMap<String, usize>| kept.values().sum::<usize>();
                for (free, bound) in found[0].iter().zip(&found[1]) {
                    let (free, bound) = (sum(&free.0), sum(&bound.0));
                    assert!(free.abs_diff(bound) <= rounded, "{what}: {free} {bound}");
                }
                let dense = match granularity {
                    Granularity::Unit => [12, 7],
                    Granularity::Block => [4 * 157, 9],
                    _ => [784 * 12, 84],
                };
                let (kept, ..) = found[1].last().unwrap();
                let kept: Vec<usize> = kept.values().copied().collect();
                assert!(kept[0] as f64 <= 0.5 * dense[0] as f64 + 1e-9, "{what}: {kept:?}");
                assert!(kept[1] as f64 >= 0.7 * dense[1] as f64 - 1e-9, "{what}: {kept:?}");
            }
        }
    }
    let refused =
        |prune: PruneConfig, sparsity: &'static str| run(&prune, ("one-shot", sparsity), &data).err().unwrap();
    let max = PruneConfig { max_sparsity: OneOrTable::One(0.5), ..PruneConfig::default() };
    let error = refused(max, "sparsity = 0.8").to_string();
    assert!(error.contains("prune.max_sparsity") && error.contains("at most 0.5000"), "{error}");
    let min = PruneConfig { min_sparsity: OneOrTable::One(0.9), scope: Scope::Layer, ..PruneConfig::default() };
    let error = refused(min, "sparsity = 0.8").to_string();
    assert!(error.contains("prune.min_sparsity") && error.contains("no less than 0.90"), "{error}");
}

#[test]
fn counts_in_multiples_are_as_near_as_they_can_be_and_the_run_says_by_how_much() {
    let data = data();
    for granularity in [Granularity::Weight, Granularity::Block, Granularity::Unit] {
        let applies =
            if granularity == Granularity::Unit { vec![Apply::Mask, Apply::Shrink] } else { vec![Apply::Mask] };
        for (apply, scope) in applies
            .into_iter()
            .flat_map(|a| [Scope::Global, Scope::Layer, Scope::Erk, Scope::Table].map(|scope| (a, scope)))
        {
            let plain = config(granularity, scope, 1, apply, false);
            let prune = PruneConfig { multiple: 4, ..plain.clone() };
            let what = format!("{granularity:?} {apply:?} {scope:?}");
            let schedule = ("linear", "sparsity = 0.6\nfrom = 0.0\nevery = 7");
            let (_, events) = run(&prune, schedule, &data).unwrap();
            let asked = steps(&run(&plain, schedule, &data).unwrap().1);
            let dense: BTreeMap<&str, usize> = match granularity {
                Granularity::Unit => WIDTHS.into(),
                Granularity::Block => [("fc1.weight", 4 * 157), ("fc2.weight", 9)].into(),
                _ => [("fc1.weight", 784 * 12), ("fc2.weight", 84)].into(),
            };
            for ((kept, ..), (wanted, ..)) in steps(&events).iter().zip(&asked) {
                for (name, n) in kept {
                    assert!(n % 4 == 0 || *n == dense[name.as_str()], "{what} {name}: {n}");
                }
                let [found, wanted] = [kept, wanted].map(|counts| counts.values().sum::<usize>());
                let each = if scope == Scope::Table { 2 } else { 1 };
                assert!(found.abs_diff(wanted) <= 2 * each, "{what}: {found} {wanted}");
            }
            let (kept, wanted) = (steps(&events).last().unwrap().0.clone(), asked.last().unwrap().0.clone());
            let [found, wanted] = [kept, wanted].map(|counts| counts.values().sum::<usize>());
            let said =
                notes(&events).iter().any(|text| text.contains(&format!("where the schedule asks for {wanted}")));
            assert_eq!(said, found != wanted, "{what}: {:?}", notes(&events));
        }
    }
}
