//! Convolutions, by name.

use super::{Forward, LayerOperation};
use crate::backend::{Act, Backend, Conv2d, ConvTranspose2d, Pool, Weight};
use crate::error::Result;
use crate::tensor::Tensor;

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
    /// Convolution `name` with its activation and pooling: `x [batch, in, rows, columns]` -> `[batch, out, ...]`; in as
    /// many groups as its weight was declared with ([`ParamSpec::groups`](crate::network::layout::ParamSpec::groups)).
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn conv2d(&mut self, name: &str, x: &Tensor<B>, options: ConvOptions, act: Act) -> Result<Tensor<B>> {
        self.convolution(name, None, x, options, act)
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
        self.convolution(name, Some(norm), x, options, act)
    }

    fn convolution(
        &mut self,
        name: &str,
        norm: Option<&str>,
        x: &Tensor<B>,
        options: ConvOptions,
        act: Act,
    ) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let w = self.layer_weight(&weight_name)?;
        let (kept, groups) = (self.params.get(&weight_name)?.kept(), self.params.get(&weight_name)?.spec().groups);
        let b = self.bias(name)?;
        self.taps.input(name, x);
        let ConvOptions { stride, padding, pool } = options;
        self.count(&weight_name, positions(x, &w, stride, padding), kept, w.value.count());
        let act_apart = norm.is_some() || act != Act::None && (act.needs_pre(false) || self.taps.before_activation());
        let pool_apart = pool && (act_apart || self.taps.before_end());
        let fused = (if act_apart { Act::None } else { act }, pool && !pool_apart);
        let listed = if norm.is_some() { (Act::None, false) } else { (act, pool) };
        self.list(name, LayerOperation::Conv2d { stride, padding, groups, act: listed.0, pool: listed.1 });
        let (x, w) = (x.clone(), w.clone());
        let product = Conv2d { x, w, b, stride, padding, groups, act: fused.0, pool: fused.1 };
        let unfused = Conv2d { act: Act::None, pool: false, ..product.clone() };
        let z = self.tape.conv2d(product)?;
        // Where one of these is wanted, nothing was fused into `z`.
        self.taps.product(name, &z);
        let operation = norm.map(|norm| self.batch_norm_operation(norm, &z)).transpose()?;
        let z = match operation {
            None => z,
            Some(norm) => {
                let y = self.tape.batch_norm(norm.clone())?;
                self.tape.note_conv2d_norm(&unfused, &norm, &y)?;
                y
            }
        };
        self.tape.name_call(name, z.id());
        self.taps.preactivation(name, &z);
        let output = if act_apart && act != Act::None { self.tape.act(&z, act)? } else { z };
        self.taps.output(name, &output, &mut self.tape);
        let y = if pool_apart { self.tape.pool(&output, Pool::HALVING)? } else { output };
        if let Some(norm) = norm {
            if act != Act::None {
                self.list(norm, LayerOperation::Activation { act });
            }
            if pool {
                self.list(norm, LayerOperation::MaxPool { kernel: 2, stride: 2, padding: 0 });
            }
        }
        Ok(y)
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
        let w = self.layer_weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        let b = self.bias(name)?;
        self.taps.input(name, x);
        self.list(name, LayerOperation::ConvTranspose2d { stride, padding, act });
        let act_apart = act != Act::None && (act.needs_pre(false) || self.taps.before_activation());
        let fused = if act_apart { Act::None } else { act };
        let op = ConvTranspose2d { x: x.clone(), w: w.clone(), b, stride, padding, act: fused };
        let z = self.tape.conv_transpose2d(op)?;
        // Every pixel of the input meets every weight of its channel.
        let pixels = x.count() / w.value.shape().first().copied().unwrap_or(1).max(1);
        self.count(&weight_name, pixels, kept, w.value.count());
        // Where one of these is wanted, nothing was fused into `z`.
        self.tape.name_call(name, z.id());
        self.taps.product(name, &z);
        self.taps.preactivation(name, &z);
        let y = if act_apart { self.tape.act(&z, act)? } else { z };
        self.taps.output(name, &y, &mut self.tape);
        Ok(y)
    }
}

/// How often each weight of a convolution is used.
fn positions<B: Backend>(x: &Tensor<B>, w: &Weight<B>, stride: usize, padding: usize) -> usize {
    match (&*x.shape(), &*w.value.shape()) {
        (&[batch, _, height, width], &[_, _, rows, cols]) => {
            let windows = |side: usize, kernel: usize| {
                (side + 2 * padding).checked_sub(kernel).map_or(0, |room| room / stride.max(1) + 1)
            };
            batch * windows(height, rows) * windows(width, cols)
        }
        _ => 0,
    }
}
