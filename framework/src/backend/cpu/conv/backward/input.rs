//! The gradient of a convolution's input as a convolution of its own, of the output's gradient with the kernels turned around
//! and filters and channels exchanged, where Winograd's form makes that the less work.

use super::super::layer::Conv;
use super::super::ready::Winograd;
use crate::backend::cpu::activation::curves::{Curve, with_curve};
use crate::backend::cpu::common::elementwise::{self, PIECE};
use crate::backend::cpu::common::simd::simd_fn;
use crate::backend::cpu::common::{Accumulate, Grad, par, scratch};
use crate::backend::{Act, Patches};

/// Computes `dx` and takes it, if the convolution, whose weight is masked already, has that form.
pub(super) fn by_winograd(conv: &Conv<'_>, weight: &[f32], y: &[f32], dy: &[f32], dx: &mut Option<Grad<'_>>) {
    let (p, (filters, down, across)) = (&conv.patches, conv.output());
    let Some(padding) = 2_usize.checked_sub(p.padding) else { return };
    if dx.is_none() || conv.pool || conv.groups > 1 || p.kernel != (3, 3) || p.stride != 1 {
        return;
    }
    let patches = Patches { channels: filters, height: down, width: across, padding, ..*p };
    let (mask, bias, act) = (None, None, Act::None);
    let turned = Conv { patches, filters: p.channels, weight: &[], mask, bias, act, ..*conv };
    if !Winograd::is_for_any_batch(&turned) {
        return;
    }
    let weight = turn_around(weight, filters, p.channels);
    let Some(winograd) = Winograd::of(&Conv { weight: &weight, ..turned }) else { return };
    let Some(Grad { out, mode }) = dx.take() else { return };
    let mut product = |dpre: &[f32]| match mode {
        Accumulate::Overwrite => winograd.forward(&turned, (dpre, None, out), None),
        Accumulate::Add => scratch::with(out.len(), |before| {
            before.copy_from_slice(out);
            winograd.forward(&turned, (dpre, Some(&*before), out), None);
        }),
    };
    if conv.act == Act::None {
        return product(dy);
    }
    scratch::with(dy.len(), |dpre| {
        let pieces = dpre.chunks_mut(PIECE).zip(dy.chunks(PIECE).zip(y.chunks(PIECE)));
        par::for_each(elementwise::MOVE * dy.len(), pieces, |(dpre, (dy, y))| {
            with_curve!(conv.act, C => slopes::<C>(dpre, dy, y));
        });
        product(dpre);
    });
}

/// [channels, filters, 3, 3] from [filters, channels, 3, 3], each kernel turned around.
fn turn_around(weight: &[f32], filters: usize, channels: usize) -> Vec<f32> {
    const AREA: usize = 9;
    let mut turned = vec![0.0; weight.len()];
    for (c, turned) in turned.chunks_mut(filters * AREA).enumerate() {
        for (f, turned) in turned.chunks_mut(AREA).enumerate() {
            let kernel = &weight[(f * channels + c) * AREA..][..AREA];
            turned.iter_mut().zip(kernel.iter().rev()).for_each(|(to, w)| *to = *w);
        }
    }
    turned
}

simd_fn! {
    fn slopes<C: Curve>(dpre: &mut [f32], dy: &[f32], y: &[f32]) {
        for ((d, &dy), &y) in dpre.iter_mut().zip(dy).zip(y) {
            *d = dy * C::slope_from_out(y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::layer::ConvGrads;
    use super::super::super::{backward, forward};
    use super::*;
    use crate::backend::Precision;
    use crate::backend::cpu::common::testing::{assert_near, assert_same_bits, at_each_level, random};

    fn conv<'a>(channels: usize, sides: (usize, usize), padding: usize, act: Act, weight: &'a [f32]) -> Conv<'a> {
        let (height, width) = sides;
        let patches = Patches { channels, height, width, kernel: (3, 3), stride: 1, padding };
        let (filters, mask, precision) = (weight.len() / patches.depth(), None, Precision::F32);
        Conv { batch: 2, patches, filters, groups: 1, weight, mask, bias: None, act, pool: false, precision }
    }

    fn gradient(conv: &Conv<'_>, x: &[f32], dy: &[f32], start: Option<f32>) -> Vec<f32> {
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![start.unwrap_or(f32::NAN); x.len()]);
        forward(conv, x, &mut y, None);
        let grad = if start.is_some() { Grad::add(&mut dx) } else { Grad::overwrite(&mut dx) };
        backward(conv, x, &y, None, dy, ConvGrads { dx: Some(grad), ..Default::default() });
        dx
    }

    /// What each output gives to the pixels under its window, in f64.
    fn expected(conv: &Conv<'_>, x: &[f32], dy: &[f32]) -> Vec<f64> {
        let (p, (filters, down, across)) = (&conv.patches, conv.output());
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![0.0; x.len()]);
        forward(conv, x, &mut y, None);
        for (i, (&dy, &y)) in dy.iter().zip(&y).enumerate() {
            let (col, row, plane) = (i % across, i / across % down, i / (across * down));
            let dpre = if conv.act == Act::Relu && y <= 0.0 { 0.0 } else { f64::from(dy) };
            for k in 0..p.depth() {
                let (c, below, beside) = (k / 9, row + k / 3 % 3, col + k % 3);
                let inside = |at: usize, side: usize| (p.padding..side + p.padding).contains(&at);
                if inside(below, p.height) && inside(beside, p.width) {
                    let channel = plane / filters * p.channels + c;
                    let at = (channel * p.height + below - p.padding) * p.width + beside - p.padding;
                    dx[at] += dpre * f64::from(conv.weight[plane % filters * p.depth() + k]);
                }
            }
        }
        dx
    }

    #[test]
    fn the_input_s_gradient_agrees_with_the_definition() {
        at_each_level(|| {
            for (channels, filters, sides, padding) in [(16, 17, (8, 8), 1), (18, 16, (8, 9), 0), (16, 16, (6, 8), 2)] {
                for act in [Act::None, Act::Relu] {
                    let weight = random(filters * channels * 9, 1);
                    let conv = conv(channels, sides, padding, act, &weight);
                    let (x, dy) = (random(2 * conv.patches.image(), 2), random(2 * conv.output_len(), 3));
                    for start in [None, Some(0.5)] {
                        let expected: Vec<f64> =
                            expected(&conv, &x, &dy).iter().map(|d| d + f64::from(start.unwrap_or(0.0))).collect();
                        assert_near(&gradient(&conv, &x, &dy, start), &expected, 1e-5, &format!("{:?}", conv.patches));
                    }
                    // Such convolutions have the form: nothing is left to be computed another way.
                    let (y, mut taken) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                    let mut dx = Some(Grad::overwrite(&mut taken));
                    by_winograd(&conv, &weight, &y, &dy, &mut dx);
                    assert!(dx.is_none(), "{:?}", conv.patches);
                }
            }
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let weight = random(24 * 20 * 9, 1);
        let conv = Conv { batch: 19, ..conv(20, (12, 10), 1, Act::Relu, &weight) };
        let (x, dy) = (random(19 * conv.patches.image(), 2), random(19 * conv.output_len(), 3));
        assert_same_bits(|| gradient(&conv, &x, &dy, None));
    }
}
