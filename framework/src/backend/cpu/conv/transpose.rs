//! Transposed convolution: the convolution's gradient with respect to its input, as a layer of its own.
//!
//! y = act(sum over windows of x^T (w * mask) + bias). Each image goes through patch columns and a matrix product.

use super::backward::BANDS;
use super::epilogue::{activated, slopes};
use super::layer::{ConvGrads, effective};
use crate::backend::cpu::activation::curves::with_curve;
use crate::backend::cpu::common::bf16::multiply_in;
use crate::backend::cpu::common::matrix::{Mat, MatMut, flops};
use crate::backend::cpu::common::{Accumulate, elementwise, grad, par, scratch};
use crate::backend::{Act, Patches, Precision};

/// The layer: shape, parameters, activation.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose<'a> {
    /// Images.
    pub batch: usize,
    /// The OUTPUT image, and the windows laid over it: one for each pixel of the input (see
    /// [`Patches::of_transposed`]).
    pub patches: Patches,
    /// Input channels.
    pub inputs: usize,
    /// [inputs, output channels, kernel rows, kernel columns].
    pub weight: &'a [f32],
    /// 0 or 1 for each weight.
    pub mask: Option<&'a [f32]>,
    /// [output channels].
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias; not one that needs its input in the backward pass (see [`Act::needs_pre`]).
    pub act: Act,
    /// What its products are computed in.
    pub precision: Precision,
}

/// Elements of the partial weight gradients together.
const PARTIAL: usize = 1 << 22;

impl ConvTranspose<'_> {
    /// Floating-point operations of the forward pass.
    pub fn flops(&self) -> usize {
        flops(self.pixels(), self.inputs, self.patches.depth()).saturating_mul(self.batch)
    }

    fn pixels(&self) -> usize {
        let (down, across) = self.patches.windows();
        down * across
    }

    fn check(&self, x: &[f32], y: &[f32]) {
        self.check_weight(self.weight.len());
        self.check_rest(x, y);
    }

    /// Makes sure that a weight has so many elements.
    pub(super) fn check_weight(&self, weights: usize) {
        assert_eq!(self.inputs * self.patches.depth(), weights, "weight of a transposed {:?}", self.patches);
    }

    /// Makes sure that all slices but the weight are as long as the shape says.
    pub(super) fn check_rest(&self, x: &[f32], y: &[f32]) {
        let weights = self.inputs * self.patches.depth();
        assert!(self.patches.stride > 0 && !self.act.needs_pre(false), "stride or activation of {:?}", self.patches);
        assert_eq!(x.len(), self.batch * self.inputs * self.pixels(), "x of a transposed {:?}", self.patches);
        assert_eq!(y.len(), self.batch * self.patches.image(), "y of a transposed {:?}", self.patches);
        assert!(self.mask.is_none_or(|m| m.len() == weights), "mask of a transposed {:?}", self.patches);
        assert!(self.bias.is_none_or(|b| b.len() == self.patches.channels), "bias of a transposed {:?}", self.patches);
    }
}

/// Computes `y` [batch, output image] from `x` [batch, inputs, windows]; all of it is overwritten.
pub fn forward(layer: &ConvTranspose<'_>, x: &[f32], y: &mut [f32]) {
    layer.check(x, y);
    let (p, inputs, pixels, depth) = (&layer.patches, layer.inputs, layer.pixels(), layer.patches.depth());
    if x.is_empty() || y.is_empty() {
        return;
    }
    let weight = effective(layer.weight, layer.mask);
    let plane = p.height * p.width;
    par::for_each(layer.flops(), x.chunks(inputs * pixels).zip(y.chunks_mut(p.image())), |(x, y)| {
        scratch::with(depth * pixels + p.image(), |buffer| {
            let (cols, raw) = buffer.split_at_mut(depth * pixels);
            let (w, x) = (Mat::new(&weight, inputs, depth), Mat::new(x, inputs, pixels));
            multiply_in(layer.precision, &mut MatMut::new(cols, depth, pixels), Accumulate::Overwrite, 1.0, w.t(), x);
            raw.fill(0.0);
            p.add_columns(cols, raw);
            with_curve!(layer.act, C => activated::<C>(y, raw, plane, p.width, layer.bias, p.height, p.width));
        });
    });
}

