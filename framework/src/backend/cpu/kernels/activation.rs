//! Activation functions, alone and fused behind a matrix product.

use super::simd::{self, simd_fn};
use super::{Grad, elementwise};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Runs an expression with the type `$curve` that computes `$act`, so that the loop inside is compiled for it.
macro_rules! with_curve {
    ($act:expr, $curve:ident => $body:expr) => {{
        use $crate::backend::cpu::kernels::activation as curves;
        match $act {
            curves::Act::None => {
                type $curve = curves::Identity;
                $body
            }
            curves::Act::Relu => {
                type $curve = curves::Relu;
                $body
            }
            curves::Act::Gelu => {
                type $curve = curves::Gelu;
                $body
            }
            curves::Act::GeluExact => {
                type $curve = curves::GeluExact;
                $body
            }
            curves::Act::Tanh => {
                type $curve = curves::Tanh;
                $body
            }
            curves::Act::Sigmoid => {
                type $curve = curves::Sigmoid;
                $body
            }
        }
    }};
}
pub(crate) use with_curve;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// The identity.
    #[default]
    None,
    /// max(x, 0); the slope at 0 is 0.
    Relu,
    /// x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Gelu,
    /// x/2 (1 + erf(x / sqrt 2)).
    GeluExact,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-x).
    Sigmoid,
}

impl Act {
    /// Whether the backward pass needs the value before the activation; otherwise the value after it is enough.
    ///
    /// With a residual added behind it, the output is no longer the activation's value.
    pub fn needs_pre(self, residual: bool) -> bool {
        match self {
            Act::None => false,
            Act::Gelu | Act::GeluExact => true,
            Act::Relu | Act::Tanh | Act::Sigmoid => residual,
        }
    }
}

/// y = act(x).
pub fn forward(act: Act, y: &mut [f32], x: &[f32]) {
    with_curve!(act, C => elementwise::map(y, x, C::value));
}

/// What a backward pass has of the forward one.
#[derive(Clone, Copy, Debug)]
pub enum Saved<'a> {
    /// The activation's input.
    Pre(&'a [f32]),
    /// The activation's output; not enough where [`Act::needs_pre`].
    Out(&'a [f32]),
}

impl<'a> Saved<'a> {
    /// Elements `range`.
    pub(crate) fn slice(self, range: std::ops::Range<usize>) -> Saved<'a> {
        match self {
            Saved::Pre(x) => Saved::Pre(&x[range]),
            Saved::Out(y) => Saved::Out(&y[range]),
        }
    }
}

/// dx = dy act'(x).
pub fn backward(act: Act, dx: Grad<'_>, dy: &[f32], saved: Saved<'_>) {
    check(act, saved);
    with_curve!(act, C => match saved {
        Saved::Pre(x) => elementwise::put_map(dx, dy, x, |dy, x| dy * C::slope(x)),
        Saved::Out(y) => elementwise::put_map(dx, dy, y, |dy, y| dy * C::slope_from_out(y)),
    });
}

/// y = act(y + bias) (+ residual), rows of `bias.len()`; on this thread.
pub(crate) fn finish_rows(act: Act, y: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => finish::<C>(y, bias, residual));
}

/// pre += bias, y = act(pre) (+ residual), rows of `bias.len()`; on this thread.
pub(crate) fn finish_rows_keeping(act: Act, y: &mut [f32], pre: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => finish_keeping::<C>(y, pre, bias, residual));
}

/// y = act(y) (+ residual), on this thread.
pub(crate) fn act_in_place(act: Act, y: &mut [f32], residual: Option<&[f32]>) {
    with_curve!(act, C => value_in_place::<C>(y));
    add_residual(y, residual);
}

/// y = act(pre) (+ residual), on this thread.
pub(crate) fn act_into(act: Act, y: &mut [f32], pre: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => value_into::<C>(y, pre));
    add_residual(y, residual);
}

/// dpre = dy act'; adds the column sums of dpre to `db`. Rows of `db.len()`; on this thread.
pub(crate) fn backward_rows(act: Act, dpre: &mut [f32], dy: &[f32], saved: Saved<'_>, db: &mut [f32]) {
    check(act, saved);
    with_curve!(act, C => match saved {
        Saved::Pre(x) => slope_rows::<C>(dpre, dy, x, db),
        Saved::Out(y) => slope_rows_from_out::<C>(dpre, dy, y, db),
    });
}

fn check(act: Act, saved: Saved<'_>) {
    assert!(!(act.needs_pre(false) && matches!(saved, Saved::Out(_))), "{act:?} needs its input in the backward pass");
}

/// An activation function as a type.
pub(crate) trait Curve {
    fn value(x: f32) -> f32;
    /// Derivative at the input x.
    fn slope(x: f32) -> f32;
    /// Derivative where the output is y, for functions whose output tells.
    fn slope_from_out(y: f32) -> f32;
}

pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Gelu;
pub(crate) struct GeluExact;
pub(crate) struct Tanh;
pub(crate) struct Sigmoid;

