//! What a criterion is shown of every kind of layer, at every place, against values computed by hand.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{T, close, random};
use secateur::autograd::{Grads, Part, Tape};
use secateur::backend::{Act, Cpu};
use secateur::network::forward::{ConvOptions, Forward, Needs, Taps};
use secateur::network::layout::{Layout, LayoutBuilder, Sizes};
use secateur::network::params::{Masking, ParamStore};
use secateur::pruning::{criterion::Observation, schedule::Step};
use secateur::seed::Seed;

const ACTS: [Act; 6] = [Act::None, Act::Relu, Act::Relu6, Act::Tanh, Act::Sigmoid, Act::GeluExact];
const ALL: [Needs; 5] =
    [Needs::INPUTS, Needs::PRODUCTS, Needs::PREACTIVATIONS, Needs::OUTPUTS, Needs::OUTPUT_GRADIENTS];
const BATCH: usize = 2;
const IN: usize = 3;
const OUT: usize = 4;
const SIDE: usize = 6;

/// One layer of each kind, called `layer`; its batch normalisation is called `norm`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear { residual: bool },
    Conv { norm: bool, pool: bool },
    Transposed,
}

const KINDS: [Kind; 7] = [
    Kind::Linear { residual: false },
    Kind::Linear { residual: true },
    Kind::Conv { norm: false, pool: false },
    Kind::Conv { norm: false, pool: true },
    Kind::Conv { norm: true, pool: false },
    Kind::Conv { norm: true, pool: true },
    Kind::Transposed,
];

impl Kind {
    fn layout(self) -> Layout {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        match self {
            Self::Linear { .. } => layout.linear("layer", &IN.into(), &OUT.into(), true),
            Self::Conv { norm, .. } => {
                layout.conv2d("layer", &IN.into(), &OUT.into(), 3, true);
                if norm {
                    layout.batch_norm("norm", &OUT.into());
                }
            }
            Self::Transposed => layout.conv_transpose2d("layer", &IN.into(), &OUT.into(), 4, true),
        }
        layout.output("layer");
        layout.build().unwrap()
    }

    fn input(self) -> T {
        match self {
            Self::Linear { .. } => random([5, IN], "x"),
            _ => random([BATCH, IN, SIDE, SIDE], "x"),
        }
    }

    fn run(self, cx: &mut Forward<'_, Cpu>, x: &T, act: Act) -> T {
        match self {
            Self::Linear { residual } => {
                let added = random([5, OUT], "residual");
                cx.linear_residual("layer", x, act, residual.then_some(&added))
            }
            Self::Conv { norm, pool } => {
                let options = ConvOptions { stride: 1, padding: 1, pool };
                if norm {
                    cx.conv2d_norm("layer", "norm", x, options, act)
                } else {
                    cx.conv2d("layer", x, options, act)
                }
            }
            Self::Transposed => cx.conv_transpose2d("layer", x, (2, 1), act),
        }
        .unwrap()
    }
}

/// The layer's result, what was recorded, and the gradients for an upstream gradient without a pattern.
fn pass(kind: Kind, act: Act, needs: Needs) -> (T, Taps<Cpu>, Vec<Vec<f32>>, Grads<Cpu>) {
    let store = store(kind);
    let replaced = replaced(&store);
    let x = kind.input();
    let mut cx = Forward::training(&store, needs, Seed(1)).with_replaced(&replaced);
    let names = replaced.iter().map(|(name, _)| name).filter(|name| !name.contains("running"));
    let mut leaves: Vec<T> = names.map(|name| cx.param(name).unwrap()).collect();
    leaves.push(x.clone());
    let y = kind.run(&mut cx, &x, act);
    let (tape, taps, _) = cx.finish();
    let grads = tape.backward(&y, random(y.shape(), "upstream").tracked(false)).unwrap();
    let of = |leaf: &T| grads.get(leaf).unwrap().to_vec();
    (y, taps, leaves.iter().map(of).collect(), grads)
}

fn store(kind: Kind) -> ParamStore<Cpu> {
    ParamStore::new(&Cpu::default(), kind.layout(), Seed(1), Masking::Held).unwrap()
}

fn replaced(store: &ParamStore<Cpu>) -> Vec<(String, T)> {
    store.iter().map(|p| (p.spec().name.clone(), random(p.value().shape(), &p.spec().name))).collect()
}

/// Values in double precision, by shape `[batch, channels, rows, columns]`.
struct Images(Vec<f64>, [usize; 4]);

impl Images {
    fn of(t: &T) -> Self {
        let mut shape = [1; 4];
        shape[..t.shape().len()].copy_from_slice(&t.shape());
        Self(t.host().iter().map(|v| f64::from(*v)).collect(), shape)
    }

    fn at(&self, i: [usize; 4]) -> f64 {
        let [_, channels, rows, columns] = self.1;
        self.0[((i[0] * channels + i[1]) * rows + i[2]) * columns + i[3]]
    }

