//! Activation functions as types, so that loops are compiled for each.

use crate::backend::cpu::common::simd;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// Runs an expression with the type `$curve` that computes `$act`, so that the loop inside is compiled for it.
macro_rules! with_curve {
    ($act:expr, $curve:ident => $body:expr) => {{
        use $crate::backend::Act;
        use $crate::backend::cpu::activation::curves;
        match $act {
            Act::None => {
                type $curve = curves::Identity;
                $body
            }
            Act::Relu => {
                type $curve = curves::Relu;
                $body
            }
            Act::Relu6 => {
                type $curve = curves::Relu6;
                $body
            }
            Act::Gelu => {
                type $curve = curves::Gelu;
                $body
            }
            Act::GeluExact => {
                type $curve = curves::GeluExact;
                $body
            }
            Act::Tanh => {
                type $curve = curves::Tanh;
                $body
            }
            Act::Sigmoid => {
                type $curve = curves::Sigmoid;
                $body
            }
        }
    }};
}
pub(crate) use with_curve;

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
pub(crate) struct Relu6;
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

impl Curve for Relu6 {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        let x = Relu::value(x);
        if x > 6.0 { 6.0 } else { x }
    }
    #[inline(always)]
    fn slope(x: f32) -> f32 {
        if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 }
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
