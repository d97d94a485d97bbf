//! The enumeration beside every mask there is, training beside PyTorch, and the search beside every mask's training.

use super::task::follow;
use super::wiring::{bits, connected};
use super::{Mode, Optimizer, Search, Shape, State, Task, Training, Wiring};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

#[derive(Deserialize)]
struct Golden {
    trajectories: Vec<Trajectory>,
    xor: Vec<EveryMask>,
}

#[derive(Deserialize)]
struct Trajectory {
    inputs: usize,
    layers: Vec<Vec<u32>>,
    x: Vec<f32>,
    y: Vec<bool>,
    optimizer: Optimizer,
    lr: f64,
    steps: u64,
    start: Vec<f32>,
    end: Vec<f32>,
    loss: f32,
    right: usize,
}

#[derive(Deserialize)]
struct EveryMask {
    widths: Vec<usize>,
    minimum: usize,
    /// Masks with so many weights that separate XOR, as bits in PyTorch's order, layer by layer.
    masks: Vec<u32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/golden.json")).unwrap()
}

fn xor() -> Task {
    let corners = vec![-1.0, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 1.0];
    Task::new(2, corners, &[false, true, true, false]).unwrap()
}

fn xor_search(hidden: &[usize]) -> Search {
    let training = Training { steps: 600, lr: 0.05, seeds: 64, ..Training::default() };
    let shape = Shape::new(2, hidden).unwrap();
    Search { shape, task: xor(), training, mode: Mode::Every, most: 1000, beyond: 0, from: 0 }
}

fn run(search: &Search) -> State {
    let mut state = State::default();
    search.go_on(&mut state, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(state.finished && state.sound(2, search.shape.hidden()));
    state
}

/// The layers of a mask whose bits are in PyTorch's order, layer by layer.
fn layers_of(mask: u32, inputs: usize, hidden: &[usize]) -> Vec<Vec<u32>> {
    let (mut before, mut at, mut layers) = (inputs, 0, Vec::new());
    for units in hidden.iter().copied().chain([1]) {
        let row = |unit: usize| mask >> (at + unit * before) & ((1 << before) - 1);
        layers.push((0..units).map(row).collect());
        (at, before) = (at + units * before, units);
    }
    layers
}

fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let put = |order: &Vec<usize>, at: usize| [&order[..at], &[n - 1], &order[at..]].concat();
    orders(n - 1).iter().flat_map(|order| (0..n).map(|at| put(order, at)).collect::<Vec<_>>()).collect()
}

/// The least of all layers that an order of hidden units makes of these, trying every one.
fn canonical(layers: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let mut all = vec![layers.to_vec()];
    for layer in 0..layers.len() - 1 {
        let each = orders(layers[layer].len());
        let moved = |layers: &Vec<Vec<u32>>, order: &Vec<usize>| {
            let mut layers = layers.clone();
            layers[layer] = order.iter().map(|unit| layers[layer][*unit]).collect();
            for row in &mut layers[layer + 1] {
                *row = order.iter().enumerate().fold(0, |all, (to, from)| all | (*row >> from & 1) << to);
            }
            layers
        };
        all = all.iter().flat_map(|layers| each.iter().map(|order| moved(layers, order)).collect::<Vec<_>>()).collect();
    }
    all.into_iter().min().unwrap()
}