    fn filled(shape: [usize; 4], f: impl Fn([usize; 4]) -> f64) -> Self {
        let [n, c, h, w] = shape;
        let all =
            (0..n).flat_map(|n| (0..c).flat_map(move |c| (0..h).flat_map(move |i| (0..w).map(move |j| [n, c, i, j]))));
        Self(all.map(f).collect(), shape)
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|v| f(*v)).collect(), self.1)
    }
}

fn apply(act: Act, z: f64) -> f64 {
    match act {
        Act::None => z,
        Act::Relu => z.max(0.0),
        Act::Relu6 => z.clamp(0.0, 6.0),
        Act::Tanh => z.tanh(),
        Act::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        // The normal distribution by Simpson's rule: nothing of the framework takes part.
        Act::Gelu | Act::GeluExact => {
            let (n, h) = (200, z / 200.0);
            let density = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
            let weight = |i: usize| if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i as u32 % 2)) };
            z * (0.5 + (0..=n).map(|i| weight(i) * density(i as f64 * h)).sum::<f64>() * h / 3.0)
        }
    }
}

/// The product with its bias, and what enters the activation.
fn by_hand(kind: Kind) -> (Images, Images) {
    let store = store(kind);
    let all = replaced(&store);
    let get = |name: &str| Images::of(&all.iter().find(|(n, _)| n == name).unwrap().1);
    let (x, w, b) = (Images::of(&kind.input()), get("layer.weight"), get("layer.bias"));
    let product = match kind {
        Kind::Linear { .. } => Images::filled([5, OUT, 1, 1], |[n, o, ..]| {
            b.0[o] + (0..IN).map(|c| x.at([n, c, 0, 0]) * w.at([o, c, 0, 0])).sum::<f64>()
        }),
        Kind::Conv { .. } => Images::filled([BATCH, OUT, SIDE, SIDE], |[n, o, i, j]| {
            // Element (r, s) of the kernel lies over pixel (i + r - 1, j + s - 1).
            let mut sum = b.0[o];
            for (c, r, s) in places(3) {
                let (row, column) = ((i + r).wrapping_sub(1), (j + s).wrapping_sub(1));
                if row < SIDE && column < SIDE {
                    sum += w.at([o, c, r, s]) * x.at([n, c, row, column]);
                }
            }
            sum
        }),
        Kind::Transposed => Images::filled([BATCH, OUT, 2 * SIDE, 2 * SIDE], |[n, o, i, j]| {
            // Pixel (p, q) goes to (2 p + r - 1, 2 q + s - 1).
            let mut sum = b.0[o];
            for (c, r, s) in places(4) {
                let (row, column) = ((i + 1).wrapping_sub(r), (j + 1).wrapping_sub(s));
                let inside = |v: usize| v < 2 * SIDE && v.is_multiple_of(2);
                if inside(row) && inside(column) {
                    sum += w.at([c, o, r, s]) * x.at([n, c, row / 2, column / 2]);
                }
            }
            sum
        }),
    };
    let Kind::Conv { norm: true, .. } = kind else {
        let same = product.map(|v| v);
        return (product, same);
    };
    let (gamma, beta) = (get("norm.weight"), get("norm.bias"));
    let count = (BATCH * SIDE * SIDE) as f64;
    let total = |c: usize, f: &dyn Fn(f64) -> f64| {
        let of = |n| (0..SIDE * SIDE).map(move |p| [n, c, p / SIDE, p % SIDE]);
        (0..BATCH).flat_map(of).map(|at| f(product.at(at))).sum::<f64>() / count
    };
    let mean: Vec<f64> = (0..OUT).map(|c| total(c, &|v| v)).collect();
    let deviation: Vec<f64> = (0..OUT).map(|c| (total(c, &|v| (v - mean[c]).powi(2)) + 1e-5).sqrt()).collect();
    let normal = Images::filled(product.1, |at| {
        let c = at[1];
        gamma.0[c] * (product.at(at) - mean[c]) / deviation[c] + beta.0[c]
    });
    (product, normal)
}

/// Channel, row and column of every element of a kernel.
fn places(kernel: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..IN * kernel * kernel).map(move |i| (i / (kernel * kernel), i / kernel % kernel, i % kernel))
}

