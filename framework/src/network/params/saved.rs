//! Parameters in a checkpoint, and values kept for a rewind.

use super::{Mask, ParamStore};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Layout;
use crate::state::Archive;
use crate::tensor::{Shape, Tensor};
use std::collections::BTreeMap;

/// The values of all parameters at one step, to which a run may go back.
#[derive(Debug, Clone)]
pub struct Snapshot<B: Backend>(pub(super) BTreeMap<String, Tensor<B>>);

impl<B: Backend> ParamStore<B> {
    /// The values as they are now; shares memory with this store until one of them changes.
    pub fn snapshot(&self) -> Snapshot<B> {
        Snapshot(self.params.iter().map(|p| (p.spec.name.clone(), p.value.clone())).collect())
    }

    /// Brings back earlier values under today's masks; the optimizer starts anew.
    ///
    /// # Errors
    /// If the networks differ in size: units that were cut out cannot be rewound.
    pub fn rewind(&mut self, to: &Snapshot<B>) -> Result<()> {
        for p in &mut self.params {
            let Some(old) = to.0.get(&p.spec.name) else {
                return Err(Error::Other(format!("no value of `{}` was kept for the rewind", p.spec.name)));
            };
            if old.shape() != p.value.shape() {
                let message = format!(
                    "`{}` was {} and is {} now; use prune.apply = \"mask\"",
                    p.spec.name,
                    old.shape(),
                    p.value.shape()
                );
                return Err(Error::shape("rewind", message));
            }
            p.value = old.clone().tracked(!p.spec.buffer);
            if self.masking.zeroes() {
                p.zero_masked()?;
            }
        }
        self.forget_optimizer();
        self.soften()
    }

    /// Puts everything that changes while a run goes on into an archive.
    pub(crate) fn save<'a>(&'a self, to: &mut Archive<'a>) {
        for p in &self.params {
            let (name, shape) = (&p.spec.name, p.spec.shape);
            to.put(format!("value/{name}"), &shape, p.value.host());
            if let Some(mask) = &p.mask {
                to.put_flags(format!("mask/{name}"), mask.keep());
            }
            for (slot, state) in p.state.iter().enumerate() {
                to.put(format!("state/{slot}/{name}"), &shape, state.host());
            }
        }
        for (group, alive) in &self.alive {
            to.put_flags(format!("alive/{group}"), alive);
        }
    }

    /// Optimizer updates of every parameter.
    pub(crate) fn updates(&self) -> BTreeMap<String, u64> {
        self.params.iter().map(|p| (p.spec.name.clone(), p.updates)).collect()
    }

    /// Takes back what [`ParamStore::save`] put there; `layout` is the model's for the units that were left.
    ///
    /// # Errors
    /// If it belongs to another network.
    pub(crate) fn load(
        &mut self,
        layout: Layout,
        updates: &BTreeMap<String, u64>,
        from: &mut Archive<'_>,
    ) -> Result<()> {
        for p in &mut self.params {
            let name = p.spec.name.clone();
            let foreign = || Error::Checkpoint(format!("does not hold `{name}` as this network has it"));
            p.spec = layout.spec(&name).ok_or_else(foreign)?.clone();
            p.updates = *updates.get(&name).ok_or_else(foreign)?;
            let mut tensor = |key: String| match from.take(&key) {
                Some((shape, values)) if shape[..] == p.spec.shape[..] => {
                    Tensor::from_vec(&self.device, values, p.spec.shape).map(Some)
                }
                Some(_) => Err(foreign()),
                None => Ok(None),
            };
            p.value = tensor(format!("value/{name}"))?.ok_or_else(foreign)?.tracked(!p.spec.buffer);
            p.state.clear();
            while let Some(state) = tensor(format!("state/{}/{name}", p.state.len()))? {
                p.state.push(state);
            }
            let mask = from.take_flags(&format!("mask/{name}"));
            p.mask = mask.map(|keep| Mask::new(&self.device, keep, &p.spec)).transpose()?;
        }
        let alive = from.names("alive").into_iter();
        self.alive =
            alive.filter_map(|group| Some((group.clone(), from.take_flags(&format!("alive/{group}"))?))).collect();
        self.layout = layout;
        self.close_units()?;
        self.rest()
    }
}

impl<B: Backend> Snapshot<B> {
    /// Puts the values under `prefix/`.
    pub(crate) fn save<'a>(&'a self, prefix: &str, to: &mut Archive<'a>) {
        for (name, value) in &self.0 {
            to.put(format!("{prefix}/{name}"), &value.shape(), value.host());
        }
    }

    /// Takes the values back.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub(crate) fn load(device: &B, prefix: &str, from: &mut Archive<'_>) -> Result<Self> {
        let names = from.names(prefix).into_iter();
        let values = names.filter_map(|name| {
            let (shape, values) = from.take(&format!("{prefix}/{name}"))?;
            let shape = Shape::try_from(shape).map_err(Error::Checkpoint);
            Some(shape.and_then(|shape| Ok((name, Tensor::from_vec(device, values, shape)?))))
        });
        Ok(Self(values.collect::<Result<_>>()?))
    }
}
