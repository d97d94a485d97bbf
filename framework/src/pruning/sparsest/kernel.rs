//! Many networks of one wiring at once, each from a seed of its own: a structure of arrays over networks, and a list of
//! the weights that are there, so that a step costs what the wiring has and no more.
//!
//! The order of every sum is fixed, and products are added without rounding between (which every level of vector
//! instructions does alike), so that a network's weights are the same in any company and on any number of threads.

use super::task::Task;
use super::wiring::{Wiring, bits};
use crate::backend::cpu::common::simd::{exp, ln, sigmoid, simd_fn};
use std::ops::Range;

/// Networks that are trained at once: a register of the widest vectors.
pub(super) const LANES: usize = 16;
/// Examples that are computed together, so that a weight is read once for all of them.
const TOGETHER: usize = 4;

/// A number for each network.
pub(super) type Lane = [f32; LANES];
/// A number for each network and each of the examples that are computed together.
type Block = [Lane; TOGETHER];

/// The units of a wiring in the order of the forward pass, the output last. Its numbers stand unit by unit: the weights
/// that the unit reads with, then its bias.
#[derive(Debug)]
pub(super) struct Plan {
    units: Vec<Unit>,
    edges: Vec<Edge>,
    pub parameters: usize,
}

#[derive(Debug)]
struct Unit {
    edges: Range<usize>,
    bias: usize,
    /// Whether it reads inputs, and no units.
    first: bool,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    /// An input, or a unit counted from the first hidden one.
    from: usize,
    weight: usize,
}

impl Plan {
    pub fn of(wiring: &Wiring) -> Self {
        let mut plan = Self { units: Vec::new(), edges: Vec::new(), parameters: 0 };
        let mut before = 0;
        for (layer, rows) in wiring.layers().iter().enumerate() {
            let here = plan.units.len();
            for row in rows {
                let start = plan.edges.len();
                for from in bits(*row) {
                    let from = if layer == 0 { from } else { before + from };
                    plan.edges.push(Edge { from, weight: plan.parameters });
                    plan.parameters += 1;
                }
                let unit = Unit { edges: start..plan.edges.len(), bias: plan.parameters, first: layer == 0 };
                plan.units.push(unit);
                plan.parameters += 1;
            }
            before = here;
        }
        plan
    }

    /// For each number, how many weights its unit reads with.
    pub fn fan_in(&self) -> Vec<usize> {
        let of = |unit: &Unit| std::iter::repeat_n(unit.edges.len(), unit.edges.len() + 1);
        self.units.iter().flat_map(of).collect()
    }

    /// Room for what is computed on the way.
    pub fn scratch(&self) -> Scratch {
        let blocks = vec![[[0.0; LANES]; TOGETHER]; self.units.len()];
        Scratch { values: blocks.clone(), slopes: blocks, gradient: vec![[0.0; LANES]; self.parameters] }
    }
}

/// What is computed on the way.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Of each unit: what it puts out, and the derivative of the loss by what it takes in.
    values: Vec<Block>,
    slopes: Vec<Block>,
    /// The derivative of the mean loss by each number.
    pub gradient: Vec<Lane>,
}

/// Some examples that are computed together. The last ones may stand for examples that are not there.
struct Together {
    examples: [usize; TOGETHER],
    there: usize,
}

impl Together {
    #[inline(always)]
    fn of(chunk: &[u32]) -> Self {
        Self { examples: std::array::from_fn(|p| chunk[p.min(chunk.len() - 1)] as usize), there: chunk.len() }
    }
}

/// sum + a b, for each network.
#[inline(always)]
fn add(sum: &mut Lane, a: &Lane, b: &Lane) {
    // Values and no references, so that nothing can be the same memory.
    let (mut all, a, b) = (*sum, *a, *b);
    for l in 0..LANES {
        all[l] = a[l].mul_add(b[l], all[l]);
    }
    *sum = all;
}

/// The derivative of the cross-entropy by the logit, times `scale`.
#[inline(always)]
fn wrong(logit: &Lane, label: f32, scale: f32) -> Lane {
    let mut all = *logit;
    for value in &mut all {
        *value = scale * (sigmoid(*value) - label);
    }
    all
}

/// A derivative by what a unit puts out as that by what it takes in.
#[inline(always)]
fn behind_relu(slope: &Lane, value: &Lane) -> Lane {
    let (mut all, value) = (*slope, *value);
    for l in 0..LANES {
        all[l] = if value[l] > 0.0 { all[l] } else { 0.0 };
    }
    all
}

