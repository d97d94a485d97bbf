//! Weights that a network begins with instead of drawn ones.

use super::shrink::unit_alive;
use super::{Mask, ParamStore};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::given::Fitted;
use crate::network::init;
use crate::network::layout::Layout;
use crate::seed::Seed;
use crate::tensor::Tensor;

impl<B: Backend> ParamStore<B> {
    /// Takes over given values and masks; `layout` is the model's for the units that are there. What is not given is as
    /// drawn, anew where a removed unit changed its shape. Masks of whole units are those of the units.
    ///
    /// # Errors
    /// If the layout has other parameters; if the device is out of memory.
    pub fn begin(&mut self, layout: Layout, seed: Seed, given: Fitted) -> Result<()> {
        let Fitted { mut values, mut masks, .. } = given;
        for p in &mut self.params {
            let name = p.spec.name.clone();
            let as_drawn = p.spec.shape;
            let missing = || Error::Other(format!("the network with fewer units has no `{name}`"));
            p.spec = layout.spec(&name).ok_or_else(missing)?.clone();
            let shape = p.spec.shape;
            let values = match values.remove(&name) {
                Some(values) => Some(values),
                None if shape == as_drawn => None,
                None => Some(init::values(&name, &shape, p.spec.init, seed)),
            };
            if let Some(values) = values {
                p.value.set(Tensor::from_vec(&self.device, values, shape)?.tracked(!p.spec.buffer));
            }
            p.mask = masks.remove(&name).map(|keep| Mask::new(&self.device, keep, &p.spec)).transpose()?;
        }
        self.layout = layout;
        let masked = |name: &str| self.find(name).and_then(|p| Some(p.mask.as_ref()?.keep()));
        let alive = self.layout.groups.iter().filter_map(|g| unit_alive(&self.layout, g, &masked)).collect();
        self.alive = alive;
        if self.masking.zeroes() {
            self.params.iter_mut().try_for_each(|p| p.zero_masked())?;
        }
        self.close_units()?;
        self.rest()
    }
}
