use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Equivalence, Paired, Sample, Settled};

#[test]
fn every_number_agrees_with_scipy() {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let near = |what: &str, found: Option<f64>, expected: &Value, case: usize| match expected.as_f64() {
        Some(expected) => {
            let found = found.unwrap_or(f64::NAN);
            assert!(
                (found - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                "case {case}, {what}: {found} {expected}"
            );
            // Small probabilities agree relatively too.
            assert!(
                expected == 0.0 || (found / expected - 1.0).abs() < 1e-7,
                "case {case}, {what}: {found} {expected}"
            );
        }
        None => assert!(found.is_none_or(f64::is_nan), "case {case}, {what}: {found:?}"),
    };
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for (case, row) in cases.iter().enumerate() {
        let pairs = pairs(&row["differences"]);
        let differences: Vec<f64> = pairs.iter().map(|(difference, _)| *difference).collect();
        let (sample, paired) = (Sample::of(&differences).unwrap(), Paired::of(&pairs).unwrap());
        near("mean", Some(sample.mean), &row["mean"], case);
        near("std", sample.std, &row["std"], case);
        if row["low"].is_number() {
            near("low", sample.interval.map(|i| i.low), &row["low"], case);
            near("high", sample.interval.map(|i| i.high), &row["high"], case);
        }
        near("p_t", paired.p_t, &row["p_t"], case);
        near("p_wilcoxon", paired.p_wilcoxon, &row["p_wilcoxon"], case);
        near("effect", paired.effect, &row["effect"], case);
    }
}

#[test]
fn intervals_and_margins_of_several_comparisons_agree_with_statsmodels() {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let rows = golden["families"].as_array().unwrap();
    assert!(rows.len() > 60);
    for row in rows {
        let pairs = pairs(&golden["cases"][row["case"].as_u64().unwrap() as usize]["differences"]);
        let (found, comparisons) = (Paired::of(&pairs).unwrap(), row["comparisons"].as_u64().unwrap() as usize);
        let near = |what: &str, found: f64, expected: &Value| {
            let expected = expected.as_f64().unwrap();
            let off = (found - expected).abs();
            assert!(
                off <= 1e-9 * expected.abs().max(1e-3),
                "{what} of {pairs:?} among {comparisons}: {found} {expected}"
            );
        };
        let family = found.among(comparisons).unwrap();
        near("low", family.interval.low, &row["low"]);
        near("high", family.interval.high, &row["high"]);
        near("p", family.p, &row["p"]);
        assert_eq!(family.p < 0.05, !family.interval.holds(0.0), "the interval and the test say the same");
        for case in row["margins"].as_array().unwrap() {
            let found = Equivalence::of(&found, case["margin"].as_f64().unwrap(), comparisons);
            near("p of the margin", found.p.unwrap(), &case["p"]);
            let expected = match case["is"].as_str().unwrap() {
                "same" => Settled::Same,
                "above" => Settled::Above,
                "below" => Settled::Below,
                _ => Settled::Undecided(case["more"].as_u64().map(|more| more as usize)),
            };
            assert_eq!(found.verdict, expected, "{pairs:?} among {comparisons}, {case}");
        }
    }
}

fn pairs(differences: &Value) -> Vec<(f64, f64)> {
    differences.as_array().unwrap().iter().map(|difference| (difference.as_f64().unwrap(), 0.0)).collect()
}

/// Normal deviates from a counter: the test must give the same answer everywhere.
fn normal(counter: &mut u64) -> f64 {
    *counter += 1;
    // SplitMix64 (Steele et al. 2014).
    let mut z = counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Normal::standard().inverse_cdf((((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64)
}

#[test]
fn equal_groups_are_called_different_one_time_in_twenty() {
    let mut counter = 0;
    let (mut by_t, mut by_rank, mut covered) = (0, 0, 0);
    for _ in 0..1000 {
        // Ten seeds: both groups share what the seed does to a run.
        let pairs: Vec<(f64, f64)> = (0..10)
            .map(|_| {
                let seed = normal(&mut counter);
                let mut run = || 0.9 + 0.02 * seed + 0.01 * normal(&mut counter);
                (run(), run())
            })
            .collect();
        let found = Paired::of(&pairs).unwrap();
        by_t += usize::from(found.p_t.unwrap() < 0.05);
        by_rank += usize::from(found.p_wilcoxon.unwrap() < 0.05);
        let interval = found.interval.unwrap();
        covered += usize::from((interval.low..=interval.high).contains(&0.0));
    }
    // Three standard errors of a count with p = 0.05 among 1,000 are 21.
    assert!((29..=71).contains(&by_t), "{by_t}");
    assert!((27..=71).contains(&by_rank), "{by_rank}");
    assert_eq!(covered, 1000 - by_t, "the interval and the test say the same");
}

#[test]
fn a_true_difference_is_found() {
    let mut counter = 7_000_000;
    let found = (0..200).filter(|_| {
        let pairs: Vec<(f64, f64)> = (0..10).map(|_| (0.02 + 0.01 * normal(&mut counter), 0.0)).collect();
        Paired::of(&pairs).unwrap().p_t.unwrap() < 0.05
    });
    assert!(found.count() > 195);
}

#[test]
fn one_seed_has_no_interval_and_no_probability() {
    let one = Paired::of(&[(0.3, 0.0)]).unwrap();
    assert_eq!((one.interval, one.p_t, one.p_wilcoxon, one.effect), (None, None, None, None));
    assert!(Paired::of(&[]).is_none());
}

#[test]
fn differences_that_are_equal_but_for_rounding_are_no_evidence() {
    // The accuracies of five seeds, each 0.01 apart: as floats these differences are four numbers.
    let pairs: Vec<(f64, f64)> =
        (0..5).map(|seed| (0.904 + 0.003 * f64::from(seed), 0.894 + 0.003 * f64::from(seed))).collect();
    let found = Paired::of(&pairs).unwrap();
    assert!((found.mean - 0.01).abs() < 1e-15 && found.std == Some(0.0), "{found:?}");
    assert_eq!((found.interval, found.p_t, found.p_wilcoxon, found.effect), (None, None, None, None));
    assert_eq!(found.among(3), None);
    assert_eq!(Equivalence::of(&found, 0.5, 1).verdict, Settled::Undecided(None));
    let equal: Vec<(f64, f64)> = (0..5).map(|seed| (0.3 + 0.1 * f64::from(seed), 0.1 * f64::from(3 + seed))).collect();
    assert_eq!(Paired::of(&equal).unwrap().mean, 0.0);
}
