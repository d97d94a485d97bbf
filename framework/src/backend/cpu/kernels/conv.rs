//! Convolution: y = act(x * (w * mask) + bias), with a 2x2 max-pool behind it if wanted, and its gradients.
//!
//! As in PyTorch, the kernel is not flipped. At stride 1 the convolution is computed directly from padded images; other
//! strides go through patch columns and a matrix product. Bias, activation and pooling happen while an image's result
//! is in cache.

use super::activation::with_curve;
use super::conv_epilogue::{finish, slopes, unpool};
use super::conv_tiles::{Images, SLACK, correlate, pack, product, product_tile};
use super::gemm::{Mat, MatMut, flops, gemm};
use super::grad::{self, Grad};
use super::patches::Patches;
use super::{Accumulate, Act, elementwise, par, scratch};

/// The layer: shape, parameters, and what follows them.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Images.
    pub batch: usize,
    /// Image and windows; stride at least 1.
    pub patches: Patches,
    /// Output channels.
    pub filters: usize,
    /// [filters, channels, kernel rows, kernel columns].
    pub weight: &'a [f32],
    /// 0 or 1 for each weight.
    pub mask: Option<&'a [f32]>,
    /// [filters].
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias; not one that needs its input in the backward pass (see [`Act::needs_pre`]).
    pub act: Act,
    /// Whether 2x2 windows of the output are replaced by their maximum (stride 2, floor).
    pub pool: bool,
}

/// The gradients a backward pass produces; `None` where one is not wanted.
#[derive(Debug, Default)]
pub struct ConvGrads<'a> {
    /// Of the layer's input, in its shape.
    pub dx: Option<Grad<'a>>,
    /// Of the weight, in its shape.
    pub dw: Option<Grad<'a>>,
    /// Whether `dw` is the gradient of the masked weight w * mask, pruned entries included (for regrowth), or of w.
    pub dense_dw: bool,
    /// [bias length].
    pub db: Option<Grad<'a>>,
}

/// Most bands of images that have a partial weight gradient of their own.
const BANDS: usize = 16;
/// Elements of the partial weight gradients together.
const PARTIAL: usize = 1 << 22;
/// Elements of the images whose weight gradient is accumulated in registers: half of a usual second-level cache.
const CACHED: usize = 1 << 17;

impl Conv<'_> {
    /// Shape [filters, rows, columns] of an output image.
    pub fn output(&self) -> (usize, usize, usize) {
        let (down, across) = self.patches.windows();
        if self.pool { (self.filters, down / 2, across / 2) } else { (self.filters, down, across) }
    }

    fn output_len(&self) -> usize {
        let (filters, rows, cols) = self.output();
        filters * rows * cols
    }

    /// Floating-point operations of the forward pass.
    pub fn flops(&self) -> usize {
        let (down, across) = self.patches.windows();
        flops(down * across, self.filters, self.patches.depth()).saturating_mul(self.batch)
    }

    fn check(&self, x: &[f32]) {
        let weights = self.filters * self.patches.depth();
        assert!(self.patches.stride > 0 && !self.act.needs_pre(false), "stride or activation of {:?}", self.patches);
        assert_eq!(x.len(), self.batch * self.patches.image(), "x of a convolution {:?}", self.patches);
        assert_eq!(self.weight.len(), weights, "weight of a convolution {:?}", self.patches);
        assert!(self.mask.is_none_or(|m| m.len() == weights), "mask of a convolution {:?}", self.patches);
        assert!(self.bias.is_none_or(|b| b.len() == self.filters), "bias of a convolution {:?}", self.patches);
    }
}

