//! A fully connected layer whose weight was cut into panels beforehand, for networks that do nothing but answer.
//!
//! Cutting goes over all weights, as a batch of one does itself.

use super::layer::CHUNK;
use crate::backend::Act;
use crate::backend::cpu::activation::rows::finish_rows;
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::panels::{Kept, product};
use crate::backend::cpu::common::{Accumulate, par};

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
        let &Self { inputs, outputs, act, .. } = self;
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
        par::for_each(flops(rows, outputs, inputs), tiles, |mut y| {
            let (first, cols) = (y.first_col(), y.cols());
            let x = x.rows_from(y.first_row(), y.rows());
            product(&mut y, Accumulate::Overwrite, 1.0, x, &self.weight.columns(first, cols));
            let mut residuals = residual.map(|r| y.blocks_in(r));
            for y in y.blocks() {
                finish_rows(act, y, &self.bias[first..][..cols], residuals.as_mut().and_then(Iterator::next));
            }
        });
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
