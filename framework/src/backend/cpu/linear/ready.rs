//! Fully connected layers whose weights were cut into panels beforehand, for networks that do nothing but answer.
//!
//! Cutting goes over all weights, as a batch of one does itself. Layers that follow each other are computed for some rows
//! after the others: a thread takes rows through all of them, and what one layer leaves for the next stays in the cache.

use super::layer::CHUNK;
use crate::backend::Act;
use crate::backend::cpu::activation::rows::finish_rows;
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::panels::{Kept, product};
use crate::backend::cpu::common::{Accumulate, par, scratch};

/// What a layer needs but its input.
pub(super) struct Ready {
    weight: Kept,
    inputs: usize,
    outputs: usize,
    bias: Vec<f32>,
    act: Act,
}

impl Ready {
    /// The layer of a weight [outputs, inputs]; nothing where products read it as it is.
    pub fn of(weight: &[f32], (outputs, inputs): (usize, usize), bias: Option<&[f32]>, act: Act) -> Option<Self> {
        if outputs == 0 || inputs == 0 {
            return None;
        }
        let bias = bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        assert_eq!(bias.len(), outputs, "bias of a linear layer [{outputs}, {inputs}]");
        Some(Self { weight: Kept::of(Mat::new(weight, outputs, inputs).t())?, inputs, outputs, bias, act })
    }

    /// Computes `y` [rows, outputs] = act(x w^T + bias) + residual; all of `y` is overwritten. Each row is the same sum in
    /// the same order whatever rows it stands among, and however many threads there are.
    pub fn forward(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let &Self { inputs, outputs, .. } = self;
        let rows = x.len() / inputs;
        assert_eq!(
            (x.len(), y.len()),
            (rows * inputs, rows * outputs),
            "x and y of a linear layer [{outputs}, {inputs}]"
        );
        assert!(residual.is_none_or(|r| r.len() == y.len()), "what is added to a linear layer [{outputs}, {inputs}]");
        if rows == 0 {
            return;
        }
        let x = Mat::new(x, rows, inputs);
        let tiles = MatMut::new(y, rows, outputs).tiles(self.tile(rows));
        par::for_each(flops(rows, outputs, inputs), tiles, |y| self.compute(x, residual, y));
    }

    /// A tile of the layer's output, on this thread; `x` and what is added are those of all rows.
    fn compute(&self, x: Mat<'_>, residual: Option<&[f32]>, mut y: MatMut<'_>) {
        let (first, cols) = (y.first_col(), y.cols());
        let x = x.rows_from(y.first_row(), y.rows());
        product(&mut y, Accumulate::Overwrite, 1.0, x, &self.weight.columns(first, cols));
        let mut residuals = residual.map(|r| y.blocks_in(r));
        for y in y.blocks() {
            finish_rows(self.act, y, &self.bias[first..][..cols], residuals.as_mut().and_then(Iterator::next));
        }
    }

    /// Rows and columns of a task: whole panels, enough work to be handed to another thread, and rows that stay in the
    /// cache where there is more work than that.
    fn tile(&self, rows: usize) -> (usize, usize) {
        let &Self { inputs, outputs, .. } = self;
        let enough = (flops(rows, outputs, inputs) / 32).max(par::SERIAL_BELOW / 2);
        let (high, width) = (rows.min(CHUNK), self.weight.width());
        let cols = (enough / flops(high, 1, inputs)).clamp(1, outputs).next_multiple_of(width);
        if cols < outputs {
            return (high, cols);
        }
        let chunks = (enough / flops(high, outputs, inputs)).max(1);
        ((chunks * high).min(rows), outputs)
    }
}

/// Layers, each of which reads what the one before it gives.
pub(super) struct Chain(Vec<Ready>);

/// Weights of a chain of which a thread takes some rows through all layers: they stay in its cache.
const SMALL: usize = 1 << 18;
/// Operations of a task of such rows, and how many rows there are in one.
const TASK: usize = 1 << 22;
const TASK_ROWS: std::ops::RangeInclusive<usize> = 16..=CHUNK;
/// Tasks from which there is enough for every thread; fewer rows are shared out layer by layer, by columns too.
const TASKS: usize = 4;

impl Chain {
    /// The layers; nothing where there are none, or one does not read what the one before it gives.
    pub fn of(layers: Vec<Ready>) -> Option<Self> {
        let fits = layers.windows(2).all(|pair| pair[0].outputs == pair[1].inputs);
        (fits && !layers.is_empty()).then_some(Self(layers))
    }

    /// Inputs of the first layer, and outputs of the last.
    pub fn sizes(&self) -> (usize, usize) {
        (self.0.first().map_or(0, |first| first.inputs), self.0.last().map_or(0, |last| last.outputs))
    }

    /// Computes `y` [rows, outputs] of the last layer from `x` [rows, inputs] of the first, as [`Ready::forward`] does layer
    /// by layer, with the same bits.
    pub fn forward(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let (inputs, outputs) = self.sizes();
        let rows = x.len() / inputs;
        assert_eq!(
            (x.len(), y.len()),
            (rows * inputs, rows * outputs),
            "x and y of linear layers [{outputs}, {inputs}]"
        );
        assert!(residual.is_none_or(|r| r.len() == y.len()), "what is added to linear layers [{outputs}, {inputs}]");
        let weights: usize = self.0.iter().map(|layer| layer.inputs * layer.outputs).sum();
        let (least, most) = TASK_ROWS.into_inner();
        let some = (TASK / (2 * weights)).clamp(least, most) / 4 * 4;
        if self.0.len() == 1 || weights > SMALL || rows < TASKS * some {
            return self.through((x, residual, y), |layer, x, residual, y| layer.forward(x, residual, y));
        }
        let tasks = x.chunks(some * inputs).zip(y.chunks_mut(some * outputs));
        let tasks = tasks.zip(par::chunks_or_none(residual, some * outputs, rows.div_ceil(some)));
        par::for_each(2 * rows * weights, tasks, |((x, y), residual)| {
            self.through((x, residual, y), |layer, x, residual, y| {
                let rows = x.len() / layer.inputs;
                layer.compute(Mat::new(x, rows, layer.inputs), residual, MatMut::new(y, rows, layer.outputs));
            });
        });
    }