/// Computes `y` [batch, output]; all of it is overwritten. With pooling, `argmax` (as long as y) receives the place of
/// each maximum in its window (0 to 3, the first of equals) for the backward pass.
pub fn forward(conv: &Conv<'_>, x: &[f32], y: &mut [f32], argmax: Option<&mut [u8]>) {
    conv.check(x);
    let (image, out) = (conv.patches.image(), conv.output_len());
    assert_eq!(y.len(), conv.batch * out, "y of a convolution {:?}", conv.patches);
    assert!(argmax.as_ref().is_none_or(|a| conv.pool && a.len() == y.len()), "argmax of a pooled convolution");
    if y.is_empty() {
        return;
    }
    let weight = effective(conv.weight, conv.mask);
    let direct = Direct::of(conv);
    let mut packed = Vec::new();
    if direct.is_some() {
        let depth = conv.patches.depth();
        pack(conv.filters, depth, &mut packed, |f, k| weight[f * depth + k]);
    }
    // Images a piece: enough work to be handed to another thread.
    let group = (conv.batch * par::SERIAL_BELOW).div_ceil(conv.flops().max(1)).clamp(1, conv.batch);
    let pieces = x.chunks(group * image).zip(y.chunks_mut(group * out)).zip(par::chunks_mut_or_none(
        argmax,
        group * out,
        conv.batch.div_ceil(group),
    ));
    par::for_each(conv.flops(), pieces, |((x, y), argmax)| {
        let argmax = par::chunks_mut_or_none(argmax, out, x.len() / image);
        let images = x.chunks(image).zip(y.chunks_mut(out)).zip(argmax);
        match &direct {
            Some(d) => scratch::with(d.x_len, |padded| {
                padded.fill(0.0);
                scratch::with(d.raw_len(conv.filters, d.positions), |raw| {
                    for ((x, y), argmax) in images {
                        d.pad_input(conv, x, padded);
                        let stride = d.raw_stride(d.positions);
                        product(&packed, &d.x_offsets, padded, d.positions, raw, stride);
                        finish(conv, raw, stride, d.pitch, y, argmax);
                    }
                });
            }),
            None => {
                let (down, across) = conv.patches.windows();
                let (depth, windows) = (conv.patches.depth(), down * across);
                scratch::with((depth + conv.filters) * windows, |buffer| {
                    let (cols, raw) = buffer.split_at_mut(depth * windows);
                    for ((x, y), argmax) in images {
                        conv.patches.to_columns(x, cols);
                        let (w, cols) = (Mat::new(&weight, conv.filters, depth), Mat::new(cols, depth, windows));
                        gemm(&mut MatMut::new(raw, conv.filters, windows), Accumulate::Overwrite, 1.0, w, cols);
                        finish(conv, raw, windows, across, y, argmax);
                    }
                });
            }
        }
    });
}

/// Computes the wanted gradients from `dy`, the layer's input and output, and the places of the maxima.
pub fn backward(conv: &Conv<'_>, x: &[f32], y: &[f32], argmax: Option<&[u8]>, dy: &[f32], grads: ConvGrads<'_>) {
    conv.check(x);
    let (image, out, depth) = (conv.patches.image(), conv.output_len(), conv.patches.depth());
    assert_eq!((y.len(), dy.len()), (conv.batch * out, conv.batch * out), "y, dy of a convolution");
    assert!(!conv.pool || argmax.is_some_and(|a| a.len() == y.len()), "a pooled convolution needs its argmax");
    let ConvGrads { dx, dw, dense_dw, db } = grads;
    if y.is_empty() || x.is_empty() {
        let nothing = [dx, dw, db].into_iter().flatten();
        return nothing.filter(|g| g.mode == Accumulate::Overwrite).for_each(|g| g.out.fill(0.0));
    }
    let weight = effective(conv.weight, conv.mask);
    let direct = Direct::of(conv);
    let mut packed = Vec::new();
    if direct.is_some() && dx.is_some() {
        let (kernel, area) = (conv.patches.kernel, conv.patches.kernel.0 * conv.patches.kernel.1);
        // The gradient of the input is a convolution of dy with the kernel turned around.
        pack(conv.patches.channels, conv.filters * area, &mut packed, |c, k| {
            let (f, element) = (k / area, k % area);
            weight[(f * conv.patches.channels + c) * area + kernel.0 * kernel.1 - 1 - element]
        });
    }
    let weights = conv.filters * depth;
    let bands = conv.batch.min(BANDS).min((PARTIAL / weights.max(1)).max(4));
    let band = conv.batch.div_ceil(bands);
    let bands = conv.batch.div_ceil(band);
    let wants_dw = dw.is_some();
    let mut partial = vec![0.0; bands * (weights + conv.filters)];
    let pieces = x
        .chunks(band * image)
        .zip(grad::chunks_or_none(dx, band * image, bands))
        .zip(y.chunks(band * out).zip(dy.chunks(band * out)))
        .zip(par::chunks_or_none(argmax, band * out, bands))
        .zip(partial.chunks_mut(weights + conv.filters));
    par::for_each(conv.flops().saturating_mul(2), pieces, |((((x, dx), (y, dy)), argmax), partial)| {
        let (dw, db) = partial.split_at_mut(weights);
        let part = Part { conv, weight: &weight, x, y, dy, argmax };
        match &direct {
            Some(d) => part.backward_direct(d, &packed, dx, wants_dw.then_some(dw), db),
            None => part.backward_columns(dx, wants_dw.then_some(dw), db),
        }
    });
    let (total, rest) = partial.split_at_mut(weights + conv.filters);
    rest.chunks(weights + conv.filters).for_each(|part| elementwise::add_assign(total, part));
    let (dw_total, db_total) = total.split_at(weights);
    if let Some(mut dw) = dw {
        match conv.mask.filter(|_| !dense_dw) {
            Some(mask) => dw.put_product(dw_total, mask),
            None => dw.put(dw_total),
        }
    }
    if let Some(mut db) = db {
        db.put(db_total);
    }
}

