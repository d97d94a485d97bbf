//! The parameters of a run: values, masks and optimizer state by name. The only state that changes while a run goes on.

mod given;
mod mask;
mod mirror;
mod moments;
mod nonzeros;
mod resting;
mod saved;
mod shrink;
mod update;
mod values;

pub use mask::Mask;
pub(crate) use mirror::Parts;
use moments::Moments;
pub use nonzeros::Sparse;
use resting::Resting;
pub use saved::Snapshot;
pub(crate) use shrink::cut;
use values::Values;

use crate::backend::{Backend, Weight};
use crate::error::{Error, Result};
use crate::network::init;
use crate::network::layout::{Layout, ParamSpec, UnitGroup};
use crate::seed::Seed;
use crate::tensor::{Shape, Tensor};
use std::collections::{BTreeMap, HashMap};

/// One parameter with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct Param<B: Backend> {
    spec: ParamSpec,
    value: Values<B>,
    mask: Option<Mask<B>>,
    state: Moments<B>,
    updates: u64,
    dense_shape: Shape,
    dense_count: usize,
}

impl<B: Backend> Param<B> {
    /// Name, shape and what may be done with it.
    pub fn spec(&self) -> &ParamSpec {
        &self.spec
    }

    /// Values; with dynamic masks the dense ones, pruned weights included.
    pub fn value(&self) -> &Tensor<B> {
        self.value.whole()
    }

    /// The mask, if anything was ever masked.
    pub fn mask(&self) -> Option<&Mask<B>> {
        self.mask.as_ref()
    }

    /// Optimizer state: momentum, or first and second moment, each in the parameter's shape.
    ///
    /// # Errors
    /// If the device is out of memory: of a layer that goes over its nonzeros alone the state is kept for these, and put
    /// together here.
    pub fn state(&self) -> Result<Vec<Tensor<B>>> {
        self.state.unpacked(self.spec.shape)
    }

    /// Elements that are not masked out.
    pub fn kept(&self) -> usize {
        self.mask.as_ref().map_or(self.spec.shape.count(), Mask::kept)
    }

    /// Elements before anything was removed.
    pub fn dense_count(&self) -> usize {
        self.dense_count
    }

    /// Shape before anything was removed.
    pub fn dense_shape(&self) -> Shape {
        self.dense_shape
    }

    /// Optimizer updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }
}

/// What pruned weights do between pruning steps, and whether they can come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Masking {
    /// Pruned weights are zero and stay zero.
    Held,
    /// Pruned weights are zero until a pruning step brings them back; they learn from zero then, with fresh optimizer
    /// state (Evci et al. 2020, RigL; Peste et al. 2021, AC/DC).
    Returning,
    /// Pruned weights get the dense gradient and can return; the forward pass multiplies by the mask.
    Dynamic,
}

/// All parameters of a network.
#[derive(Debug, Clone)]
pub struct ParamStore<B: Backend> {
    device: B,
    layout: Layout,
    params: Vec<Param<B>>,
    index: HashMap<String, usize>,
    masking: Masking,
    sparse: Sparse,
    alive: BTreeMap<String, Vec<bool>>,
    /// What an evaluation masks while masked units keep learning: the weights that read them, and where something else
    /// reads them as well those that compute them.
    entering: HashMap<String, Tensor<B>>,
    /// Running statistics of channels without a weight, which stay as they are until a weight returns.
    resting: HashMap<String, Resting<B>>,
}

