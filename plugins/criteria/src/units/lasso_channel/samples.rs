//! Samples of what a layer reads.

use rand::Rng;
use rand::RngExt as _;
use secateur::prelude::*;

/// Rows of `columns` values: what one output of a linear layer or a convolution is computed from, in the order of its
/// weights.
#[derive(Default)]
pub(super) struct Samples {
    pub columns: usize,
    pub values: Vec<f32>,
    /// Values of one input in a row: the size of a kernel.
    kernel: usize,
}

impl Samples {
    pub fn add(&mut self, (rows, kernel): (Vec<f32>, usize), columns: usize) {
        (self.columns, self.kernel) = (columns, kernel);
        self.values.extend(rows);
    }

    /// Leaves the inputs of these indices, in order.
    pub fn keep_inputs(&mut self, stay: &[usize]) {
        let (columns, kernel) = (self.columns.max(1), self.kernel.max(1));
        let rows = self.values.chunks(columns);
        self.values = rows.flat_map(|row| stay.iter().flat_map(|i| &row[i * kernel..][..kernel])).copied().collect();
        self.columns = stay.len() * kernel;
    }

    pub fn save(&self) -> Vec<f64> {
        let head = [self.columns as f64, self.kernel as f64];
        head.into_iter().chain(self.values.iter().map(|v| f64::from(*v))).collect()
    }

    pub fn load(numbers: &[f64]) -> Self {
        let head = |i: usize| numbers.get(i).map_or(0, |n| *n as usize);
        let values = numbers.iter().skip(2).map(|v| *v as f32).collect();
        Self { columns: head(0), kernel: head(1), values }
    }
}

/// How one layer's inputs are sampled.
pub(super) struct Sampling<'a> {
    pub layer: &'a str,
    pub examples: usize,
    pub positions: usize,
}

impl Sampling<'_> {
    /// Rows of a batch, and the size of the kernel.
    pub fn rows<B: Backend>(
        &self,
        mut rng: impl Rng,
        input: &Tensor<B>,
        product: &Tensor<B>,
        weight: &Tensor<B>,
        bias: Option<&[f32]>,
    ) -> Result<(Vec<f32>, usize)> {
        let (x, mut rows) = (input.host(), vec![]);
        match (&*input.shape(), &*product.shape(), &*weight.shape()) {
            (&[count, columns], _, &[_, _]) => {
                let each = count / self.examples.max(1);
                for example in 0..self.examples {
                    for at in draw(&mut rng, each, self.positions) {
                        rows.extend_from_slice(&x[(example * each + at) * columns..][..columns]);
                    }
                }
                Ok((rows, 1))
            }
            (&[_, channels, h, w], &[batch, _, oh, ow], &[_, _, kh, kw]) => {
                let image = Image { values: &x, channels, size: [h, w], kernel: [kh, kw] };
                let window = self.window(&image, [oh, ow], &product.host(), &weight.host(), bias)?;
                for example in 0..batch {
                    for at in draw(&mut rng, oh * ow, self.positions) {
                        image.patch(example, [at / ow, at % ow], window, &mut rows);
                    }
                }
                Ok((rows, kh * kw))
            }
            (x, y, w) => Err(Error::shape("lasso-channel", format!("{x:?} to {y:?} by {w:?} in `{}`", self.layer))),
        }
    }

    /// Stride and padding of a convolution, which it alone knows: those by which its first image gives its product.
    fn window(
        &self,
        image: &Image<'_>,
        out: [usize; 2],
        product: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Window> {
        let fits = |w: Window, axis: usize| {
            let room = (image.size[axis] + 2 * w.padding).checked_sub(image.kernel[axis]);
            room.is_some_and(|room| room / w.stride + 1 == out[axis])
        };
        let (most, half) = (image.size[0].max(image.size[1]), image.kernel[0] / 2);
        let mut windows: Vec<Window> = (1..=most.max(1))
            .flat_map(|stride| (0..=image.kernel[0]).map(move |padding| Window { stride, padding }))
            .filter(|w| fits(*w, 0) && fits(*w, 1))
            .collect();
        windows.sort_by_key(|w| (w.padding.abs_diff(half), w.stride));
        let columns = image.channels * image.kernel[0] * image.kernel[1];
        let gives = |window: &Window| {
            let mut patch = vec![];
            let positions = out[0] * out[1];
            (0..positions).step_by(positions.div_ceil(16)).all(|at| {
                patch.clear();
                image.patch(0, [at / out[1], at % out[1]], *window, &mut patch);
                weight.chunks_exact(columns).enumerate().all(|(filter, w)| {
                    let terms = || w.iter().zip(&patch).map(|(w, x)| f64::from(w * x));
                    let bias = f64::from(bias.map_or(0.0, |bias| bias[filter]));
                    let (sum, size) = (terms().sum::<f64>() + bias, terms().map(f64::abs).sum::<f64>() + bias.abs());
                    (sum - f64::from(product[filter * positions + at])).abs() <= 1e-4 * size + 1e-6
                })
            })
        };
        windows.into_iter().find(gives).ok_or_else(|| {
            Error::Config(format!(
                "lasso-channel cannot tell how the convolution `{}` moves over its input: no stride and padding give its \
                 output; list what it reads in prune.exempt",
                self.layer
            ))
        })
    }
}

/// How a kernel moves over an image.
#[derive(Clone, Copy)]
struct Window {
    stride: usize,
    padding: usize,
}

/// Images `[batch, channels, rows, columns]`, and the kernel that moves over them.
struct Image<'a> {
    values: &'a [f32],
    channels: usize,
    size: [usize; 2],
    kernel: [usize; 2],
}

impl Image<'_> {
    /// Adds what the output at a position is computed from, zeros outside of the image.
    fn patch(&self, example: usize, at: [usize; 2], window: Window, rows: &mut Vec<f32>) {
        let [h, w] = self.size;
        let inside = |at: usize, k: usize, size: usize| {
            (at * window.stride + k).checked_sub(window.padding).filter(|i| *i < size)
        };
        for channel in 0..self.channels {
            let pixels = &self.values[(example * self.channels + channel) * h * w..][..h * w];
            for ky in 0..self.kernel[0] {
                for kx in 0..self.kernel[1] {
                    let pixel = inside(at[0], ky, h).zip(inside(at[1], kx, w));
                    rows.push(pixel.map_or(0.0, |(y, x)| pixels[y * w + x]));
                }
            }
        }
    }
}

/// Some of `0..all` at random, in order; all where there are no more.
fn draw(rng: &mut impl Rng, all: usize, some: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..all).collect();
    if some < all {
        for i in 0..some {
            let j = rng.random_range(i..all);
            left.swap(i, j);
        }
        left.truncate(some);
        left.sort_unstable();
    }
    left
}
