use serde_json::Value;
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Paired, Sample, holm};

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
        None => assert!(found.is_none_or(f64::is_nan) || what == "p_t", "case {case}, {what}: {found:?}"),
    };
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for (case, row) in cases.iter().enumerate() {
        let differences: Vec<f64> =
            row["differences"].as_array().unwrap().iter().map(|d| d.as_f64().unwrap()).collect();
        let (sample, paired) = (Sample::of(&differences).unwrap(), Paired::of(&differences).unwrap());
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
    let list = |value: &Value| value.as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect::<Vec<_>>();
    let corrected = holm(&list(&golden["holm"]["p"]));
    let expected = list(&golden["holm"]["corrected"]);
    assert!(corrected.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{corrected:?}");
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
        let differences: Vec<f64> = (0..10)
            .map(|_| {
                let seed = normal(&mut counter);
                (0.9 + 0.02 * seed + 0.01 * normal(&mut counter)) - (0.9 + 0.02 * seed + 0.01 * normal(&mut counter))
            })
            .collect();
        let found = Paired::of(&differences).unwrap();
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
        let differences: Vec<f64> = (0..10).map(|_| 0.02 + 0.01 * normal(&mut counter)).collect();
        Paired::of(&differences).unwrap().p_t.unwrap() < 0.05
    });
    assert!(found.count() > 195);
}

#[test]
fn one_seed_has_no_interval_and_no_probability() {
    let one = Paired::of(&[0.3]).unwrap();
    assert_eq!((one.interval, one.p_t, one.p_wilcoxon, one.effect), (None, None, None, None));
    assert!(Paired::of(&[]).is_none());
}
