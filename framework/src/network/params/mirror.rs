//! A store that shows parameters which live elsewhere: those of the program, seen from a plugin.

use super::{Mask, Masking, Moments, Param, ParamStore, Sparse};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Layout;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashMap};

/// What belongs to one parameter at one moment.
pub(crate) struct Parts<B: Backend> {
    pub value: Tensor<B>,
    /// The mask and how many elements it keeps.
    pub mask: Option<(Tensor<B>, usize)>,
    pub state: Vec<Tensor<B>>,
    pub updates: u64,
    pub dense_count: usize,
}

impl<B: Backend> ParamStore<B> {
    /// A store of this layout without values.
    pub(crate) fn hollow(device: &B, layout: Layout) -> Result<Self> {
        let nothing = Tensor::zeros(device, [0])?;
        let param = |spec: &crate::network::layout::ParamSpec| Param {
            spec: spec.clone(),
            value: nothing.clone().into(),
            mask: None,
            state: Moments::whole(vec![]),
            updates: 0,
            dense_shape: spec.shape,
            dense_count: 0,
        };
        let params = layout.params.iter().map(param).collect();
        let index = layout.params.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let (alive, entering, resting) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let masking = Masking::Held;
        let sparse = Sparse::Off;
        Ok(Self { device: device.clone(), layout, params, index, masking, sparse, alive, entering, resting })
    }

    /// Shows these parameters, in the layout's order.
    pub(crate) fn show(
        &mut self,
        parts: Vec<Parts<B>>,
        masking: Masking,
        alive: BTreeMap<String, Vec<bool>>,
    ) -> Result<()> {
        if parts.len() != self.params.len() {
            return Err(Error::Other(format!("{} parameters for a layout of {}", parts.len(), self.params.len())));
        }
        for (p, parts) in self.params.iter_mut().zip(parts) {
            if parts.value.shape() != p.spec.shape {
                let message = format!("`{}` is {}, its layout says {}", p.spec.name, parts.value.shape(), p.spec.shape);
                return Err(Error::shape("parameter", message));
            }
            p.value.set(parts.value.tracked(!p.spec.buffer));
            p.mask = parts.mask.map(|(tensor, kept)| Mask::shown(tensor, kept));
            p.state = Moments::whole(parts.state);
            p.updates = parts.updates;
            p.dense_count = parts.dense_count;
        }
        let as_before = (self.masking, &self.alive) == (masking, &alive);
        (self.masking, self.alive) = (masking, alive);
        if as_before { Ok(()) } else { self.close_units() }
    }

    /// Lets go of all values.
    pub(crate) fn hide(&mut self) -> Result<()> {
        let nothing = Tensor::zeros(&self.device, [0])?;
        for p in &mut self.params {
            p.value.set(nothing.clone());
            p.mask = None;
            p.state.clear();
        }
        Ok(())
    }

    /// Other values for all parameters, in the layout's order.
    pub(crate) fn set_values(&mut self, values: Vec<Tensor<B>>) -> Result<()> {
        let part = |(p, value): (&Param<B>, Tensor<B>)| {
            let mask = p.mask.as_ref().map(|m| (m.tensor().clone(), m.kept));
            Ok(Parts { value, mask, state: p.state()?, updates: p.updates, dense_count: p.dense_count })
        };
        let parts = self.params.iter().zip(values).map(part).collect::<Result<_>>()?;
        self.show(parts, self.masking, self.alive.clone())
    }

    /// Groups with a list of the units in use.
    pub(crate) fn alive_groups(&self) -> &BTreeMap<String, Vec<bool>> {
        &self.alive
    }
}