impl<B: Backend> ParamStore<B> {
    /// Initialises every parameter of `layout`, each from its own random stream.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn new(device: &B, layout: Layout, seed: Seed, masking: Masking) -> Result<Self> {
        let make = |spec: &ParamSpec| {
            let value = Tensor::from_vec(device, init::values(&spec.name, &spec.shape, spec.init, seed), spec.shape)?
                .tracked(!spec.buffer);
            let (dense_shape, dense_count) = (spec.shape, spec.shape.count());
            Ok(Param {
                dense_shape,
                dense_count,
                value: value.into(),
                spec: spec.clone(),
                mask: None,
                state: Moments::whole(vec![]),
                updates: 0,
            })
        };
        let params: Vec<_> = layout.params.iter().map(make).collect::<Result<_>>()?;
        let index = layout.params.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect();
        let (alive, entering, resting) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let sparse = Sparse::Off;
        Ok(Self { device: device.clone(), layout, params, index, masking, sparse, alive, entering, resting })
    }

    /// Where the parameters are.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// Parameters and groups at their current size.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether pruned weights keep learning.
    pub fn masking(&self) -> Masking {
        self.masking
    }

    /// The same network with held masks: what is masked is zero in it, on every side of a unit.
    pub(crate) fn holding(&self) -> Self {
        Self { masking: Masking::Held, entering: HashMap::new(), ..self.clone() }
    }

    /// Every parameter, in the model's order.
    pub fn iter(&self) -> impl Iterator<Item = &Param<B>> {
        self.params.iter()
    }

    /// The parameter of that name.
    ///
    /// # Errors
    /// If there is none; the message lists what there is.
    pub fn get(&self, name: &str) -> Result<&Param<B>> {
        self.find(name).ok_or_else(|| {
            let known: Vec<&str> = self.params.iter().map(|p| p.spec.name.as_str()).collect();
            Error::Other(format!("parameter `{name}`: {}", crate::options::unknown("parameter", name, &known)))
        })
    }

    /// The parameter of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Param<B>> {
        self.index.get(name).map(|&i| &self.params[i])
    }

    /// A parameter as a layer uses it. Held masks are in the values; a dynamic mask goes along with the weight. Of
    /// dynamic masks of whole units the layers that read them carry the mask.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn weight(&self, name: &str) -> Result<Weight<B>> {
        let p = self.get(name)?;
        let mask = match self.masking {
            Masking::Held | Masking::Returning => None,
            Masking::Dynamic if self.units_learn() => self.entering.get(name).cloned(),
            Masking::Dynamic => p.mask.as_ref().map(|m| m.tensor().clone()),
        };
        Ok(Weight::masked(p.value.whole().clone(), mask))
    }

    /// Whether there are masked units that keep learning: a training pass then leaves all weights as they are, and only
    /// an evaluation masks.
    pub fn units_learn(&self) -> bool {
        self.masking == Masking::Dynamic && !self.alive.is_empty()
    }

    /// Units of a group that are still in use, by index; all of them where nothing was masked.
    pub fn alive(&self, group: &str) -> Option<&[bool]> {
        self.alive.get(group).map(Vec::as_slice)
    }

    /// Units in use in a group.
    pub fn units(&self, group: &str) -> usize {
        let all = self.layout.group(group).map_or(0, |g| g.units);
        self.alive.get(group).map_or(all, |a| a.iter().filter(|&&x| x).count())
    }

    /// Replaces the masks of the named parameters.
    ///
    /// # Errors
    /// If a mask does not fit its parameter.
    pub fn set_masks(&mut self, masks: Vec<(String, Vec<bool>)>) -> Result<()> {
        for (name, keep) in masks {
            let spec = self.get(&name)?.spec.clone();
            if keep.len() != spec.shape.count() {
                return Err(Error::shape("mask", format!("{} elements for `{name}` {}", keep.len(), spec.shape)));
            }
            let mask = Mask::new(&self.device, keep, &spec)?;
            self.put_mask(&name, mask)?;
        }
        self.rest()
    }

    /// Replaces the mask of a parameter by a tensor of zeros and ones.
    ///
    /// # Errors
    /// If it does not fit the parameter.
    pub fn set_mask(&mut self, name: &str, keep: Tensor<B>) -> Result<()> {
        let shape = self.get(name)?.spec.shape;
        self.put_mask(name, Mask::of(keep.reshape(shape)?)?)?;
        self.rest()
    }

    fn put_mask(&mut self, name: &str, mask: Mask<B>) -> Result<()> {
        let i = self.position(name)?;
        let p = &mut self.params[i];
        p.state.unpack(p.spec.shape)?;
        p.mask = Some(mask);
        if self.masking.zeroes() { self.params[i].zero_masked() } else { Ok(()) }
    }

    /// Masks whole units: every slice of every parameter that belongs to a unit that is not alive.
    ///
    /// # Errors
    /// If there is no such group, or the list does not fit it.
    pub fn set_alive(&mut self, groups: Vec<(String, Vec<bool>)>) -> Result<()> {
        for (name, alive) in groups {
            let group =
                self.layout.group(&name).ok_or_else(|| Error::Other(format!("there is no unit group `{name}`")))?;
            if alive.len() != group.units {
                return Err(Error::shape(
                    "mask",
                    format!("{} units for group `{name}` of {}", alive.len(), group.units),
                ));
            }
            self.alive.insert(name, alive);
        }
        let masks = self.layout.params.iter();
        let masks = masks.filter_map(|spec| shrink::unit_mask(&self.layout, spec, &self.alive, |_, _| true));
        self.set_masks(masks.collect())?;
        self.close_units()?;
        self.soften()
    }

    /// Makes the masks with which the forward pass keeps masked units out.
    fn close_units(&mut self) -> Result<()> {
        self.entering.clear();
        if self.masking.zeroes() || self.alive.is_empty() {
            return Ok(());
        }
        for spec in self.layout.params.iter().filter(|spec| !spec.buffer) {
            let closed = shrink::unit_mask(&self.layout, spec, &self.alive, UnitGroup::masks_entering);
            if let Some((name, keep)) = closed.filter(|(_, keep)| keep.iter().any(|k| !k)) {
                let marks = keep.into_iter().map(|k| f32::from(u8::from(k))).collect();
                let marks = Tensor::from_vec(&self.device, marks, spec.shape)?;
                self.entering.insert(name, marks);
            }
        }
        Ok(())
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.get(name)?;
        Ok(self.index[name])
    }
}
