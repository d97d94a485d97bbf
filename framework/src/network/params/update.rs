//! What a training step changes: values and optimizer state by gradients, and running statistics.

use super::{Mask, ParamStore};
use crate::backend::{Backend, Update, Updated};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

impl<B: Backend> ParamStore<B> {
    /// One optimizer update of every parameter that has a gradient.
    ///
    /// `grad` gives a tensor's gradient: that of a parameter's value, or of its nonzeros where a pass went over these alone.
    /// The first value of `scale` multiplies all of them (clipping). Weight decay
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
        let mut found = vec![];
        for (i, p) in self.params.iter().enumerate().filter(|(_, p)| !p.spec.buffer) {
            let pattern = self.pattern(p).cloned();
            if let Some(grad) = p.moving(pattern.as_ref(), &grad)? {
                found.push((i, pattern, grad));
            }
        }
        let mut next = found.iter().peekable();
        let (mut updated, mut smaller) = (vec![], false);
        for (i, p) in self.params.iter_mut().enumerate() {
            let Some((_, pattern, grad)) = next.next_if(|(of, ..)| *of == i) else { continue };
            match pattern {
                Some(pattern) => {
                    smaller |= p.state.pack(pattern, p.spec.shape)?;
                    // The update moves the nonzeros and lets go of the whole; so may the mask.
                    p.mask.iter_mut().for_each(Mask::rest);
                }
                None => _ = p.state.unpack(p.spec.shape)?,
            }
            p.updates += 1;
            let kept = p.mask.as_ref().map_or(0, |mask| mask.kept);
            let state = p.state.at_least(rule.slots(), p.spec.shape, kept, &self.device)?;
            updated.push(Updated {
                rule: rule.for_param(p.spec.decay, p.updates),
                weight: p.value.moving(pattern.as_ref())?,
                state,
                grad,
                mask: p.mask.as_ref().filter(|_| held && pattern.is_none()).map(Mask::tensor),
            });
        }
        B::update(&mut updated, scale)?;
        if smaller {
            self.device.trim();
        }
        Ok(())
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
            p.value.set(match self.resting.get(&name) {
                Some(resting) => resting.keep(p.value.whole(), &value)?,
                None => value,
            });
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
            p.value.set(value.detach().tracked(true));
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
