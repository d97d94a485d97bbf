//! What a training step changes: values and optimizer state by gradients, and running statistics.

use super::nonzeros::alone;
use super::{Mask, ParamStore};
use crate::backend::{Backend, Update, Updated};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::sync::Arc;

impl<B: Backend> ParamStore<B> {
    /// One optimizer update of every parameter that has a gradient.
    ///
    /// `grad` gives a parameter's gradient, the first value of `scale` multiplies all of them (clipping). Weight decay
    /// is left out where the parameter's spec says so.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn step<'g>(
        &mut self,
        rule: Update,
        scale: Option<&Tensor<B>>,
        grad: impl Fn(&Tensor<B>) -> Option<&'g Tensor<B>>,
    ) -> Result<()> {
        let held = self.masking.zeroes();
        let (masking, sparse) = (self.masking, self.sparse);
        let mut updated = vec![];
        for p in self.params.iter_mut().filter(|p| !p.spec.buffer) {
            let Some(grad) = grad(&p.value) else { continue };
            let nonzeros = sparse.mask(masking, &p.spec, p.mask.as_ref()).and_then(Mask::pattern);
            match nonzeros {
                Some(pattern) if p.state.pack(pattern, p.spec.shape)? => p.value = alone(&p.value, pattern)?,
                Some(_) => {}
                None => _ = p.state.unpack(p.spec.shape)?,
            }
            p.updates += 1;
            let kept = p.mask.as_ref().map_or(0, |mask| mask.kept);
            let state = p.state.at_least(rule.slots(), p.spec.shape, kept, &self.device)?;
            updated.push(Updated {
                rule: rule.for_param(p.spec.decay, p.updates),
                weight: &mut p.value,
                state,
                grad,
                mask: p.mask.as_ref().filter(|_| held).map(Mask::tensor),
                nonzeros: nonzeros.map(Arc::as_ref),
            });
        }
        B::update(&mut updated, scale)
    }

    /// Takes over the buffers (running statistics) that a forward pass moved, but for those of channels that rest.
    ///
    /// # Errors
    /// If one is no buffer of the network, or does not have its shape.
    pub fn set_buffers(&mut self, buffers: Vec<(String, Tensor<B>)>) -> Result<()> {
        for (name, value) in buffers {
            let i = self.position(&name)?;
            let p = &mut self.params[i];
            if !p.spec.buffer || value.shape() != p.spec.shape {
                let message = format!("`{name}` {} cannot become {}", p.spec.shape, value.shape());
                return Err(Error::shape("buffers", message));
            }
            p.value = match self.resting.get(&name) {
                Some(resting) => resting.keep(&p.value, &value)?,
                None => value,
            };
        }
        Ok(())
    }

    /// Takes over weights that a criterion fitted anew. Held masks hold for them too; optimizer state stays as it is.
    ///
    /// # Errors
    /// If one is no parameter of the network, does not have its shape, or is not finite.
    pub fn refit(&mut self, weights: Vec<(String, Tensor<B>)>) -> Result<()> {
        for (name, value) in weights {
            let i = self.position(&name)?;
            let p = &mut self.params[i];
            if p.spec.buffer || value.shape() != p.spec.shape {
                let message = format!("`{name}` {} cannot become {}", p.spec.shape, value.shape());
                return Err(Error::shape("refit", message));
            }
            if !B::norm_squared(&value)?.is_finite() {
                return Err(Error::Other(format!("a refitted weight of `{name}` is not finite")));
            }
            p.value = value.detach().tracked(true);
            if self.masking.zeroes() {
                p.zero_masked()?;
            }
        }
        Ok(())
    }

    /// Drops all optimizer state.
    pub fn forget_optimizer(&mut self) {
        for p in &mut self.params {
            p.state.clear();
            p.updates = 0;
        }
    }
}