#[test]
fn wirings_are_the_orbits_of_all_connected_masks() {
    for (inputs, hidden) in
        [(2, vec![3]), (1, vec![2, 2]), (2, vec![3, 2]), (3, vec![3]), (1, vec![2, 2, 2]), (2, vec![2, 3])]
    {
        let shape = Shape::new(inputs, &hidden).unwrap();
        let mut orbits: BTreeMap<usize, HashSet<Vec<Vec<u32>>>> = BTreeMap::new();
        for mask in 1..1_u32 << shape.weights() {
            let layers = layers_of(mask, inputs, &hidden);
            if let Some(wiring) = connected(inputs, layers)
                && wiring.nnz() == mask.count_ones() as usize
            {
                orbits.entry(wiring.nnz()).or_default().insert(canonical(wiring.layers()));
            }
        }
        for nnz in 0..=shape.weights() {
            let found = shape.wirings(nnz, usize::MAX).unwrap();
            let canonical: HashSet<_> = found.iter().map(|wiring| canonical(wiring.layers())).collect();
            let expected = orbits.get(&nnz).cloned().unwrap_or_default();
            assert_eq!(found.len(), expected.len(), "{inputs}-{hidden:?} with {nnz}");
            assert_eq!(canonical, expected, "{inputs}-{hidden:?} with {nnz}");
            assert_eq!(shape.count(nnz, usize::MAX), Some(found.len()));
            let full = found.iter().filter(|wiring| wiring.widths() == hidden).count();
            assert_eq!(shape.clone().full().count(nnz, usize::MAX), Some(full));
            if found.len() > 1 {
                assert_eq!(shape.wirings(nnz, found.len() - 1), None, "more than are allowed");
            }
        }
        assert_eq!(shape.count(shape.least() - 1, 9), Some(0));
        assert_ne!(shape.count(shape.least(), 9), Some(0));
    }
}

#[test]
fn a_network_follows_pytorch_step_by_step() {
    for (case, it) in golden().trajectories.into_iter().enumerate() {
        let task = Task::new(it.inputs, it.x, &it.y).unwrap();
        let wiring = Wiring::new(it.inputs, it.layers);
        let Trajectory { optimizer, lr, steps, .. } = it;
        let training = Training { optimizer, lr, steps, seeds: 1, ..Training::default() };
        let (numbers, right, loss) = follow(&wiring, &task, &training, &it.start);
        for (found, expected) in numbers.iter().zip(&it.end) {
            assert!((found - expected).abs() < 2e-4 * expected.abs().max(1.0), "{case}: {numbers:?} {:?}", it.end);
        }
        assert!((loss - it.loss).abs() < 1e-4 && right == it.right, "{case}: {loss} {} {right}", it.loss);
    }
}

#[test]
fn the_search_finds_what_training_every_mask_finds() {
    for every in golden().xor {
        let state = run(&xor_search(&every.widths));
        let level = state.minimum().unwrap();
        assert_eq!(level.nnz, every.minimum, "{:?}", every.widths);
        // Those that were trained without a thought of paths and symmetries are the same networks.
        let least = |mask: &u32| canonical(connected(2, layers_of(*mask, 2, &every.widths)).unwrap().layers());
        let expected: HashSet<_> = every.masks.iter().map(least).collect();
        let found: HashSet<_> = level.best.iter().map(|found| canonical(found.wiring.layers())).collect();
        assert_eq!(found, expected, "{:?}", every.widths);
        assert_eq!(level.separating, found.len());
        assert!(state.levels.iter().all(|level| level.separating == 0 || level.nnz == every.minimum));
    }
}

#[test]
fn bounds_are_no_lower_than_the_minimum() {
    for mode in [Mode::Structures, Mode::Beam(3)] {
        let state = run(&Search { mode, ..xor_search(&[3]) });
        assert_eq!(state.minimum().unwrap().nnz, 6, "{mode:?}");
    }
    let state = run(&Search { mode: Mode::Structures, ..xor_search(&[3]) });
    assert!(state.structures.contains(&(vec![2], true)) && state.structures.contains(&(vec![1], false)));
}

