//! Activation functions, alone and fused behind a matrix product.

pub(crate) mod curves;
pub(super) mod rows;
mod saved;

pub use saved::Saved;

use super::common::elementwise;
use super::common::grad::{Grad, put_map};
use crate::backend::{Act, ActivationOps};
use crate::error::Result;
use crate::tensor::Tensor;
use curves::{Curve, with_curve};
use dfdx::tensor::Cpu;

impl ActivationOps for Cpu {
    fn activation(act: Act, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        Ok(x.like(|y| forward(act, y, x.data())))
    }

    fn activation_backward(act: Act, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>> {
        Ok(x.like(|dx| backward(act, Grad::overwrite(dx), dy.data(), Saved::Pre(x.data()))))
    }
}

/// y = act(x).
pub fn forward(act: Act, y: &mut [f32], x: &[f32]) {
    with_curve!(act, C => elementwise::map(y, x, C::value));
}

/// dx = dy act'(x).
pub fn backward(act: Act, dx: Grad<'_>, dy: &[f32], saved: Saved<'_>) {
    saved.check(act);
    with_curve!(act, C => match saved {
        Saved::Pre(x) => put_map(dx, dy, x, |dy, x| dy * C::slope(x)),
        Saved::Out(y) => put_map(dx, dy, y, |dy, y| dy * C::slope_from_out(y)),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, at_each_level, numeric_gradient, random, wide};

    const ALL: [Act; 7] = [Act::None, Act::Relu, Act::Relu6, Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid];

    /// The activation in f64.
    pub fn exact(act: Act, x: f64) -> f64 {
        match act {
            Act::None => x,
            Act::Relu => x.max(0.0),
            Act::Relu6 => x.clamp(0.0, 6.0),
            Act::Gelu => 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
            Act::GeluExact => x * normal_cdf(x),
            Act::Tanh => x.tanh(),
            Act::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// By the midpoint rule from -10.
    fn normal_cdf(x: f64) -> f64 {
        let (steps, low) = (4000, -10.0);
        let h = (x - low) / f64::from(steps);
        let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (0..steps).map(|i| density(low + (f64::from(i) + 0.5) * h)).sum::<f64>() * h
    }

    #[test]
    fn values_and_slopes_agree_with_the_definitions() {
        at_each_level(|| {
            for act in ALL {
                let x: Vec<f32> = random(101, 7).iter().map(|x| 8.0 * x).collect();
                let dy = random(101, 8);
                let mut y = vec![f32::NAN; 101];
                forward(act, &mut y, &x);
                let expected: Vec<f64> = wide(&x).iter().map(|&x| exact(act, x)).collect();
                assert_close(&y, &expected, 2e-6, &format!("{act:?}"));
                let slopes = numeric_gradient(&wide(&x), |x| {
                    x.iter().zip(&dy).map(|(&x, &dy)| exact(act, x) * f64::from(dy)).sum()
                });
                let mut dx = vec![1.0; 101];
                backward(act, Grad::overwrite(&mut dx), &dy, Saved::Pre(&x));
                assert_close(&dx, &slopes, 2e-5, &format!("{act:?} slope"));
                if !act.needs_pre(false) {
                    backward(act, Grad::add(&mut dx), &dy, Saved::Out(&y));
                    let twice: Vec<f64> = slopes.iter().map(|s| 2.0 * s).collect();
                    assert_close(&dx, &twice, 4e-5, &format!("{act:?} slope from output, added"));
                }
            }
        });
    }

    #[test]
    #[should_panic(expected = "Gelu needs its input")]
    fn gelu_cannot_be_reversed_from_its_output() {
        backward(Act::Gelu, Grad::overwrite(&mut [0.0]), &[1.0], Saved::Out(&[1.0]));
    }
}
