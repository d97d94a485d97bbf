//! Training on with shared weights.

use super::SharedWeights;
use crate::backend::{Backend, Precision};
use crate::data::{Dataset, Order, SplitName};
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::network::model::Batch;
use crate::network::params::ParamStore;
use crate::seed::Seed;
use crate::training::{Pass, Task, next_batch};
use std::num::NonZeroUsize;

/// How shared values are trained on: by stochastic gradient descent at a constant rate. Masks stay, and so do biases and
/// norms; running statistics follow the batches as in any training.
#[derive(Debug, Clone, Copy)]
pub struct TrainOn {
    /// Passes over the training data.
    pub epochs: u64,
    /// Learning rate.
    pub lr: f64,
    /// Examples in a step.
    pub batch_size: NonZeroUsize,
    /// Label smoothing of the cross-entropy.
    pub label_smoothing: f64,
    /// Where batches and noise come from.
    pub seed: Seed,
}

impl TrainOn {
    /// Trains; tells each epoch, from 0, and the mean of its losses.
    ///
    /// # Errors
    /// A loss that is not finite; what the model reports; if the device is out of memory.
    pub fn train<B: Backend>(
        &self,
        task: &Task<'_, B>,
        data: &Dataset,
        params: &mut ParamStore<B>,
        shared: &mut SharedWeights,
        told: &mut dyn FnMut(u64, f64),
    ) -> Result<()> {
        let (shuffle, mut step) = (self.seed.derive("shuffle", &["shared weights"]).0, 0_u64);
        for epoch in 0..self.epochs {
            let order = Order::Shuffled { seed: shuffle, epoch };
            let mut batches = data.batches(SplitName::Train, self.batch_size, order);
            let (mut total, mut examples) = (0.0, 0);
            while let Some(batch) = next_batch(params.device(), data, &mut batches)? {
                let noise = self.seed.derive("noise", &["shared weights", &step.to_string()]);
                let loss = self.step(task, &batch, params, shared, noise)?;
                if !loss.is_finite() {
                    return Err(Error::NotFinite { what: "the loss".into(), value: loss, step });
                }
                total += loss * batch.len() as f64;
                (examples, step) = (examples + batch.len(), step + 1);
            }
            told(epoch, total / examples.max(1) as f64);
        }
        shared.read_from(params)
    }

    /// One step; gives the loss before it.
    fn step<B: Backend>(
        &self,
        task: &Task<'_, B>,
        batch: &Batch<B>,
        params: &mut ParamStore<B>,
        shared: &SharedWeights,
        noise: Seed,
    ) -> Result<f64> {
        let pass = Pass::new(task, (self.label_smoothing, Precision::F32), params, batch, (Needs::WEIGHTS, noise))?;
        shared.step(params, &pass.grads, self.lr as f32)?;
        params.set_buffers(pass.buffers)?;
        Ok(f64::from(pass.metrics.host().first().copied().unwrap_or(f32::NAN)))
    }
}