/// w * mask.
pub(super) fn effective<'a>(weight: &'a [f32], mask: Option<&[f32]>) -> std::borrow::Cow<'a, [f32]> {
    match mask {
        None => weight.into(),
        Some(mask) => {
            let mut masked = vec![0.0; weight.len()];
            elementwise::mul(&mut masked, weight, mask);
            masked.into()
        }
    }
}

/// How padded images stand in memory for the direct convolution.
struct Direct {
    /// Distance of rows, of images as of gradients.
    pitch: usize,
    /// Outputs of a filter, those between the rows included.
    positions: usize,
    /// Length of a padded image and distance of its channels.
    x_len: usize,
    x_plane: usize,
    /// The same for a padded output gradient, and where its first element is.
    dy_len: usize,
    dy_plane: usize,
    dy_first: usize,
    /// Where each element of the first window is.
    x_offsets: Vec<usize>,
    dy_offsets: Vec<usize>,
}

impl Direct {
    /// Stride 1, and a padding that does not reach beyond the kernel; rows not much shorter than the kernel.
    fn of(conv: &Conv<'_>) -> Option<Direct> {
        let p = &conv.patches;
        let (kh, kw) = p.kernel;
        let (down, across) = p.windows();
        let (above, left) = ((kh - 1).checked_sub(p.padding)?, (kw - 1).checked_sub(p.padding)?);
        let pitch = (p.width + 2 * p.padding).max(across + 2 * left);
        if p.stride != 1 || pitch > 2 * across {
            return None;
        }
        let (x_plane, dy_plane) =
            ((p.height + 2 * p.padding) * pitch, (down + 2 * above) * pitch + left + super::simd::LANES);
        let offsets = |channels: usize, plane: usize| {
            (0..channels * kh * kw).map(|k| k / (kh * kw) * plane + k / kw % kh * pitch + k % kw).collect()
        };
        Some(Direct {
            pitch,
            positions: down * pitch,
            x_len: p.channels * x_plane + kw + SLACK,
            x_plane,
            dy_len: conv.filters * dy_plane + kw + SLACK,
            dy_plane,
            dy_first: above * pitch + left,
            x_offsets: offsets(p.channels, x_plane),
            dy_offsets: offsets(conv.filters, dy_plane),
        })
    }

    fn raw_stride(&self, positions: usize) -> usize {
        positions.next_multiple_of(product_tile().1)
    }

    fn raw_len(&self, channels: usize, positions: usize) -> usize {
        channels * self.raw_stride(positions)
    }

