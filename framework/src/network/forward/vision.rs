//! Layers of image networks, by name.

use super::Forward;
use crate::autograd::Tape;
use crate::backend::vision::{Conv2d, Heads};
use crate::backend::{Act, Backend, Weight};
use crate::error::{Error, Result};
use crate::network::compressor::{Stage, Tokens};
use crate::tensor::Tensor;
use rand::RngExt as _;
use std::rc::Rc;

/// Windows of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Distance of windows.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Whether 2x2 windows of the output are replaced by their maximum.
    pub pool: bool,
}

impl<B: Backend> Forward<'_, B> {
    /// Convolution `name` with its activation and pooling: `x [batch, in, rows, columns]` -> `[batch, out, ...]`.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn conv2d(&mut self, name: &str, x: &Tensor<B>, windows: Windows, act: Act) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let w = self.weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        let b = self.bias(name)?;
        self.taps.input(name, x);
        let Windows { stride, padding, pool } = windows;
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

    /// Layer normalisation `name` over the last axis (eps 1e-5).
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn layer_norm(&mut self, name: &str, x: &Tensor<B>) -> Result<Tensor<B>> {
        let (gamma, beta) = (self.param(&format!("{name}.weight"))?, self.param(&format!("{name}.bias"))?);
        self.tape.layer_norm(x, &gamma, &beta, 1e-5)
    }

    /// Multi-head attention, see [`Tape::attention`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn attention(&mut self, shape: Heads, qkv: &Tensor<B>, sizes: Option<&Tensor<B>>) -> Result<Tensor<B>> {
        self.cost.extra(2 * shape.batch * shape.heads * shape.tokens * shape.tokens * shape.head_dim);
        self.tape.attention(shape, qkv, sizes)
    }

    /// Dropout while training; `x` itself in evaluation.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn dropout(&mut self, name: &str, x: &Tensor<B>, p: f64) -> Result<Tensor<B>> {
        match self.noise.filter(|_| p > 0.0) {
            Some(seed) => self.tape.dropout(x, p as f32, seed.stream("dropout", &[name]).random()),
            None => Ok(x.clone()),
        }
    }

    /// Passes tokens through the run's compressor, if it has one.
    ///
    /// # Errors
    /// What the compressor reports.
    pub fn compress(&mut self, mut tokens: Tokens<B>, at: Stage) -> Result<Tokens<B>> {
        let Some(compressor) = self.compressor.filter(|compressor| compressor.acts(at)) else { return Ok(tokens) };
        let (shape, protected) = (tokens.x.shape(), tokens.protected);
        self.following.arrive(&mut tokens);
        let out = compressor.compress(&mut self.tape, tokens, at)?;
        match (&*shape, &*out.x.shape()) {
            (&[b, t, d], &[b2, t2, d2]) if b == b2 && d == d2 && t2 <= t && t2 > 0 && out.protected == protected => {
                self.following.leave(&out);
                Ok(out)
            }
            _ => Err(Error::shape(
                "compressor",
                format!("tokens {shape} became {}: only their number may change, and only fall", out.x.shape()),
            )),
        }
    }
}
