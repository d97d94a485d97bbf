//! The toy beside a plain enumeration with PyTorch, and what must hold of every one.

use super::network::{LANES, Points, WEIGHTS, Weights, gradient, hessian_times, mean_squared_error, train};
use super::{Draw, Exact, Problems, Pruner, Training, from, initial, masks};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    points: usize,
    draw: String,
    start: [f64; WEIGHTS],
    steps: u64,
    lr: f64,
    nnz: usize,
    rate: f64,
    /// Every ordered data set: corners times two, with the label's bit.
    data: Vec<Vec<usize>>,
    masks: HashMap<String, Vec<u32>>,
    entropy: HashMap<String, f64>,
}

#[test]
fn masks_are_those_of_a_plain_enumeration() {
    let golden: Golden = serde_json::from_str(include_str!("golden/masks.json")).unwrap();
    assert_eq!(golden.cases.len(), 2);
    for case in golden.cases {
        let draw = if case.draw == "independent" { Draw::Independent } else { Draw::Distinct };
        let problems = Problems::new(case.points, draw).unwrap();
        assert_eq!(problems.data_sets(), case.data.len() as u64);
        let place: HashMap<_, _> = problems.counts().enumerate().map(|(i, counts)| (*counts, i)).collect();
        let Case { steps, lr, nnz, rate, .. } = case;
        let training = Training { steps, lr, nnz, rate, pruner_seed: 0 };
        for pruner in [Pruner::Magnitude, Pruner::Imp, Pruner::Snip, Pruner::Grasp, Pruner::Synflow] {
            let masks = from(&problems, pruner, &case.start, &training).unwrap();
            for (data, expected) in case.data.iter().zip(&case.masks[pruner.name()]) {
                let mut counts = [[0; 2]; 8];
                data.iter().for_each(|atom| counts[atom / 2][atom % 2] += 1);
                let mask = &masks.all()[place[&counts]].mask;
                let bits = (0..WEIGHTS).fold(0, |bits, i| bits | u32::from(mask.keeps(i)) << i);
                assert_eq!(bits, *expected, "{pruner:?} of {data:?}");
            }
            let found = Exact::of(&masks, pruner, 0, nnz, 0).unwrap();
            assert!((found.information - case.entropy[pruner.name()]).abs() < 1e-12, "{pruner:?}");
        }
    }
}

#[test]
fn bounds_hold_on_every_toy() {
    let kinds = [(6, Draw::Distinct, 7), (3, Draw::Independent, 4), (4, Draw::Distinct, 12), (8, Draw::Distinct, 1)];
    for (points, draw, nnz) in kinds {
        let problems = Problems::new(points, draw).unwrap();
        let training = Training { steps: 20, lr: 0.1, nnz, ..Training::default() };
        for (init, pruner) in [0, 1].into_iter().flat_map(|init| Pruner::ALL.map(|pruner| (init, pruner))) {
            let masks = masks(&problems, pruner, init, &training).unwrap();
            let found = Exact::of(&masks, pruner, init, nnz, 32).unwrap();
            let text = format!("{points} {draw:?} {found:?}");
            let least = found.at_most.sum_of_weights.min(found.at_most.choices);
            assert!(found.at_least <= found.information + 1e-9 && found.information <= least + 1e-9, "{text}");
            assert!(masks.all().iter().all(|made| made.mask.kept() == nnz), "{text}");
            let sample = found.sample.unwrap();
            assert!((sample.ceiling - 5.0).abs() < 1e-12 && sample.plug_in <= sample.ceiling + 1e-9, "{text}");
            if matches!(pruner, Pruner::Synflow | Pruner::Random) {
                // What sees no data tells nothing of it.
                assert_eq!((found.information, found.distinct, sample.plug_in), (0.0, 1, 0.0), "{text}");
                assert!(found.at_least < 1e-9 && least < 1e-9, "{text}");
            } else if nnz == 7 {
                assert!(found.information > 1.0, "{text}");
            }
        }
    }
}

#[test]
fn the_gradient_and_its_derivative_are_finite_differences() {
    let problems = Problems::new(5, Draw::Independent).unwrap();
    let (points, used) = Points::all(&problems)[800];
    let at: [f64; WEIGHTS] = initial(3);
    let of = |w: &[f64; WEIGHTS]| -> Weights { std::array::from_fn(|i| [w[i]; LANES]) };
    let moved = |i: usize, by: f64| {
        let mut w = at;
        w[i] += by;
        of(&w)
    };
    let g = gradient(&of(&at), &points);
    let h = hessian_times(&of(&at), &points, &g);
    const STEP: f64 = 1e-6;
    for lane in 0..used {
        for i in 0..WEIGHTS {
            let loss = |by| mean_squared_error(&moved(i, by), &points, lane);
            assert!(((loss(STEP) - loss(-STEP)) / (2.0 * STEP) - g[i][lane]).abs() < 1e-8, "weight {i}, lane {lane}");
            let along = |by: f64| {
                let w: [f64; WEIGHTS] = std::array::from_fn(|k| at[k] + by * g[k][lane]);
                gradient(&of(&w), &points)[i][lane]
            };
            assert!(((along(STEP) - along(-STEP)) / (2.0 * STEP) - h[i][lane]).abs() < 1e-6, "weight {i}, lane {lane}");
        }
    }
}

#[test]
fn a_network_is_the_same_in_any_company_and_on_any_number_of_threads() {
    let problems = Problems::new(3, Draw::Independent).unwrap();
    let training = Training { steps: 30, ..Training::default() };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let masks = pool.install(|| masks(&problems, Pruner::Imp, 5, &training)).unwrap();
        masks.all().iter().map(|made| made.mask.clone()).collect::<Vec<_>>()
    };
    assert_eq!(on(1), on(3));
    // The first lane of a block, alone in all of them.
    let (points, _) = Points::all(&problems)[9];
    let mut w: Weights = initial(5).map(|w| [w; LANES]);
    let mask = [[1.0; LANES]; WEIGHTS];
    let before = mean_squared_error(&w, &points, 0);
    train(&mut w, &mask, &points, 200, 0.05);
    let slow = {
        let mut w: Weights = initial(5).map(|w| [w; LANES]);
        for _ in 0..200 {
            let g = gradient(&w, &points);
            w.as_flattened_mut().iter_mut().zip(g.as_flattened()).for_each(|(w, g)| *w -= 0.05 * g);
        }
        w
    };
    // The compiler's vectors change no bit.
    assert_eq!(w.map(|lanes| lanes.map(f64::to_bits)), slow.map(|lanes| lanes.map(f64::to_bits)));
    assert!(mean_squared_error(&w, &points, 0) < 0.5 * before);
}

#[test]
fn settings_out_of_range_are_refused() {
    let problems = Problems::new(2, Draw::Distinct).unwrap();
    let told = |training: Training| masks(&problems, Pruner::Imp, 0, &training).unwrap_err().to_string();
    let usual = Training::default();
    assert!(told(Training { nnz: 22, ..usual }).contains("nnz is 22\n  allowed: 1 to 21"));
    assert!(told(Training { nnz: 0, ..usual }).contains("nnz is 0"));
    assert!(told(Training { rate: 1.0, ..usual }).contains("rate is 1"));
    assert!(told(Training { lr: f64::NAN, ..usual }).contains("lr is NaN"));
    assert!(told(Training { steps: 0, ..usual }).contains("steps is 0"));
    assert!(told(Training { lr: 5.0, ..usual }).contains("weights of a network became infinite"));
}
