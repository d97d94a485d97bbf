//! The networks 3-4-1 of many data sets at once: the same inputs and the same start, a structure of arrays over
//! networks.
//!
//! The order of every sum is fixed and nothing is fused, so that a network's weights are the same in any company, on
//! any number of threads and with any vector instructions.

use super::Problems;
use crate::backend::cpu::common::simd::simd_fn;
use crate::seed::Seed;
use rand::RngExt as _;

/// Inputs of the network.
pub const INPUTS: usize = 3;
/// Hidden units.
const HIDDEN: usize = 4;
/// Weights of the parameters in their order: weights and biases of the hidden layer, weights and bias of the output.
pub const PARAMETERS: [usize; 4] = [INPUTS * HIDDEN, HIDDEN, HIDDEN, 1];
/// All of them.
pub const WEIGHTS: usize = 21;
/// Where a parameter begins.
const HIDDEN_BIAS: usize = PARAMETERS[0];
const OUTPUT: usize = HIDDEN_BIAS + HIDDEN;
const OUTPUT_BIAS: usize = OUTPUT + HIDDEN;
/// Corners of the cube, the points there are.
pub(super) const CORNERS: usize = 1 << INPUTS;
/// Networks that are trained at once: a register of the widest vectors.
pub(super) const LANES: usize = 8;

/// How often each corner has the label -1, and +1.
pub(super) type Counts = [[u8; 2]; CORNERS];
/// A number for each network.
type Lane = [f64; LANES];
/// The weights of so many networks, and anything that has a number for each of them.
pub(super) type Weights = [Lane; WEIGHTS];

/// The data of so many networks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Points {
    /// How often each corner comes, and the sum of its labels there.
    count: [Lane; CORNERS],
    sum: [Lane; CORNERS],
    /// 2 / n, of the mean squared error's derivative.
    scale: f64,
}

impl Points {
    /// Of all problems, in their order; what is left of the last ones' lanes has no data.
    pub fn all(problems: &Problems) -> Vec<(Self, usize)> {
        let counts: Vec<_> = problems.counts().collect();
        let of = |block: &[&Counts]| {
            let mut points = Self {
                count: [[0.0; LANES]; CORNERS],
                sum: [[0.0; LANES]; CORNERS],
                scale: 2.0 / problems.points() as f64,
            };
            for (lane, counts) in block.iter().enumerate() {
                for (corner, [minus, plus]) in counts.iter().enumerate() {
                    points.count[corner][lane] = f64::from(minus + plus);
                    points.sum[corner][lane] = f64::from(*plus) - f64::from(*minus);
                }
            }
            (points, block.len())
        };
        counts.chunks(LANES).map(of).collect()
    }
}

/// Initial weights, uniform in +-1/sqrt(fan in), biases too: PyTorch's default.
pub(super) fn initial(seed: u64) -> [f64; WEIGHTS] {
    let mut rng = Seed(seed).stream("information toy init", &[]);
    std::array::from_fn(|i| {
        let fan_in = if i < OUTPUT { INPUTS } else { HIDDEN } as f64;
        (2.0 * rng.random::<f64>() - 1.0) / fan_in.sqrt()
    })
}

/// An input of a corner: its bit.
#[inline(always)]
fn input(corner: usize, i: usize) -> f64 {
    if corner >> i & 1 == 1 { 1.0 } else { -1.0 }
}

/// Hidden units before and after ReLU, and what is lost per output: 2/n (count f - sum).
#[inline(always)]
fn forward(w: &Weights, points: &Points, corner: usize) -> ([Lane; HIDDEN], Lane) {
    let mut hidden = [[0.0; LANES]; HIDDEN];
    let mut out = w[OUTPUT_BIAS];
    for (j, hidden) in hidden.iter_mut().enumerate() {
        *hidden = w[HIDDEN_BIAS + j];
        for i in 0..INPUTS {
            let (x, weight) = (input(corner, i), &w[INPUTS * j + i]);
            (0..LANES).for_each(|l| hidden[l] += x * weight[l]);
        }
        for l in 0..LANES {
            hidden[l] = if hidden[l] > 0.0 { hidden[l] } else { 0.0 };
            out[l] += w[OUTPUT + j][l] * hidden[l];
        }
    }
    let mut loss = [0.0; LANES];
    (0..LANES).for_each(|l| loss[l] = points.scale * (points.count[corner][l] * out[l] - points.sum[corner][l]));
    (hidden, loss)
}