/// The gradient of the output before pooling: what comes from above goes to the largest pixel of each window.
fn output_gradient(kind: Kind, y: &T, output: &Images) -> Vec<f32> {
    let upstream = random(y.shape(), "upstream");
    let Kind::Conv { pool: true, .. } = kind else { return upstream.to_vec() };
    let above = Images::of(&upstream);
    let mut gradient = vec![0.0; output.0.len()];
    for (n, c) in (0..BATCH).flat_map(|n| (0..OUT).map(move |c| (n, c))) {
        for (i, j) in (0..SIDE / 2).flat_map(|i| (0..SIDE / 2).map(move |j| (i, j))) {
            let window = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(r, s)| [n, c, 2 * i + r, 2 * j + s]);
            // The first of equals.
            let largest = window.map(|at| output.at(at)).into_iter().fold(f64::MIN, f64::max);
            let winner = window.into_iter().find(|at| output.at(*at) == largest).unwrap();
            gradient[((n * OUT + c) * SIDE + winner[2]) * SIDE + winner[3]] = above.at([n, c, i, j]) as f32;
        }
    }
    gradient
}

fn floats(images: &Images) -> Vec<f32> {
    images.0.iter().map(|v| *v as f32).collect()
}

#[test]
fn every_place_of_every_layer_is_what_it_says() {
    let everything = ALL.into_iter().fold(Needs::WEIGHTS, |all, needs| all | needs);
    for (kind, act) in KINDS.into_iter().flat_map(|k| ACTS.map(|a| (k, a))) {
        let (product, normal) = by_hand(kind);
        let output = normal.map(|z| apply(act, z));
        let store = store(kind);
        for needs in ALL.into_iter().chain([everything]) {
            let (y, taps, _, grads) = pass(kind, act, needs);
            let seen =
                Observation { step: Step(0), epoch: 0, examples: BATCH, params: &store, grads: &grads, taps: &taps };
            let what = format!("{kind:?} {act:?} {needs}");
            let check = |need: Needs, found: secateur::error::Result<&T>, expected: Vec<f32>| match found {
                Ok(found) if needs.has(need) => {
                    close(&found.to_vec(), &expected, 1e-5);
                }
                Err(e) if !needs.has(need) => assert!(e.to_string().contains("declared Needs::"), "{what}: {e}"),
                other => panic!("{what}: {need} is {:?}", other.is_ok()),
            };
            check(Needs::INPUTS, seen.input("layer"), kind.input().to_vec());
            check(Needs::PRODUCTS, seen.product("layer"), floats(&product));
            check(Needs::PREACTIVATIONS, seen.preactivation("layer"), floats(&normal));
            check(Needs::OUTPUTS, seen.output("layer"), floats(&output));
            // Where a ReLU gives several zeros the first of a window wins, though the values by hand are rounded otherwise.
            check(Needs::OUTPUT_GRADIENTS, seen.output_grad("layer"), output_gradient(kind, &y, &output));
            let elsewhere = seen.output("norm").unwrap_err().to_string();
            assert!(elsewhere.contains("norm"), "taps have the layer's own name: {elsewhere}");
        }
    }
}

/// Fused or computed apart: the same bits; gradients but for the order in which a bias's is summed up.
#[test]
fn looking_changes_nothing() {
    for (kind, act) in KINDS.into_iter().flat_map(|k| ACTS.map(|a| (k, a))) {
        let (y, _, gradients, _) = pass(kind, act, Needs::WEIGHTS);
        for needs in ALL.into_iter().chain([Needs::TRACE]) {
            let (seen, _, seen_gradients, _) = pass(kind, act, needs);
            assert_eq!(seen.to_vec(), y.to_vec(), "{kind:?} {act:?} {needs}");
            for (seen, gradient) in seen_gradients.iter().zip(&gradients) {
                close(seen, gradient, 1e-6);
            }
        }
    }
}

/// The call of a layer, computed again, gives what enters its activation, with batch normalisation folded in; its input
/// is what the layer read, and its output what the next operation reads.
#[test]
fn a_replayed_call_is_the_layer_before_its_activation() {
    for (kind, act) in KINDS.into_iter().flat_map(|k| ACTS.map(|a| (k, a))) {
        let (y, taps, _, grads) = pass(kind, act, Needs::TRACE);
        let store = store(kind);
        let seen = Observation { step: Step(0), epoch: 0, examples: BATCH, params: &store, grads: &grads, taps: &taps };
        let calls = &seen.trace().unwrap().calls;
        let names: Vec<_> = calls.iter().map(|call| call.layer.as_str()).collect();
        let behind = usize::from(act != Act::None)
            + usize::from(matches!(kind, Kind::Linear { residual: true } | Kind::Conv { pool: true, .. }));
        assert_eq!(names, [vec!["layer"], vec![""; behind]].concat(), "{kind:?} {act:?}");
        assert_eq!(calls.last().unwrap().output.id(), y.id());
        assert!(calls.windows(2).all(|pair| pair[1].inputs[0].id() == pair[0].output.id()));
        let part = |part| calls[0].replay(&mut Tape::off(), &calls[0].inputs, part).unwrap().unwrap();
        let again = part(Part::All).add(&part(Part::Constant)).unwrap();
        close(&again.to_vec(), &floats(&by_hand(kind).1), 1e-5);
        close(&again.to_vec(), &calls[0].output.to_vec(), 1e-5);
    }
}
