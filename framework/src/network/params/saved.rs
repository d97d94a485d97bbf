//! Parameters in a checkpoint, and values kept for a rewind.

use super::{Mask, Moments, ParamStore};
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
        Snapshot(self.params.iter().map(|p| (p.spec.name.clone(), p.value.whole().clone())).collect())
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
            if old.shape() != p.value.whole().shape() {
                let message = format!(
                    "`{}` was {} and is {} now; use prune.apply = \"mask\"",
                    p.spec.name,
                    old.shape(),
                    p.value.whole().shape()
                );
                return Err(Error::shape("rewind", message));
            }
            p.value.set(old.clone().tracked(!p.spec.buffer));
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
            let name = &p.spec.name;
            // Where only nonzeros are kept, the rest is zero, and the mask says where.
            match p.state.packed().and_then(|pattern| p.value.nonzeros(pattern).ok()) {
                Some(kept) => to.put(format!("value/{name}"), &kept.shape(), kept.host().into_owned().into()),
                None => to.put(format!("value/{name}"), &p.spec.shape, p.value.whole().host()),
            }
            if let Some(mask) = &p.mask {
                to.put_bits(format!("bits/{name}"), mask.bits());
            }
            for (slot, state) in p.state.tensors().iter().enumerate() {
                to.put(format!("state/{slot}/{name}"), &state.shape(), state.host());
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
            // A byte for each flag is what files of networks and earlier checkpoints have.
            let mask = from.take_bits(&format!("bits/{name}"), p.spec.shape.count());
            let mask = mask.or_else(|| from.take_flags(&format!("mask/{name}")));
            let mut tensor = |key: String| {
                let Some((shape, values)) = from.take(&key) else { return Ok(None) };
                let values = match &mask {
                    _ if shape[..] == p.spec.shape[..] => values,
                    Some(keep) if keep.len() == p.spec.shape.count() => {
                        spread(&shape, values, keep).ok_or_else(foreign)?
                    }
                    _ => return Err(foreign()),
                };
                Tensor::from_vec(&self.device, values, p.spec.shape).map(Some)
            };
            p.value.set(tensor(format!("value/{name}"))?.ok_or_else(foreign)?.tracked(!p.spec.buffer));
            let mut state = vec![];
            while let Some(next) = tensor(format!("state/{}/{name}", state.len()))? {
                state.push(next);
            }
            p.state = Moments::whole(state);
            p.mask = mask.map(|keep| Mask::new(&self.device, keep, &p.spec)).transpose()?;
            // So that no more than one layer is whole at a time.
            let sparse = self.sparse.mask(self.masking, &p.spec, p.mask.as_ref());
            if let Some(pattern) = sparse.and_then(Mask::pattern).cloned() {
                p.state.pack(&pattern, p.spec.shape)?;
                p.value.clear_others(&pattern)?;
                p.mask.iter_mut().for_each(Mask::rest);
            }
        }
        let alive = from.names("alive").into_iter();
        self.alive =
            alive.filter_map(|group| Some((group.clone(), from.take_flags(&format!("alive/{group}"))?))).collect();
        self.layout = layout;
        self.close_units()?;
        self.rest()
    }
}