    /// All layers of some rows, one after the other.
    fn through(
        &self,
        (x, residual, y): (&[f32], Option<&[f32]>, &mut [f32]),
        compute: impl Fn(&Ready, &[f32], Option<&[f32]>, &mut [f32]),
    ) {
        let Some((last, others)) = self.0.split_last() else { return };
        let rows = y.len() / last.outputs;
        let widest = others.iter().map(|layer| layer.outputs).max().unwrap_or(0);
        scratch::aligned(2 * rows * widest, |between| {
            let (mut from, mut to) = between.split_at_mut(rows * widest);
            for (i, layer) in others.iter().enumerate() {
                let x = if i == 0 { x } else { &from[..rows * layer.inputs] };
                compute(layer, x, None, &mut to[..rows * layer.outputs]);
                std::mem::swap(&mut from, &mut to);
            }
            compute(last, if others.is_empty() { x } else { &from[..rows * last.inputs] }, residual, y);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Linear, forward};
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, assert_same_bits, at_each_level, random, wide};

    #[test]
    fn a_ready_layer_gives_what_the_layer_gives() {
        at_each_level(|| {
            for (rows, inputs, outputs) in [(1, 784, 150), (7, 5, 3), (130, 65, 40), (65, 300, 130)] {
                let (x, w, b) = (random(rows * inputs, 1), random(inputs * outputs, 2), random(outputs, 3));
                let r = random(rows * outputs, 4);
                for (bias, residual, act) in [(None, None, Act::Relu), (Some(&b[..]), Some(&r[..]), Act::Gelu)] {
                    let Some(ready) = Ready::of(&w, (outputs, inputs), bias, act) else { return };
                    let layer = Linear { rows, inputs, outputs, weight: &w, mask: None, bias, act, nonzeros: None };
                    let (mut y, mut expected) = (vec![f32::NAN; rows * outputs], vec![f32::NAN; rows * outputs]);
                    forward(&layer, &x, residual, &mut expected, None);
                    ready.forward(&x, residual, &mut y);
                    assert_close(&y, &wide(&expected), 1e-4, "y");
                    // A row among others is that row alone.
                    let (last, mut alone) = (rows - 1, vec![f32::NAN; outputs]);
                    ready.forward(&x[last * inputs..], residual.map(|r| &r[last * outputs..]), &mut alone);
                    assert_eq!(alone, y[last * outputs..]);
                }
            }
        });
    }

    #[test]
    fn layers_that_follow_each_other_give_what_each_gives() {
        let sizes = [40, 70, 33, 20];
        let layer = |i: usize| {
            let (inputs, outputs) = (sizes[i], sizes[i + 1]);
            let (w, b) = (random(inputs * outputs, 1 + i as u64), random(outputs, 8 + i as u64));
            Ready::of(&w, (outputs, inputs), Some(&b), if i == 2 { Act::None } else { Act::Relu })
        };
        at_each_level(|| {
            let Some(chain) = (0..3).map(layer).collect::<Option<Vec<_>>>().and_then(Chain::of) else { return };
            // Few rows, and tasks of rows with some left over.
            for rows in [1, 5, 64, 300] {
                let (x, residual) = (random(rows * sizes[0], 20), random(rows * sizes[3], 21));
                for residual in [None, Some(&residual[..])] {
                    let mut expected = x.clone();
                    for (i, layer) in chain.0.iter().enumerate() {
                        let mut y = vec![f32::NAN; rows * sizes[i + 1]];
                        layer.forward(&expected, residual.filter(|_| i == 2), &mut y);
                        expected = y;
                    }
                    let mut y = vec![f32::NAN; rows * sizes[3]];
                    chain.forward(&x, residual, &mut y);
                    assert_eq!(y, expected, "{rows} rows");
                }
            }
        });
        let Some(layers) = [layer(0), layer(2)].into_iter().collect::<Option<Vec<_>>>() else { return };
        assert!(Chain::of(layers).is_none() && Chain::of(vec![]).is_none());
    }

    #[test]
    fn threads_do_not_change_bits_of_layers_either() {
        let (rows, sizes) = (530, [300, 200, 10]);
        let (x, w, last) = (random(rows * 300, 1), random(300 * 200, 2), random(200 * 10, 3));
        let ready = |w: &[f32], i: usize| Ready::of(w, (sizes[i + 1], sizes[i]), None, Act::Relu);
        let Some(chain) = ready(&w, 0).zip(ready(&last, 1)).and_then(|(a, b)| Chain::of(vec![a, b])) else { return };
        assert_same_bits(|| {
            let mut y = vec![0.0; rows * 10];
            chain.forward(&x, None, &mut y);
            y
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (rows, inputs, outputs) = (130, 300, 200);
        let (x, w) = (random(rows * inputs, 1), random(inputs * outputs, 2));
        let Some(ready) = Ready::of(&w, (outputs, inputs), None, Act::Relu) else { return };
        assert_same_bits(|| {
            let mut y = vec![0.0; rows * outputs];
            ready.forward(&x, None, &mut y);
            y
        });
    }
}