    /// Copies an image into the middle of `padded`, whose border is zero.
    fn pad_input(&self, conv: &Conv<'_>, x: &[f32], padded: &mut [f32]) {
        let p = &conv.patches;
        for (x, plane) in x.chunks(p.height * p.width).zip(padded.chunks_mut(self.x_plane)) {
            let rows = plane[p.padding * self.pitch + p.padding..].chunks_mut(self.pitch);
            for (x, row) in x.chunks(p.width).zip(rows) {
                row[..p.width].copy_from_slice(x);
            }
        }
    }
}

/// Some of the images in the backward pass.
struct Part<'a> {
    conv: &'a Conv<'a>,
    weight: &'a [f32],
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    argmax: Option<&'a [u8]>,
}

impl Part<'_> {
    fn backward_direct(
        &self,
        d: &Direct,
        packed: &[f32],
        dx: Option<Grad<'_>>,
        mut dw: Option<&mut [f32]>,
        db: &mut [f32],
    ) {
        let p = &self.conv.patches;
        let (image, count) = (p.image(), self.x.len() / p.image());
        let group = (CACHED / (d.x_len + d.dy_len)).clamp(1, count);
        let positions = p.height * d.pitch;
        let stride = d.raw_stride(positions);
        scratch::with(group * (d.x_len + d.dy_len) + d.raw_len(p.channels, positions), |buffer| {
            let (padded, raw) = buffer.split_at_mut(group * (d.x_len + d.dy_len));
            padded.fill(0.0);
            let (xs, dys) = padded.split_at_mut(group * d.x_len);
            let groups = grad::chunks_or_none(dx, group * image, count.div_ceil(group));
            for (first, dx) in (0..count).step_by(group).zip(groups) {
                let n = group.min(count - first);
                for i in 0..n {
                    let dpre = &mut dys[i * d.dy_len..][..d.dy_len][d.dy_first..];
                    self.before_activation(first + i, dpre, d.dy_plane, d.pitch, db);
                }
                if let Some(dw) = dw.as_deref_mut() {
                    for i in 0..n {
                        let x = &self.x[(first + i) * image..][..image];
                        d.pad_input(self.conv, x, &mut xs[i * d.x_len..][..d.x_len]);
                    }
                    let x = Images { data: &xs[..n * d.x_len], len: d.x_len, plane: d.x_plane, first: 0 };
                    let data = &dys[..n * d.dy_len];
                    let dy = Images { data, len: d.dy_len, plane: d.dy_plane, first: d.dy_first };
                    correlate(dw, &d.x_offsets, d.positions, x, dy);
                }
                let Some(dx) = dx else { continue };
                for (dx, dy) in dx.chunks(image).zip(dys.chunks(d.dy_len)) {
                    product(packed, &d.dy_offsets, dy, positions, raw, stride);
                    let add = dx.mode == Accumulate::Add;
                    for (dx, raw) in dx.out.chunks_mut(p.height * p.width).zip(raw.chunks(stride)) {
                        for (dx, raw) in dx.chunks_mut(p.width).zip(raw.chunks(d.pitch)) {
                            if add {
                                dx.iter_mut().zip(raw).for_each(|(dx, raw)| *dx += raw);
                            } else {
                                dx.copy_from_slice(&raw[..p.width]);
                            }
                        }
                    }
                }
            }
        });
    }

    fn backward_columns(&self, dx: Option<Grad<'_>>, mut dw: Option<&mut [f32]>, db: &mut [f32]) {
        let (p, filters) = (&self.conv.patches, self.conv.filters);
        let (down, across) = p.windows();
        let (depth, windows, image) = (p.depth(), down * across, p.image());
        let count = self.x.len() / image;
        scratch::with((depth + filters) * windows, |buffer| {
            let (cols, dpre) = buffer.split_at_mut(depth * windows);
            dpre.fill(0.0);
            for (i, dx) in grad::chunks_or_none(dx, image, count).enumerate() {
                self.before_activation(i, dpre, windows, across, db);
                let dpre = Mat::new(dpre, filters, windows);
                if let Some(dw) = dw.as_deref_mut() {
                    p.to_columns(&self.x[i * image..][..image], cols);
                    let cols = Mat::new(cols, depth, windows);
                    gemm(&mut MatMut::new(dw, filters, depth), Accumulate::Add, 1.0, dpre, cols.t());
                }
                let Some(dx) = dx else { continue };
                let weight = Mat::new(self.weight, filters, depth);
                gemm(&mut MatMut::new(cols, depth, windows), Accumulate::Overwrite, 1.0, weight.t(), dpre);
                if dx.mode == Accumulate::Overwrite {
                    dx.out.fill(0.0);
                }
                p.add_columns(cols, dx.out);
            }
        });
    }

    /// The gradient before activation and pooling of image `i`: rows `pitch`, filters `plane` apart. Adds its sums to
    /// `db`.
    fn before_activation(&self, i: usize, dpre: &mut [f32], plane: usize, pitch: usize, db: &mut [f32]) {
        let out = self.conv.output_len();
        let (y, dy) = (&self.y[i * out..][..out], &self.dy[i * out..][..out]);
        let (_, rows, cols) = self.conv.output();
        match self.argmax.filter(|_| self.conv.pool) {
            Some(argmax) => {
                let argmax = &argmax[i * out..][..out];
                with_curve!(self.conv.act, C => unpool::<C>(dpre, plane, pitch, dy, y, argmax, rows, cols, db));
            }
            None => with_curve!(self.conv.act, C => slopes::<C>(dpre, plane, pitch, dy, y, rows, cols, db)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn exact(act: Act, x: f64) -> f64 {
        match act {
            Act::None => x,
            Act::Relu => x.max(0.0),
            Act::Tanh => x.tanh(),
            Act::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Act::Gelu | Act::GeluExact => panic!("not for convolutions"),
        }
    }

    /// The layer in f64 by its definition.
    fn reference(c: &Conv<'_>, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
        let p = &c.patches;
        let (down, across) = p.windows();
        let (kh, kw) = p.kernel;
        let mut full = vec![0.0; c.batch * c.filters * down * across];
        for (i, out) in full.iter_mut().enumerate() {
            let (col, row, f) = (i % across, i / across % down, i / (across * down) % c.filters);
            let image = i / (across * down * c.filters);
            let mut sum = b[f];
            for k in 0..p.depth() {
                let (channel, ky, kx) = (k / (kh * kw), k / kw % kh, k % kw);
                let (y, x_at) = (row * p.stride + ky, col * p.stride + kx);
                if (p.padding..p.height + p.padding).contains(&y) && (p.padding..p.width + p.padding).contains(&x_at) {
                    let at = ((image * p.channels + channel) * p.height + y - p.padding) * p.width + x_at - p.padding;
                    sum += x[at] * w[f * p.depth() + k] * c.mask.map_or(1.0, |m| f64::from(m[f * p.depth() + k]));
                }
            }
            *out = exact(c.act, sum);
        }
        if !c.pool {
            return full;
        }
        let (_, rows, cols) = c.output();
        let at = |i: usize| {
            let (col, row, plane) = (i % cols, i / cols % rows, i / (cols * rows));
            let get = |dy: usize, dx: usize| full[(plane * down + 2 * row + dy) * across + 2 * col + dx];
            get(0, 0).max(get(0, 1)).max(get(1, 0)).max(get(1, 1))
        };
        (0..c.batch * c.filters * rows * cols).map(at).collect()
    }

    struct Run {
        y: Vec<f32>,
        dx: Vec<f32>,
        dw: Vec<f32>,
        db: Vec<f32>,
    }

    fn run(c: &Conv<'_>, x: &[f32], dy: &[f32], add: bool) -> Run {
        let start = if add { 1.0 } else { f32::NAN };
        let mut r = Run {
            y: vec![f32::NAN; dy.len()],
            dx: vec![start; x.len()],
            dw: vec![start; c.weight.len()],
            db: vec![start; c.filters],
        };
        let mut argmax = vec![9; dy.len()];
        forward(c, x, &mut r.y, c.pool.then_some(&mut argmax[..]));
        let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
        let grads = ConvGrads { dx: grad(&mut r.dx), dw: grad(&mut r.dw), dense_dw: false, db: grad(&mut r.db) };
        backward(c, x, &r.y, c.pool.then_some(&argmax[..]), dy, grads);
        r
    }

    fn outputs(c: &Conv<'_>) -> usize {
        c.batch * c.output_len()
    }

    #[test]
    fn output_and_gradients_agree_with_the_definition() {
        let shapes = [
            // channels, height, width, kernel, stride, padding, filters
            (2, 5, 7, (3, 3), 1, 1, 3),
            (3, 4, 4, (3, 3), 1, 0, 9),
            (1, 6, 5, (5, 3), 1, 1, 2),
            (2, 4, 5, (1, 1), 1, 0, 5),
            (2, 6, 6, (4, 4), 2, 1, 3),
            (2, 5, 5, (2, 2), 1, 2, 2),
            (1, 3, 3, (3, 3), 1, 0, 2),
        ];
        at_each_level(|| {
            for (i, &(channels, height, width, kernel, stride, padding, filters)) in shapes.iter().enumerate() {
                let patches = Patches { channels, height, width, kernel, stride, padding };
                for (act, pool, masked) in [
                    (Act::None, false, true),
                    (Act::Relu, true, false),
                    (Act::Tanh, true, true),
                    (Act::Sigmoid, false, false),
                ] {
                    let n = filters * patches.depth();
                    let (w, b, mask) = (random(n, 2), random(filters, 3), random_mask(n, 4));
                    let mask = masked.then_some(&mask[..]);
                    let c = Conv { batch: 3, patches, filters, weight: &w, mask, bias: Some(&b), act, pool };
                    let (x, dy) = (random(3 * patches.image(), 1), random(outputs(&c), 5));
                    if dy.is_empty() {
                        continue;
                    }
                    let (xw, ww, bw) = (wide(&x), wide(&w), wide(&b));
                    let what = format!("shape {i} {act:?} pool {pool}");
                    let by = |x: &[f64], w: &[f64], b: &[f64]| dot(&reference(&c, x, w, b), &dy);
                    for add in [false, true] {
                        let r = run(&c, &x, &dy, add);
                        let plus = |g: Vec<f64>| g.iter().map(|g| g + f64::from(u8::from(add))).collect::<Vec<_>>();
                        assert_close(&r.y, &reference(&c, &xw, &ww, &bw), 1e-5, &what);
                        assert_close(&r.dx, &plus(numeric_gradient(&xw, |x| by(x, &ww, &bw))), 1e-4, &what);
                        assert_close(&r.dw, &plus(numeric_gradient(&ww, |w| by(&xw, w, &bw))), 1e-4, &what);
                        assert_close(&r.db, &plus(numeric_gradient(&bw, |b| by(&xw, &ww, b))), 1e-4, &what);
                    }
                }
            }
        });
    }

    #[test]
    fn equal_values_pool_to_the_first() {
        let patches = Patches { channels: 1, height: 2, width: 2, kernel: (1, 1), stride: 1, padding: 0 };
        let c =
            Conv { batch: 1, patches, filters: 1, weight: &[1.0], mask: None, bias: None, act: Act::None, pool: true };
        let mut place = [9];
        forward(&c, &[1.0, 2.0, 2.0, 2.0], &mut [0.0], Some(&mut place));
        assert_eq!(place, [1]);
    }

    #[test]
    fn threads_do_not_change_bits() {
        for (stride, pool) in [(1, true), (1, false), (2, false)] {
            let patches = Patches { channels: 5, height: 17, width: 15, kernel: (3, 3), stride, padding: 1 };
            let (w, b) = (random(11 * patches.depth(), 1), random(11, 2));
            let c =
                Conv { batch: 37, patches, filters: 11, weight: &w, mask: None, bias: Some(&b), act: Act::Relu, pool };
            let (x, dy) = (random(37 * patches.image(), 3), random(outputs(&c), 4));
            assert_same_bits(|| {
                let r = run(&c, &x, &dy, false);
                [r.y, r.dx, r.dw, r.db].concat()
            });
        }
    }
}
