//! Normalisations as maps: what they divide by is held as it was in the pass.

use super::{Mapping, Operation, Part, of_sign};
use crate::autograd::Tape;
use crate::backend::{Act, Backend, BatchNorm, ChannelStats, Weight};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> BatchNorm<B> {
    /// What each channel is multiplied by: gamma / sqrt(variance + eps).
    pub(super) fn scale(&self) -> Result<Tensor<B>> {
        let n = self.gamma.count();
        let zeros = || Tensor::zeros(self.gamma.device(), [n]);
        let ones = Tensor::from_vec(self.gamma.device(), vec![1.0; n], [n])?;
        let stats = ChannelStats { mean: zeros()?, variance: self.stats.variance.clone() };
        let x = self.gamma.detach().reshape([1, n])?;
        let of_gamma = Self { x, gamma: ones, beta: zeros()?, stats, of_batch: false, eps: self.eps };
        B::batch_norm(&of_gamma)?.reshape([n])
    }

    /// What is added to each channel then: beta - scale mean.
    pub(super) fn shift(&self) -> Result<Tensor<B>> {
        self.beta.sub(&self.scale()?.mul(&self.stats.mean)?)
    }

    /// `x` with every channel times `scale`, plus `shift`.
    pub(super) fn scaling(&self, x: &Tensor<B>, scale: &Tensor<B>, shift: Option<&Tensor<B>>) -> Result<Self> {
        let (n, device) = (scale.count(), scale.device());
        let stats =
            ChannelStats { mean: Tensor::zeros(device, [n])?, variance: Tensor::from_vec(device, vec![1.0; n], [n])? };
        let beta = shift.map_or_else(|| Tensor::zeros(device, [n]), |shift| Ok(shift.clone()))?;
        Ok(Self { x: x.clone(), gamma: scale.clone(), beta, stats, of_batch: false, eps: 0.0 })
    }
}

impl<B: Backend> Tape<B> {
    /// Notes a batch normalisation of its own.
    pub(in crate::autograd) fn note_batch_norm(&mut self, op: &BatchNorm<B>, y: &Tensor<B>) -> Result<()> {
        let BatchNorm { x, gamma, beta, stats, eps, .. } = op;
        self.write_down(Operation::BatchNorm { eps: *eps }, &[x, gamma, beta, &stats.mean, &stats.variance], &[y]);
        let (scale, shift, op) = (op.scale()?, op.shift()?, op.clone());
        self.note(&[&op.x.clone()], y, Mapping::Linear, move |tape, inputs, part| {
            let x = &inputs[0];
            let map = match part {
                Part::Constant => op.scaling(&Tensor::zeros(x.device(), x.shape())?, &scale, Some(&shift))?,
                _ => op.scaling(x, &of_sign(part, &scale)?, None)?,
            };
            tape.batch_norm(map).map(Some)
        });
        Ok(())
    }

    /// Notes a layer normalisation; `stats [rows, 2]` are the mean and 1 / deviation of each row.
    pub(in crate::autograd) fn note_layer_norm(
        &mut self,
        x: &Tensor<B>,
        (gamma, beta): (&Tensor<B>, &Tensor<B>),
        stats: &Tensor<B>,
        y: &Tensor<B>,
    ) -> Result<()> {
        let n = gamma.count();
        let rows = x.count() / n.max(1);
        let (gamma, beta) = (gamma.detach().reshape([1, n])?, beta.detach());
        // What each centred value is multiplied by.
        let scale = stats.reshape([rows, 2])?.select(1, &[1])?.matmul(false, &gamma, false)?;
        let (shape, whole) = (y.shape(), [rows, n]);
        self.note(&[x], y, Mapping::Linear, move |tape, inputs, part| {
            let x = inputs[0].reshape(whole)?;
            let y = match part {
                Part::Constant => {
                    let (x, w) = (Tensor::zeros(x.device(), [rows, 1])?, Tensor::zeros(x.device(), [n, 1])?);
                    tape.linear(&x, Weight::plain(w), Some(beta.clone()), Act::None, None)?
                }
                Part::All => {
                    let centred = centre(tape, &x, Part::All)?;
                    tape.mul(&centred, &scale)?
                }
                Part::Positive | Part::Negative => {
                    let other = if part == Part::Positive { Part::Negative } else { Part::Positive };
                    let same = centre(tape, &x, Part::Positive)?;
                    let same = tape.mul(&same, &of_sign(part, &scale)?)?;
                    let turned = centre(tape, &x, Part::Negative)?;
                    let turned = tape.mul(&turned, &of_sign(other, &scale)?)?;
                    tape.add(&same, &turned)?
                }
            };
            y.reshape(shape).map(Some)
        });
        Ok(())
    }
}

/// `x - mean(x)` of each row of `x [rows, n]`: with (n - 1) / n of a value itself, and minus 1 / n of every other one.
fn centre<B: Backend>(tape: &mut Tape<B>, x: &Tensor<B>, part: Part) -> Result<Tensor<B>> {
    let n = x.shape().around(1).1;
    let others = -1.0 / n as f32;
    let coefficient = |i: usize| if i.is_multiple_of(n + 1) { 1.0 + others } else { others };
    let w = Tensor::from_vec(x.device(), (0..n * n).map(coefficient).collect(), [n, n])?;
    tape.linear(x, Weight::plain(of_sign(part, &w)?), None, Act::None, None)
}
