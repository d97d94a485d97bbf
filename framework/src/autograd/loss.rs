//! Losses on the tape: scalars that come with their gradients.

use super::Tape;
use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// A scalar whose gradient with respect to `x` is known already: losses computed together with their gradient.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn known(&mut self, x: &Tensor<B>, value: f32, gradient: Tensor<B>) -> Result<Tensor<B>> {
        let y = Tensor::from_vec(x.device(), vec![value], [1])?;
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| grads.add(&x, B::scale_by(gradient, &dy)?)))
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
        if self.traces() {
            // The noise times its deviation, which each comes from one value of `logvar`.
            let away = z.sub(mu)?.tracked(true);
            self.note_elementwise(logvar, &away);
            self.note_positive(&[mu, &away], &z, |tape, inputs| tape.add(&inputs[0], &inputs[1]));
        }
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