/// Puts the values of what is kept, in rising order, where they belong; nothing if there are more or fewer of them.
fn spread(shape: &[usize], values: Vec<f32>, keep: &[bool]) -> Option<Vec<f32>> {
    let fits = shape.len() == 1 && values.len() == keep.iter().filter(|keep| **keep).count();
    let mut values = values.into_iter();
    fits.then(|| keep.iter().map(|keep| if *keep { values.next().unwrap_or(0.0) } else { 0.0 }).collect())
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

#[cfg(test)]
mod tests {
    use super::super::{Masking, Sparse};
    use super::*;
    use crate::backend::{Cpu, Update};
    use crate::network::layout::{LayoutBuilder, Sizes, Width};
    use crate::seed::Seed;

    const ADAM: Update =
        Update::Adam { lr: 1e-2, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, decoupled: true, t: 0 };

    /// A layer of 5 inputs and 4 outputs that keeps every third weight, after an update.
    fn updated(sparse: Sparse) -> ParamStore<Cpu> {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("fc", &Width::from(5), &Width::from(4), false);
        let store = ParamStore::new(&Cpu::default(), layout.build().unwrap(), Seed(1), Masking::Held).unwrap();
        let mut store = store.with_sparse(sparse);
        store.set_masks(vec![("fc.weight".into(), (0..20).map(|i| i % 3 == 0).collect())]).unwrap();
        let grad = Tensor::from_vec(&Cpu::default(), (0..20).map(|i| i as f32 - 7.5).collect(), [4, 5]).unwrap();
        let weight = store.get("fc.weight").unwrap().value().id();
        store.step(ADAM, None, |of| (of.id() == weight).then_some(&grad)).unwrap();
        store
    }

    fn saved(store: &ParamStore<Cpu>) -> Archive<'static> {
        let mut archive = Archive::default();
        store.save(&mut archive);
        archive.into_owned()
    }

    /// Value and moments.
    fn found(store: &ParamStore<Cpu>) -> Vec<Vec<f32>> {
        let p = store.get("fc.weight").unwrap();
        std::iter::once(p.value()).chain(&p.state().unwrap()).map(Tensor::to_vec).collect()
    }

    fn loaded(into: &mut ParamStore<Cpu>, updates: &BTreeMap<String, u64>, mut from: Archive<'_>) -> Result<()> {
        let layout = into.layout().clone();
        into.load(layout, updates, &mut from)?;
        assert_eq!(from.untaken(), None);
        Ok(())
    }

    #[test]
    fn a_sparse_layer_saves_its_nonzeros_alone_and_takes_them_or_whole_arrays_back() {
        let (sparse, dense) = (updated(Sparse::Always), updated(Sparse::Off));
        assert_eq!(found(&sparse), found(&dense));
        assert!(found(&sparse).iter().all(|values| values.len() == 20 && values[0] != 0.0 && values[1] == 0.0));
        for key in ["value/fc.weight", "state/0/fc.weight", "state/1/fc.weight"] {
            let shapes = [&sparse, &dense].map(|store| saved(store).take(key).unwrap().0);
            assert_eq!(shapes, [vec![7], vec![4, 5]], "{key}");
        }
        for from in [&sparse, &dense] {
            let mut into = updated(Sparse::Always);
            into.forget_optimizer();
            loaded(&mut into, &from.updates(), saved(from)).unwrap();
            assert_eq!(found(&into), found(&sparse));
        }
    }

    #[test]
    fn masks_are_bits_and_those_of_earlier_checkpoints_bytes() {
        let (store, mut into) = (updated(Sparse::Always), updated(Sparse::Always));
        let keep: Vec<bool> = (0..20).map(|i| i % 3 == 0).collect();
        assert_eq!(saved(&store).take_bits("bits/fc.weight", 20), Some(keep.clone()));
        let mut earlier = saved(&store);
        earlier.take_bits("bits/fc.weight", 20);
        earlier.put_flags("mask/fc.weight".into(), &keep);
        for archive in [saved(&store), earlier] {
            into.set_masks(vec![("fc.weight".into(), vec![true; 20])]).unwrap();
            loaded(&mut into, &store.updates(), archive).unwrap();
            let p = into.get("fc.weight").unwrap();
            // One layer after the other, so that not all are whole at once.
            assert_eq!((p.mask().unwrap().arrays(), p.state.tensors()[0].count()), (0, 7));
            assert_eq!((found(&into), p.mask().unwrap().keep()), (found(&store), &keep[..]));
        }
        let mut short = saved(&store);
        short.put_bits("bits/fc.weight".into(), vec![0; 2]);
        let error = loaded(&mut into, &store.updates(), short).unwrap_err().to_string();
        assert!(error.contains("does not hold `fc.weight` as this network has it"), "{error}");
    }

    #[test]
    fn nonzeros_for_another_mask_are_refused() {
        let mut store = updated(Sparse::Always);
        let mut archive = saved(&store);
        archive.put("value/fc.weight".into(), &[6], vec![1.0; 6].into());
        let error = loaded(&mut store.clone(), &store.updates(), archive).unwrap_err().to_string();
        assert!(error.contains("does not hold `fc.weight` as this network has it"), "{error}");
        let mut unmasked = saved(&store);
        unmasked.take_bits("bits/fc.weight", 20).unwrap();
        let updates = store.updates();
        assert!(loaded(&mut store, &updates, unmasked).is_err());
    }
}
