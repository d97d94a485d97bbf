//! What a criterion that needs gradients is shown at a pruning step: the gradients of one training step, and the
//! weights that made them.

use crate::autograd::Grads;
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::Layout;
use crate::network::params::{Masking, Param, ParamStore, cut};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Weights and gradients of one moment, by parameter. They follow what a pruning step does in each of its rounds: what
/// is masked becomes zero, and what is cut out is cut out of them.
pub(in crate::training) struct Shown<B: Backend>(BTreeMap<String, (Tensor<B>, Tensor<B>)>);

impl<B: Backend> Shown<B> {
    /// The gradients of `params`, with the weights as they are now.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn new(params: &ParamStore<B>, grads: &Grads<B>) -> Result<Self> {
        let named = |p: &Param<B>| {
            let gradient = p.gradient(|of| grads.get(of)).transpose()?;
            Some(gradient.map(|gradient| (p.spec().name.clone(), (p.value().clone(), gradient))))
        };
        Ok(Self(params.iter().filter_map(named).collect::<Result<_>>()?))
    }

    /// The weight and the gradient of a parameter, where one reached it.
    pub fn get(&self, name: &str) -> Option<&(Tensor<B>, Tensor<B>)> {
        self.0.get(name)
    }

    /// Follows masks that hold weights at zero.
    pub fn follow_masks(&mut self, params: &ParamStore<B>) -> Result<()> {
        if params.masking() == Masking::Dynamic {
            return Ok(());
        }
        for (name, (weight, _)) in &mut self.0 {
            if let Some(mask) = params.get(name)?.mask() {
                *weight = weight.mul(mask.tensor())?;
            }
        }
        Ok(())
    }

    /// Follows a removal of units from the network that had this layout.
    pub fn follow_cut(&mut self, layout: &Layout, groups: &[(String, Vec<bool>)]) -> Result<()> {
        for spec in &layout.params {
            if let Some((weight, grad)) = self.0.get_mut(&spec.name) {
                (*weight, *grad) = (cut(weight, layout, spec, groups)?, cut(grad, layout, spec, groups)?);
            }
        }
        Ok(())
    }
}