impl Curve for Identity {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn slope(_: f32) -> f32 {
        1.0
    }
    #[inline(always)]
    fn slope_from_out(_: f32) -> f32 {
        1.0
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x } // written so that NaN stays NaN
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }
    #[inline(always)]
    fn slope_from_out(y: f32) -> f32 {
        Self::slope(y)
    }
}

/// 2 sqrt(2/pi): x/2 (1 + tanh(u)) = x sigmoid(2u).
const GELU_SCALE: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const GELU_CUBIC: f32 = 0.044_715;

impl Curve for Gelu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x * simd::sigmoid(GELU_SCALE * x * (GELU_CUBIC * x).mul_add(x, 1.0))
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let square = x * x;
        let s = simd::sigmoid(GELU_SCALE * x * GELU_CUBIC.mul_add(square, 1.0));
        let inner = GELU_SCALE * (3.0 * GELU_CUBIC).mul_add(square, 1.0);
        (x * (1.0 - s) * inner).mul_add(s, s)
    }
    #[inline(always)]
    fn slope_from_out(_: f32) -> f32 {
        f32::NAN
    }
}

impl Curve for GeluExact {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        0.5 * x * (1.0 + simd::erf(x * FRAC_1_SQRT_2))
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        let density = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * simd::exp(-0.5 * x * x);
        x.mul_add(density, 0.5 * (1.0 + simd::erf(x * FRAC_1_SQRT_2)))
    }
    #[inline(always)]
    fn slope_from_out(_: f32) -> f32 {
        f32::NAN
    }
}

impl Curve for Tanh {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        simd::tanh(x)
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        Self::slope_from_out(simd::tanh(x))
    }
    #[inline(always)]
    fn slope_from_out(y: f32) -> f32 {
        1.0 - y * y
    }
}

impl Curve for Sigmoid {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        simd::sigmoid(x)
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        Self::slope_from_out(simd::sigmoid(x))
    }
    #[inline(always)]
    fn slope_from_out(y: f32) -> f32 {
        y * (1.0 - y)
    }
}

simd_fn! {
    fn finish<C: Curve>(y: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
        let cols = bias.len();
        match residual {
            None => for y in y.chunks_exact_mut(cols) {
                for (y, &b) in y.iter_mut().zip(bias) {
                    *y = C::value(*y + b);
                }
            },
            Some(residual) => for (y, r) in y.chunks_exact_mut(cols).zip(residual.chunks_exact(cols)) {
                for ((y, &b), &r) in y.iter_mut().zip(bias).zip(r) {
                    *y = C::value(*y + b) + r;
                }
            },
        }
    }
}

simd_fn! {
    fn finish_keeping<C: Curve>(y: &mut [f32], pre: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
        let cols = bias.len();
        for (row, (y, pre)) in y.chunks_exact_mut(cols).zip(pre.chunks_exact_mut(cols)).enumerate() {
            for ((y, pre), &b) in y.iter_mut().zip(pre).zip(bias) {
                *pre += b;
                *y = C::value(*pre);
            }
            if let Some(residual) = residual {
                for (y, &r) in y.iter_mut().zip(&residual[row * cols..]) {
                    *y += r;
                }
            }
        }
    }
}

simd_fn! {
    fn value_in_place<C: Curve>(y: &mut [f32]) {
        for y in y {
            *y = C::value(*y);
        }
    }
}

simd_fn! {
    fn value_into<C: Curve>(y: &mut [f32], pre: &[f32]) {
        for (y, &x) in y.iter_mut().zip(pre) {
            *y = C::value(x);
        }
    }
}

simd_fn! {
    fn add_residual(y: &mut [f32], residual: Option<&[f32]>) {
        if let Some(residual) = residual {
            for (y, &r) in y.iter_mut().zip(residual) {
                *y += r;
            }
        }
    }
}

simd_fn! {
    fn slope_rows<C: Curve>(dpre: &mut [f32], dy: &[f32], x: &[f32], db: &mut [f32]) {
        let cols = db.len();
        for ((d, dy), x) in dpre.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(cols)) {
            for (((d, &dy), &x), db) in d.iter_mut().zip(dy).zip(x).zip(db.iter_mut()) {
                let v = dy * C::slope(x);
                *d = v;
                *db += v;
            }
        }
    }
}

simd_fn! {
    fn slope_rows_from_out<C: Curve>(dpre: &mut [f32], dy: &[f32], y: &[f32], db: &mut [f32]) {
        let cols = db.len();
        for ((d, dy), y) in dpre.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(y.chunks_exact(cols)) {
            for (((d, &dy), &y), db) in d.iter_mut().zip(dy).zip(y).zip(db.iter_mut()) {
                let v = dy * C::slope_from_out(y);
                *d = v;
                *db += v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, at_each_level, numeric_gradient, random, wide};
    use super::*;

    const ALL: [Act; 6] = [Act::None, Act::Relu, Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid];

    /// The activation in f64.
    pub fn exact(act: Act, x: f64) -> f64 {
        match act {
            Act::None => x,
            Act::Relu => x.max(0.0),
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
                let x: Vec<f32> = random(101, 7).iter().map(|x| 5.0 * x).collect();
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