/// The values of every unit; the output's is a logit.
#[inline(always)]
fn forward(plan: &Plan, w: &[Lane], task: &Task, together: &Together, values: &mut [Block]) {
    let last = plan.units.len() - 1;
    for (at, unit) in plan.units.iter().enumerate() {
        let mut sum = [w[unit.bias]; TOGETHER];
        for edge in &plan.edges[unit.edges.clone()] {
            let weight = &w[edge.weight];
            for (p, sum) in sum.iter_mut().enumerate() {
                if unit.first {
                    let x = task.input(together.examples[p], edge.from);
                    add(sum, weight, &[x; LANES]);
                } else {
                    add(sum, weight, &values[edge.from][p]);
                }
            }
        }
        if at < last {
            for lane in &mut sum {
                for value in lane {
                    *value = if *value > 0.0 { *value } else { 0.0 };
                }
            }
        }
        values[at] = sum;
    }
}

simd_fn! {
    /// The gradient of the mean cross-entropy over these examples.
    pub(super) fn slope(plan: &Plan, w: &[Lane], task: &Task, which: &[u32], scratch: &mut Scratch) {
        let Scratch { values, slopes, gradient } = scratch;
        gradient.fill([0.0; LANES]);
        let (last, scale) = (plan.units.len() - 1, 1.0 / which.len() as f32);
        for chunk in which.chunks(TOGETHER) {
            let together = Together::of(chunk);
            forward(plan, w, task, &together, values);
            slopes.fill([[0.0; LANES]; TOGETHER]);
            for p in 0..together.there {
                slopes[last][p] = wrong(&values[last][p], task.label(together.examples[p]), scale);
            }
            for at in (0..=last).rev() {
                let unit = &plan.units[at];
                let mut slope = slopes[at];
                if at < last {
                    for (slope, value) in slope.iter_mut().zip(&values[at]) {
                        *slope = behind_relu(slope, value);
                    }
                }
                let bias = &mut gradient[unit.bias];
                for lane in &slope {
                    for l in 0..LANES {
                        bias[l] += lane[l];
                    }
                }
                for edge in &plan.edges[unit.edges.clone()] {
                    let sum = &mut gradient[edge.weight];
                    if unit.first {
                        for (slope, example) in slope.iter().zip(together.examples) {
                            add(sum, slope, &[task.input(example, edge.from); LANES]);
                        }
                    } else {
                        let weight = &w[edge.weight];
                        let (values, slopes) = (&values[edge.from], &mut slopes[edge.from]);
                        for ((slope, value), back) in slope.iter().zip(values).zip(slopes) {
                            add(sum, slope, value);
                            add(back, slope, weight);
                        }
                    }
                }
            }
        }
    }
}

simd_fn! {
    /// For each network, how many examples are on the right side, and the mean cross-entropy.
    pub(super) fn evaluate(plan: &Plan, w: &[Lane], task: &Task, scratch: &mut Scratch) -> (Lane, Lane) {
        let (mut right, mut loss, last) = ([0.0; LANES], [0.0; LANES], plan.units.len() - 1);
        for chunk in task.everything().chunks(TOGETHER) {
            let together = Together::of(chunk);
            forward(plan, w, task, &together, &mut scratch.values);
            for p in 0..together.there {
                let (y, logit) = (task.label(together.examples[p]), &scratch.values[last][p]);
                for l in 0..LANES {
                    let z = logit[l];
                    right[l] += if (z > 0.0) == (y > 0.5) { 1.0 } else { 0.0 };
                    let positive = if z > 0.0 { z } else { 0.0 };
                    loss[l] += positive - z * y + ln(1.0 + exp(-z.abs()));
                }
            }
        }
        let n = task.len() as f32;
        (right, loss.map(|sum| sum / n))
    }
}

simd_fn! {
    /// A step of gradient descent with momentum, as PyTorch has it: v <- m v + g; w <- w - lr v.
    pub(super) fn momentum(w: &mut [Lane], gradient: &[Lane], v: &mut [Lane], lr: f32, m: f32) {
        for ((w, g), v) in w.iter_mut().zip(gradient).zip(v) {
            for l in 0..LANES {
                v[l] = m.mul_add(v[l], g[l]);
                w[l] = (-lr).mul_add(v[l], w[l]);
            }
        }
    }
}

simd_fn! {
    /// A step of Adam; `correct` has 1 - beta^t of both moments.
    pub(super) fn adam(w: &mut [Lane], gradient: &[Lane], moments: [&mut [Lane]; 2], lr: f32, correct: [f32; 2]) {
        const FIRST: f32 = 0.9;
        const SECOND: f32 = 0.999;
        const EPSILON: f32 = 1e-8;
        let [first, second] = moments;
        let (rate, root) = (lr / correct[0], correct[1].sqrt());
        for (((w, g), first), second) in w.iter_mut().zip(gradient).zip(first).zip(second) {
            for l in 0..LANES {
                first[l] = FIRST * first[l] + (1.0 - FIRST) * g[l];
                second[l] = SECOND * second[l] + (1.0 - SECOND) * (g[l] * g[l]);
                w[l] -= rate * first[l] / (second[l].sqrt() / root + EPSILON);
            }
        }
    }
}
