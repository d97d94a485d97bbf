//! What belongs to channels and units that are out of the network for now, and may return.

use super::{Masking, ParamStore};
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::{ParamSpec, Role, UnitGroup};
use crate::tensor::Tensor;

/// Which channels of a buffer rest.
///
/// A channel whose weights are all masked puts out one constant, and a batch says that its variance is zero. A running
/// variance that followed would make the channel blow up when a weight returns: `x / sqrt(0 + eps)` in the evaluation
/// after it. While dynamic masks keep such a channel empty, its statistics stay those of its last weights.
#[derive(Debug, Clone)]
pub(super) struct Resting<B: Backend> {
    rests: Tensor<B>,
    moves: Tensor<B>,
}

impl<B: Backend> Resting<B> {
    /// The old values of channels that rest, the new ones of the others.
    pub fn keep(&self, old: &Tensor<B>, new: &Tensor<B>) -> Result<Tensor<B>> {
        old.mul(&self.rests)?.add(&new.mul(&self.moves)?)
    }
}

impl<B: Backend> ParamStore<B> {
    /// Takes masked units that keep learning out of the network for now: the weights that read them begin at zero again,
    /// with their optimizer state, and grow from there (He et al. 2018 zero the filters themselves; behind a ReLU a
    /// neuron would not come back from that).
    pub(super) fn soften(&mut self) -> Result<()> {
        for (name, marks) in &self.entering {
            let p = &mut self.params[self.index[name]];
            let reads = |g: &UnitGroup| g.by_role(Role::Consumer).any(|m| m.param == *name);
            if self.layout.groups.iter().any(|g| self.alive.contains_key(&g.name) && reads(g)) {
                p.value.set(p.value.whole().mul(marks)?.tracked(!p.spec.buffer));
                for state in p.state.unpack(p.spec.shape)? {
                    *state = state.mul(marks)?;
                }
            }
        }
        Ok(())
    }

    /// Finds the channels that rest; after every change of dynamic masks of weights.
    pub(super) fn rest(&mut self) -> Result<()> {
        self.resting.clear();
        // Units that are masked whole keep learning, and so do their statistics.
        if self.masking == Masking::Held || !self.alive.is_empty() {
            return Ok(());
        }
        for (at, spec) in self.layout.params.iter().enumerate().filter(|(_, spec)| spec.buffer) {
            let mut rests = vec![0.0; spec.shape.count()];
            for group in &self.layout.groups {
                let Some(member) = group.by_role(Role::Producer).find(|m| m.param == spec.name) else { continue };
                let empty = self.empty_units(group, at);
                for unit in (0..group.units).filter(|&unit| empty[unit]) {
                    member.indices(unit, group.units).for_each(|i| rests[i] = 1.0);
                }
            }
            if rests.contains(&1.0) {
                let moves = rests.iter().map(|r| 1.0 - r).collect();
                let tensor = |values| Tensor::from_vec(&self.device, values, spec.shape);
                self.resting.insert(spec.name.clone(), Resting { rests: tensor(rests)?, moves: tensor(moves)? });
            }
        }
        Ok(())
    }

    /// Whether each unit of a group has lost all the weights that compute it for the parameter at this place: those of
    /// the last weight before it that does. Blocks with shortcuts add to one group from several layers, each of which
    /// has a normalisation of its own.
    fn empty_units(&self, group: &UnitGroup, at: usize) -> Vec<bool> {
        let mut before = self.layout.params[..at].iter().rev().filter(|spec| spec.shape.len() > 1);
        let feeds = |spec: &ParamSpec| group.by_role(Role::Producer).find(|m| m.param == spec.name);
        let fed = before.find_map(feeds).and_then(|member| Some((member, self.find(&member.param)?)));
        let Some((member, p)) = fed else { return vec![false; group.units] };
        let (_, n, inner) = p.spec.shape.around(member.axis);
        let keep = p.mask.as_ref().map(|mask| mask.keep());
        let mut lives = vec![keep.is_none(); n];
        for (row, weights) in keep.unwrap_or_default().chunks(inner.max(1)).enumerate() {
            lives[row % n] |= weights.contains(&true);
        }
        (0..group.units).map(|unit| !member.indices(unit, group.units).any(|i| lives[i])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes, Width};
    use crate::seed::Seed;

    #[test]
    fn statistics_of_a_channel_without_weights_wait_for_its_return() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let channels = layout.units("conv", 2);
        layout.conv2d("conv", &Width::from(1), &channels, 1, false);
        layout.batch_norm("norm", &channels);
        let layout = layout.build().unwrap();
        let device = Cpu::default();
        let mut store = ParamStore::new(&device, layout, Seed(1), Masking::Dynamic).unwrap();
        let moved = |value: f32| {
            let of = |name: &str| (name.to_owned(), Tensor::from_vec(&device, vec![value; 2], [2]).unwrap());
            vec![of("norm.running_mean"), of("norm.running_var")]
        };
        let found = |store: &ParamStore<Cpu>| store.get("norm.running_var").unwrap().value().to_vec();
        store.set_masks(vec![("conv.weight".into(), vec![false, true])]).unwrap();
        store.set_buffers(moved(5.0)).unwrap();
        assert_eq!(found(&store), [1.0, 5.0], "the first channel has no weight");
        store.set_masks(vec![("conv.weight".into(), vec![true, true])]).unwrap();
        store.set_buffers(moved(7.0)).unwrap();
        assert_eq!(found(&store), [7.0, 7.0], "its weight is back");
    }

    /// The blocks of a residual network add to the same channels, which are never empty while one block has weights;
    /// the statistics are those of one layer.
    #[test]
    fn a_channel_rests_in_the_layer_that_lost_its_weights_alone() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let old = layout.units("old", 1);
        let all = old.then(layout.units("new", 2));
        for layer in ["a", "b"] {
            layout.conv2d(&format!("conv_{layer}"), &Width::from(1), &all, 1, false);
            layout.batch_norm(&format!("norm_{layer}"), &all);
        }
        let (layout, device) = (layout.build().unwrap(), Cpu::default());
        let mut store = ParamStore::new(&device, layout, Seed(1), Masking::Returning).unwrap();
        store.set_masks(vec![("conv_b.weight".into(), vec![true, false, true])]).unwrap();
        let five =
            |layer: &str| (format!("norm_{layer}.running_var"), Tensor::from_vec(&device, vec![5.0; 3], [3]).unwrap());
        store.set_buffers(vec![five("a"), five("b")]).unwrap();
        let found = |layer: &str| store.get(&format!("norm_{layer}.running_var")).unwrap().value().to_vec();
        assert_eq!((found("a"), found("b")), (vec![5.0; 3], vec![5.0, 1.0, 5.0]));
    }
}
