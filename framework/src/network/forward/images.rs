//! Layers with batch statistics, and of networks that make images, by name.

use super::{Forward, Windows};
use crate::autograd::Tape;
use crate::backend::images::{BatchNorm, ChannelStats, ConvTranspose2d};
use crate::backend::{Act, Backend, Weight};
use crate::error::Result;
use crate::tensor::Tensor;
use rand_distr::{Distribution as _, StandardNormal};
use std::rc::Rc;

/// Share of a batch in the running statistics (PyTorch's default).
const MOMENTUM: f32 = 0.1;
const EPS: f32 = 1e-5;

impl<B: Backend> Forward<'_, B> {
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

    /// Convolution, batch normalisation `norm`, activation, and where wanted a 2x2 maximum.
    ///
    /// # Errors
    /// If a layer does not exist, or `x` does not fit it.
    pub fn conv2d_norm(
        &mut self,
        name: &str,
        norm: &str,
        x: &Tensor<B>,
        windows: Windows,
        act: Act,
    ) -> Result<Tensor<B>> {
        use crate::backend::images::{Pool, Pooling};
        let y = self.conv2d(name, x, Windows { pool: false, ..windows }, Act::None)?;
        let y = self.batch_norm(norm, &y)?;
        let y = if act == Act::None { y } else { self.tape.act(&y, act)? };
        if !windows.pool {
            return Ok(y);
        }
        self.tape.pool(&y, Pool { kind: Pooling::Max, kernel: 2, stride: 2, padding: 0 })
    }

    /// Batch normalisation `name` of `x [batch, channels, ...]`: by the batch's statistics while training, which also move the
    /// running ones; by the running ones in evaluation.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn batch_norm(&mut self, name: &str, x: &Tensor<B>) -> Result<Tensor<B>> {
        let names = ["running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        let running = ChannelStats { mean: self.param(&names[0])?, variance: self.param(&names[1])? };
        let (gamma, beta) = (self.param(&format!("{name}.weight"))?, self.param(&format!("{name}.bias"))?);
        let of_batch = self.is_training();
        let stats = if of_batch { B::channel_stats(x)? } else { running.clone() };
        if of_batch {
            let count = x.count() / stats.mean.count().max(1);
            let next = B::running_stats(&running, &stats, count, MOMENTUM)?;
            self.buffers.extend(names.into_iter().zip([next.mean, next.variance]));
        }
        self.tape.batch_norm(BatchNorm { x: x.clone(), gamma, beta, stats, of_batch, eps: EPS })
    }

    /// A sample of N(mu, e^logvar) while training; `mu` itself in evaluation.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn sample(&mut self, name: &str, mu: &Tensor<B>, logvar: &Tensor<B>) -> Result<Tensor<B>> {
        let Some(seed) = self.noise else { return Ok(mu.clone()) };
        let noise = StandardNormal.sample_iter(seed.stream("sample", &[name])).take(mu.count()).collect();
        let noise = Tensor::from_vec(mu.device(), noise, mu.shape())?;
        self.tape.reparametrise(mu, logvar, &noise)
    }

    /// The buffers (running statistics) that this pass moved: what the parameter store takes over after the step.
    pub fn take_buffers(&mut self) -> Vec<(String, Tensor<B>)> {
        std::mem::take(&mut self.buffers)
    }
}