#[test]
fn a_search_that_was_stopped_ends_the_same_on_any_number_of_threads() {
    let quick = |mode| Search {
        mode,
        beyond: 1,
        training: Training { steps: 120, seeds: 16, batch: Some(3), ..xor_search(&[3]).training },
        ..xor_search(&[3])
    };
    for mode in [Mode::Every, Mode::Structures, Mode::Beam(2)] {
        let search = quick(mode);
        let mut interrupted = State::default();
        while !interrupted.finished {
            // As it is after a kill: what was written, read again.
            let text = serde_json::to_string(&interrupted).unwrap();
            interrupted = serde_json::from_str(&text).unwrap();
            search.go_on(&mut interrupted, &mut |_| ControlFlow::Break(())).unwrap();
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        assert_eq!(interrupted, pool.install(|| run(&search)), "{mode:?}");
    }
}

#[test]
fn a_network_is_the_same_in_any_company() {
    let wiring = Shape::new(2, &[2]).unwrap().wirings(6, 9).unwrap().remove(0);
    let training = Training { steps: 100, lr: 0.05, seeds: 19, ..Training::default() };
    let many = training.train(&wiring, &xor());
    // The last of three seeds is the same lane of another block; a seed that is alone, the same again.
    let few = Training { seeds: 3, ..training }.train(&wiring, &xor());
    let below = |n: u32, all: &[(u32, u64)]| all.iter().filter(|(seed, _)| *seed < n).copied().collect::<Vec<_>>();
    assert_eq!(below(3, &many.separated), few.separated);
    assert!(many.separated.len() > few.separated.len(), "{many:?}");
}

#[test]
fn numbers_go_where_the_masks_are() {
    let wiring = Wiring::new(2, vec![vec![1, 3], vec![2], vec![1]]);
    assert_eq!((wiring.nnz(), wiring.parameters(), wiring.widths()), (5, 9, vec![2, 1]));
    let masks = wiring.masks(&[3, 1]);
    assert_eq!(masks[0].0, [true, false, true, true, false, false]);
    assert_eq!(masks[0].1, [true, true, false]);
    assert_eq!(masks[1].0, [false, true, false]);
    let numbers: Vec<f32> = (1..=9).map(|n| n as f32).collect();
    let spread = wiring.spread(&numbers, &[3, 1]);
    assert_eq!(spread[0], (vec![1.0, 0.0, 3.0, 4.0, 0.0, 0.0], vec![2.0, 5.0, 0.0]));
    assert_eq!(spread[1], (vec![0.0, 6.0, 0.0], vec![7.0]));
    assert_eq!(spread[2], (vec![8.0], vec![9.0]));
    assert_eq!(bits(0b1010).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let told = |result: crate::Result<Shape>| result.unwrap_err().to_string();
    assert!(told(Shape::new(2, &[])).contains("no hidden layer"));
    assert!(told(Shape::new(2, &[3, 9])).contains("a hidden layer has 9 units\n  allowed: 1 to 8"));
    assert!(Task::new(1, vec![1.0, 2.0], &[true, true]).unwrap_err().to_string().contains("all are of one class"));
    assert!(Task::new(1, vec![1.0, f32::NAN], &[true, false]).unwrap_err().to_string().contains("a value is NaN"));
    let refused = |training: Training| training.check(&xor()).unwrap_err().to_string();
    let usual = Training::default();
    assert!(
        refused(Training { accuracy: 0.5, ..usual }).contains("accuracy is 0.5\n  allowed: up to 1, and above 0.5")
    );
    assert!(refused(Training { batch: Some(5), ..usual }).contains("batch is 5\n  allowed: 1 to 4"));
    assert!(refused(Training { lr: 0.0, ..usual }).contains("lr is 0"));
    let search = Search { most: 1, ..xor_search(&[3]) };
    let mut state = State::default();
    let text = search.go_on(&mut state, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(text.contains("more than 1 wirings with 2 weights, which is too many to train"), "{text}");
    assert_eq!(state, State::default());
    // A training that goes astray separates nothing, and leaves numbers that a file can hold.
    let astray = Training { lr: 1e30, steps: 50, seeds: 2, optimizer: Optimizer::Momentum, ..usual };
    let wiring = search.shape.wirings(6, 99).unwrap().remove(0);
    let outcome = astray.train(&wiring, &xor());
    assert!(outcome.separated.is_empty() && outcome.numbers.iter().all(|number| number.is_finite()));
    assert!(outcome.loss.is_finite());
}

#[test]
fn two_wirings_never_fall_together_when_sorted() {
    let shape = Shape::new(2, &[3, 2]).unwrap();
    let mut by_sorted: HashMap<Wiring, Wiring> = HashMap::new();
    for wiring in (0..=shape.weights()).flat_map(|nnz| shape.wirings(nnz, usize::MAX).unwrap()) {
        assert_eq!(canonical(wiring.clone().sorted().layers()), canonical(wiring.layers()), "it is the same network");
        assert_eq!(by_sorted.insert(wiring.clone().sorted(), wiring), None);
    }
}
