//! Recorded forms of transposed convolution, pooling, batch normalisation, and the parts of a variational loss.

use super::Tape;
use crate::backend::Backend;
use crate::backend::images::{BatchNorm, ConvTranspose2d, Pool};
use crate::backend::vision::LayerGrads;
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Transposed convolution with its activation: `[batch, in, rows, columns]` -> `[batch, out, (rows - 1) stride - 2 padding + kernel, ...]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn conv_transpose2d(&mut self, op: ConvTranspose2d<B>) -> Result<Tensor<B>> {
        let y = B::conv_transpose2d(&op)?;
        let mut inputs = vec![&op.x, &op.w.value];
        inputs.extend(op.b.iter());
        if !self.wants(&inputs) {
            return Ok(y);
        }
        let output = y.clone();
        Ok(self.record(y, move |dy, grads| {
            let (mut x, mut w) = (grads.slot(&op.x), grads.slot(&op.w.value));
            let mut b = op.b.as_ref().and_then(|b| grads.slot(b));
            let wanted = LayerGrads { x: x.as_mut(), w: w.as_mut(), b: b.as_mut() };
            B::conv_transpose2d_backward(&op, &output, &dy, wanted)?;
            grads.fill(&op.x, x);
            grads.fill(&op.w.value, w);
            op.b.iter().for_each(|bias| grads.fill(bias, b.take()));
            Ok(())
        }))
    }

    /// Pooling over windows of each channel of `[batch, channels, rows, columns]`.
    ///
    /// # Errors
    /// If the windows do not fit.
    pub fn pool(&mut self, x: &Tensor<B>, pool: Pool) -> Result<Tensor<B>> {
        let (y, argmax) = B::pool(x, pool)?;
        self.through(x, y, move |x, dy, slot| B::pool_backward(x, pool, argmax.as_ref(), dy, slot))
    }

    /// Batch normalisation of `[batch, channels, ...]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn batch_norm(&mut self, op: BatchNorm<B>) -> Result<Tensor<B>> {
        let y = B::batch_norm(&op)?;
        if !self.wants(&[&op.x, &op.gamma, &op.beta]) {
            return Ok(y);
        }
        Ok(self.record(y, move |dy, grads| {
            let (mut dx, mut dg, mut db) = (grads.slot(&op.x), grads.slot(&op.gamma), grads.slot(&op.beta));
            let wanted = LayerGrads { x: dx.as_mut(), w: dg.as_mut(), b: db.as_mut() };
            B::batch_norm_backward(&op, &dy, wanted)?;
            grads.fill(&op.x, dx);
            grads.fill(&op.gamma, dg);
            grads.fill(&op.beta, db);
            Ok(())
        }))
    }

    /// Binary cross-entropy of logits against targets in [0, 1], `scale` times the sum: a scalar.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn bce_logits(&mut self, logits: &Tensor<B>, targets: &Tensor<B>, scale: f32) -> Result<Tensor<B>> {
        let (value, grads) = B::bce_logits(logits, targets, scale, self.wants(&[logits]))?;
        self.sum([logits], value, grads)
    }

    /// Divergence of N(mu, e^logvar) from N(0, 1), `scale` times the sum: a scalar.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn gaussian_kld(&mut self, mu: &Tensor<B>, logvar: &Tensor<B>, scale: f32) -> Result<Tensor<B>> {
        let (value, grads) = B::gaussian_kld(mu, logvar, scale, self.wants(&[mu, logvar]))?;
        self.sum([mu, logvar], value, grads)
    }

    /// A sample `mu + e^(logvar / 2) noise` that both parameters get a gradient through; the noise is a constant.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn reparametrise(&mut self, mu: &Tensor<B>, logvar: &Tensor<B>, noise: &Tensor<B>) -> Result<Tensor<B>> {
        let z = B::reparametrise(mu, logvar, noise)?;
        if !self.wants(&[mu, logvar]) {
            return Ok(z);
        }
        let (mu, logvar, noise) = (mu.clone(), logvar.clone(), noise.clone());
        Ok(self.record(z, move |dy, grads| {
            if logvar.is_tracked() {
                grads.add(&logvar, B::reparametrise_backward(&logvar, &noise, &dy)?)?;
            }
            if mu.is_tracked() { grads.add(&mu, dy) } else { Ok(()) }
        }))
    }

    /// A scalar that came with its gradients.
    fn sum<const N: usize>(
        &mut self,
        inputs: [&Tensor<B>; N],
        y: Tensor<B>,
        gradients: Option<[Tensor<B>; N]>,
    ) -> Result<Tensor<B>> {
        let Some(gradients) = gradients else { return Ok(y) };
        let inputs = inputs.map(Tensor::clone);
        Ok(self.record(y, move |dy, grads| {
            for (input, gradient) in inputs.iter().zip(gradients).filter(|(i, _)| i.is_tracked()) {
                grads.add(input, B::scale_by(gradient, &dy)?)?;
            }
            Ok(())
        }))
    }
}
