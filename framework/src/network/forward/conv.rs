//! Convolutions, by name.

use super::{Forward, LayerOperation};
use crate::autograd::Tape;
use crate::backend::{Act, Backend, Conv2d, ConvTranspose2d, Pool, Pooling, Weight};
use crate::error::Result;
use crate::tensor::Tensor;
use std::rc::Rc;

/// How a convolution moves over its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions {
    /// Stride of the kernel, in pixels.
    pub stride: usize,
    /// Padding with zeros on every side of the image, in pixels.
    pub padding: usize,
    /// Whether 2x2 windows of the output are replaced by their maximum.
    pub pool: bool,
}

impl<B: Backend> Forward<'_, B> {
    /// Convolution `name` with its activation and pooling: `x [batch, in, rows, columns]` -> `[batch, out, ...]`.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn conv2d(&mut self, name: &str, x: &Tensor<B>, options: ConvOptions, act: Act) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let w = self.weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        let b = self.bias(name)?;
        self.taps.input(name, x);
        let ConvOptions { stride, padding, pool } = options;
        self.list(name, LayerOperation::Conv2d { stride, padding, act, pool });
        let op = Conv2d { x: x.clone(), w: w.clone(), b: b.clone(), stride, padding, act, pool };
        let y = self.tape.conv2d(op)?;
        let positions = match (&*x.shape(), &*w.value.shape()) {
            (&[batch, _, height, width], &[_, _, rows, cols]) => {
                let windows = |side: usize, kernel: usize| (side + 2 * padding - kernel) / stride.max(1) + 1;
                batch * windows(height, rows) * windows(width, cols)
            }
            _ => 0,
        };
        self.cost.add(positions, kept, w.value.count());
        if act == Act::None && !pool {
            // Otherwise the value before the activation never exists: asking for it is an error, not another value.
            self.taps.preactivation(name, &y);
        }
        self.taps.output(name, &y, &mut self.tape);
        let replay = move |tape: &mut Tape<B>, x: &Tensor<B>, w: Weight<B>| {
            tape.conv2d(Conv2d { x: x.clone(), w, b: b.clone(), stride, padding, act: Act::None, pool })
        };
        self.taps.call(name, x, &y, Some(w), Rc::new(replay));
        Ok(y)
    }

    /// Convolution, batch normalisation `norm`, activation, and where wanted a 2x2 maximum.
    ///
    /// # Errors
    /// If a layer does not exist, or `x` does not fit it.
    pub fn conv2d_norm(
        &mut self,
        name: &str,
        norm: &str,
        x: &Tensor<B>,
        options: ConvOptions,
        act: Act,
    ) -> Result<Tensor<B>> {
        let y = self.conv2d(name, x, ConvOptions { pool: false, ..options }, Act::None)?;
        let y = self.batch_norm(norm, &y)?;
        let y = if act == Act::None {
            y
        } else {
            self.list(norm, LayerOperation::Activation { act });
            self.tape.act(&y, act)?
        };
        if !options.pool {
            return Ok(y);
        }
        self.list(norm, LayerOperation::MaxPool { kernel: 2, stride: 2 });
        self.tape.pool(&y, Pool { kind: Pooling::Max, kernel: 2, stride: 2, padding: 0 })
    }

    /// Transposed convolution `name` with its activation: `x [batch, in, rows, columns]` -> `[batch, out, ...]`.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn conv_transpose2d(
        &mut self,
        name: &str,
        x: &Tensor<B>,
        (stride, padding): (usize, usize),
        act: Act,
    ) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let w = self.weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        let b = self.bias(name)?;
        self.taps.input(name, x);
        self.list(name, LayerOperation::ConvTranspose2d { stride, padding, act });
        let op = ConvTranspose2d { x: x.clone(), w: w.clone(), b: b.clone(), stride, padding, act };
        let y = self.tape.conv_transpose2d(op)?;
        // Every pixel of the input meets every weight of its channel.
        let pixels = x.count() / w.value.shape().first().copied().unwrap_or(1).max(1);
        self.cost.add(pixels, kept, w.value.count());
        if act == Act::None {
            self.taps.preactivation(name, &y);
        }
        self.taps.output(name, &y, &mut self.tape);
        let replay = move |tape: &mut Tape<B>, x: &Tensor<B>, w: Weight<B>| {
            tape.conv_transpose2d(ConvTranspose2d { x: x.clone(), w, b: b.clone(), stride, padding, act: Act::None })
        };
        self.taps.call(name, x, &y, Some(w), Rc::new(replay));
        Ok(y)
    }
}