/// Computes the wanted gradients from `dy`, the layer's input and its output.
pub fn backward(layer: &ConvTranspose<'_>, x: &[f32], y: &[f32], dy: &[f32], grads: ConvGrads<'_>) {
    layer.check(x, y);
    layer.check(x, dy);
    let (p, inputs, pixels, depth) = (&layer.patches, layer.inputs, layer.pixels(), layer.patches.depth());
    let ConvGrads { dx, dw, dense_dw, db } = grads;
    if x.is_empty() || y.is_empty() {
        let nothing = [dx, dw, db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let weight = effective(layer.weight, layer.mask);
    let (plane, image, weights) = (p.height * p.width, inputs * pixels, inputs * depth);
    let bands = layer.batch.min(BANDS).min((PARTIAL / weights.max(1)).max(4));
    let band = layer.batch.div_ceil(bands);
    let bands = layer.batch.div_ceil(band);
    let wants_dw = dw.is_some();
    let mut partial = vec![0.0; bands * (weights + p.channels)];
    let pieces = x
        .chunks(band * image)
        .zip(grad::chunks_or_none(dx, band * image, bands))
        .zip(y.chunks(band * p.image()).zip(dy.chunks(band * p.image())))
        .zip(partial.chunks_mut(weights + p.channels));
    par::for_each(layer.flops().saturating_mul(2), pieces, |(((x, dx), (y, dy)), partial)| {
        let (dw, db) = partial.split_at_mut(weights);
        let dxs = grad::chunks_or_none(dx, image, x.len() / image);
        scratch::with(depth * pixels + p.image(), |buffer| {
            let (cols, dpre) = buffer.split_at_mut(depth * pixels);
            let images = x.chunks(image).zip(y.chunks(p.image())).zip(dy.chunks(p.image()));
            for (((x, y), dy), dx) in images.zip(dxs) {
                with_curve!(layer.act, C => slopes::<C>(dpre, plane, p.width, dy, y, p.height, p.width, db));
                p.to_columns(dpre, cols);
                let cols = Mat::new(cols, depth, pixels);
                if wants_dw {
                    let x = Mat::new(x, inputs, pixels);
                    let mut dw = MatMut::new(dw, inputs, depth);
                    multiply_in(layer.precision, &mut dw, Accumulate::Add, 1.0, x, cols.t());
                }
                if let Some(dx) = dx {
                    let w = Mat::new(&weight, inputs, depth);
                    let mut out = MatMut::new(dx.out, inputs, pixels);
                    multiply_in(layer.precision, &mut out, dx.mode, 1.0, w, cols);
                }
            }
        });
    });
    let (total, rest) = partial.split_at_mut(weights + p.channels);
    rest.chunks(weights + p.channels).for_each(|part| elementwise::add_assign(total, part));
    let (dw_total, db_total) = total.split_at(weights);
    if let Some(mut dw) = dw {
        match layer.mask.filter(|_| !dense_dw) {
            Some(mask) => dw.put_product(dw_total, mask),
            None => dw.put(dw_total),
        }
    }
    if let Some(mut db) = db {
        db.put(db_total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::Grad;
    use crate::backend::cpu::common::testing::*;

    /// Each input pixel adds its window, by the definition.
    fn reference(l: &ConvTranspose<'_>, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
        let p = &l.patches;
        let (down, across) = p.windows();
        let area = p.kernel.0 * p.kernel.1;
        let mut y: Vec<f64> = (0..l.batch * p.image()).map(|i| b[i / (p.height * p.width) % p.channels]).collect();
        for (i, &x) in x.iter().enumerate() {
            let (col, row, input) = (i % across, i / across % down, i / (across * down) % l.inputs);
            let image = i / (across * down * l.inputs);
            for k in 0..p.depth() {
                let (at_row, at_col) = (row * p.stride + k / p.kernel.1 % p.kernel.0, col * p.stride + k % p.kernel.1);
                if (p.padding..p.height + p.padding).contains(&at_row)
                    && (p.padding..p.width + p.padding).contains(&at_col)
                {
                    let at = ((image * p.channels + k / area) * p.height + at_row - p.padding) * p.width + at_col
                        - p.padding;
                    let weight = input * p.depth() + k;
                    y[at] += x * w[weight] * l.mask.map_or(1.0, |m| f64::from(m[weight]));
                }
            }
        }
        match l.act {
            Act::Sigmoid => y.iter().map(|y| 1.0 / (1.0 + (-y).exp())).collect(),
            Act::Relu => y.iter().map(|y| y.max(0.0)).collect(),
            _ => y,
        }
    }

    fn gradients(l: &ConvTranspose<'_>, x: &[f32], dy: &[f32]) -> [Vec<f32>; 4] {
        let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
        let (mut dw, mut db) = (vec![f32::NAN; l.weight.len()], vec![f32::NAN; l.patches.channels]);
        forward(l, x, &mut y);
        let grads = ConvGrads {
            dx: Some(Grad::overwrite(&mut dx)),
            dw: Some(Grad::overwrite(&mut dw)),
            dense_dw: false,
            db: Some(Grad::overwrite(&mut db)),
        };
        backward(l, x, &y, dy, grads);
        [y, dx, dw, db]
    }

    #[test]
    fn output_and_gradients_agree_with_the_definition() {
        for (side, kernel, stride, padding) in
            [((3, 4), (4, 4), 2, 1), ((2, 2), (3, 2), 1, 0), ((4, 3), (3, 3), 1, 1), ((2, 3), (2, 2), 3, 0)]
        {
            let patches = Patches::of_transposed(2, side, kernel, stride, padding).expect("something is left");
            assert_eq!(patches.windows(), side);
            for act in [Act::None, Act::Relu, Act::Sigmoid] {
                let n = 3 * patches.depth();
                let (w, b, mask) = (random(n, 2), random(2, 3), random_mask(n, 4));
                let (mask, bias, precision) = (Some(&mask[..]), Some(&b[..]), Precision::F32);
                let l = ConvTranspose { batch: 2, patches, inputs: 3, weight: &w, mask, bias, act, precision };
                let (x, dy) = (random(6 * side.0 * side.1, 1), random(2 * patches.image(), 5));
                let [y, dx, dw, db] = gradients(&l, &x, &dy);
                let (xw, ww, bw) = (wide(&x), wide(&w), wide(&b));
                let by = |x: &[f64], w: &[f64], b: &[f64]| dot(&reference(&l, x, w, b), &dy);
                assert_close(&y, &reference(&l, &xw, &ww, &bw), 1e-5, "y");
                assert_close(&dx, &numeric_gradient(&xw, |x| by(x, &ww, &bw)), 1e-4, "dx");
                assert_close(&dw, &numeric_gradient(&ww, |w| by(&xw, w, &bw)), 1e-4, "dw");
                assert_close(&db, &numeric_gradient(&bw, |b| by(&xw, &ww, b)), 1e-4, "db");
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let patches = Patches::of_transposed(4, (8, 8), (4, 4), 2, 1).expect("something is left");
        let w = random(7 * patches.depth(), 1);
        let (act, precision) = (Act::Sigmoid, Precision::F32);
        let l = ConvTranspose { batch: 19, patches, inputs: 7, weight: &w, mask: None, bias: None, act, precision };
        let (x, dy) = (random(19 * 7 * 64, 2), random(19 * patches.image(), 3));
        assert_same_bits(|| gradients(&l, &x, &dy).concat());
    }

    #[test]
    fn in_bf16_numbers_that_it_holds_give_what_they_give_in_f32() {
        let sixteenths = |n, seed| random(n, seed).iter().map(|x| (x * 16.0).round() / 16.0).collect::<Vec<f32>>();
        let patches = Patches::of_transposed(2, (3, 4), (4, 4), 2, 1).expect("something is left");
        let (w, b) = (sixteenths(3 * patches.depth(), 2), sixteenths(2, 3));
        let (x, dy) = (sixteenths(5 * 3 * 12, 1), sixteenths(5 * patches.image(), 5));
        let of = |precision| {
            let (mask, bias) = (None, Some(&b[..]));
            let l = ConvTranspose { batch: 5, patches, inputs: 3, weight: &w, mask, bias, act: Act::Relu, precision };
            gradients(&l, &x, &dy)
        };
        assert_eq!(of(Precision::Bf16), of(Precision::F32));
    }
}