/// The gradient of the mean squared error.
#[inline(always)]
fn slope(w: &Weights, points: &Points) -> Weights {
    let mut g = [[0.0; LANES]; WEIGHTS];
    for corner in 0..CORNERS {
        let (hidden, loss) = forward(w, points, corner);
        for j in 0..HIDDEN {
            let mut back = [0.0; LANES];
            for l in 0..LANES {
                back[l] = if hidden[j][l] > 0.0 { loss[l] * w[OUTPUT + j][l] } else { 0.0 };
                g[OUTPUT + j][l] += loss[l] * hidden[j][l];
                g[HIDDEN_BIAS + j][l] += back[l];
            }
            for i in 0..INPUTS {
                let x = input(corner, i);
                (0..LANES).for_each(|l| g[INPUTS * j + i][l] += x * back[l]);
            }
        }
        (0..LANES).for_each(|l| g[OUTPUT_BIAS][l] += loss[l]);
    }
    g
}

simd_fn! {
    /// Gradient descent; what the mask (0 or 1) excludes stays as it is.
    pub(super) fn train(w: &mut Weights, mask: &Weights, points: &Points, steps: u64, lr: f64) {
        for _ in 0..steps {
            let g = slope(w, points);
            for i in 0..WEIGHTS {
                (0..LANES).for_each(|l| w[i][l] -= lr * (g[i][l] * mask[i][l]));
            }
        }
    }
}

/// The gradient of the mean squared error.
pub(super) fn gradient(w: &Weights, points: &Points) -> Weights {
    slope(w, points)
}

/// The Hessian times `v`, by differentiating the gradient along it (Pearlmutter 1994). The derivative of ReLU is that
/// of the piece the network is on.
pub(super) fn hessian_times(w: &Weights, points: &Points, v: &Weights) -> Weights {
    let mut h = [[0.0; LANES]; WEIGHTS];
    for corner in 0..CORNERS {
        let (hidden, loss) = forward(w, points, corner);
        for l in 0..LANES {
            let moved: [f64; HIDDEN] = std::array::from_fn(|j| {
                let along = |i| input(corner, i) * v[INPUTS * j + i][l];
                if hidden[j][l] > 0.0 { v[HIDDEN_BIAS + j][l] + (0..INPUTS).map(along).sum::<f64>() } else { 0.0 }
            });
            let term = |j: usize| v[OUTPUT + j][l] * hidden[j][l] + w[OUTPUT + j][l] * moved[j];
            let out = v[OUTPUT_BIAS][l] + (0..HIDDEN).map(term).sum::<f64>();
            let loss_moved = points.scale * points.count[corner][l] * out;
            h[OUTPUT_BIAS][l] += loss_moved;
            for j in 0..HIDDEN {
                h[OUTPUT + j][l] += loss_moved * hidden[j][l] + loss[l] * moved[j];
                if hidden[j][l] > 0.0 {
                    let back = loss_moved * w[OUTPUT + j][l] + loss[l] * v[OUTPUT + j][l];
                    h[HIDDEN_BIAS + j][l] += back;
                    (0..INPUTS).for_each(|i| h[INPUTS * j + i][l] += input(corner, i) * back);
                }
            }
        }
    }
    h
}

/// The synaptic saliency of Tanaka et al. 2020 (SynFlow): weights by absolute value, inputs of one, the output times
/// its derivative. Biases are parameters like any other. Of the weights that a mask of bits keeps.
pub(super) fn synaptic_flow(start: &[f64; WEIGHTS], keep: u32) -> [f64; WEIGHTS] {
    let w: [f64; WEIGHTS] = std::array::from_fn(|i| if keep >> i & 1 == 1 { start[i].abs() } else { 0.0 });
    let mut flow = [0.0; WEIGHTS];
    for j in 0..HIDDEN {
        let out = w[OUTPUT + j];
        let mut hidden = w[HIDDEN_BIAS + j];
        flow[HIDDEN_BIAS + j] = w[HIDDEN_BIAS + j] * out;
        for i in 0..INPUTS {
            hidden += w[INPUTS * j + i];
            flow[INPUTS * j + i] = w[INPUTS * j + i] * out;
        }
        flow[OUTPUT + j] = out * hidden;
    }
    flow[OUTPUT_BIAS] = w[OUTPUT_BIAS];
    flow
}

#[cfg(test)]
pub(super) fn mean_squared_error(w: &Weights, points: &Points, lane: usize) -> f64 {
    let mut sum = 0.0;
    for corner in 0..CORNERS {
        let (_, loss) = forward(w, points, corner);
        let (count, labels) = (points.count[corner][lane], points.sum[corner][lane]);
        if count > 0.0 {
            let out = (loss[lane] / points.scale + labels) / count;
            // Labels are +-1: their squares sum to the count.
            sum += count * out * out - 2.0 * out * labels + count;
        }
    }
    0.5 * points.scale * sum
}
