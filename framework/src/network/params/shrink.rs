//! Physical removal of units: weights, biases, consumers' inputs and optimizer state.

use super::{Mask, Moments, ParamStore};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::{Layout, Member, ParamSpec, UnitGroup};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

type Alive = BTreeMap<String, Vec<bool>>;

/// For every axis of `spec` that has units of a listed group: which indices stay. Members that do not `count` are left
/// out.
fn kept_indices(
    layout: &Layout,
    spec: &ParamSpec,
    alive: &Alive,
    counts: impl Fn(&UnitGroup, &Member) -> bool,
) -> Vec<(usize, Vec<bool>)> {
    let mut axes: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for group in &layout.groups {
        let Some(alive) = alive.get(&group.name) else { continue };
        for member in group.members.iter().filter(|m| m.param == spec.name && counts(group, m)) {
            let keep = axes.entry(member.axis).or_insert_with(|| vec![true; spec.shape[member.axis]]);
            for unit in (0..group.units).filter(|&u| !alive[u]) {
                member.indices(unit, group.units).for_each(|i| keep[i] = false);
            }
        }
    }
    axes.into_iter().collect()
}

/// The element mask of a parameter that follows from the units alive; `None` where it has no units of these groups in a
/// member that `counts`.
pub(super) fn unit_mask(
    layout: &Layout,
    spec: &ParamSpec,
    alive: &Alive,
    counts: impl Fn(&UnitGroup, &Member) -> bool,
) -> Option<(String, Vec<bool>)> {
    let axes = kept_indices(layout, spec, alive, counts);
    if axes.is_empty() {
        return None;
    }
    let mut mask = vec![true; spec.shape.count()];
    for (axis, keep) in axes {
        let (_, n, inner) = spec.shape.around(axis);
        mask.iter_mut().enumerate().for_each(|(i, m)| *m &= keep[i / inner % n]);
    }
    Some((spec.name.clone(), mask))
}

/// Which units of a group the masks of its parameters leave, the inverse of [`unit_mask`]; `None` where they leave all.
pub(super) fn unit_alive<'a>(
    layout: &Layout,
    group: &UnitGroup,
    mask: &dyn Fn(&str) -> Option<&'a [bool]>,
) -> Option<(String, Vec<bool>)> {
    let mut alive = vec![false; group.units];
    for member in &group.members {
        let (keep, spec) = (mask(&member.param)?, layout.spec(&member.param)?);
        let (_, n, inner) = spec.shape.around(member.axis);
        let mut lives = vec![false; n];
        keep.iter().enumerate().for_each(|(i, keep)| lives[i / inner % n] |= keep);
        for (unit, alive) in alive.iter_mut().enumerate() {
            *alive |= member.indices(unit, group.units).any(|i| lives[i]);
        }
    }
    alive.contains(&false).then(|| (group.name.clone(), alive))
}

/// What stays of a tensor in the shape of a parameter after a removal of units.
pub(crate) fn cut<B: Backend>(
    tensor: &Tensor<B>,
    layout: &Layout,
    spec: &ParamSpec,
    groups: &[(String, Vec<bool>)],
) -> Result<Tensor<B>> {
    let alive = groups.iter().cloned().collect();
    let mut tensor = tensor.clone();
    for (axis, keep) in kept_indices(layout, spec, &alive, |_, _| true) {
        tensor = B::select(&tensor, axis, &kept(&keep))?;
    }
    Ok(tensor)
}

fn kept(keep: &[bool]) -> Vec<usize> {
    (0..keep.len()).filter(|&i| keep[i]).collect()
}

impl<B: Backend> ParamStore<B> {
    /// Removes every unit that is not alive; `layout` is the model's for the remaining sizes.
    ///
    /// # Errors
    /// If what remains does not have the shapes that `layout` declares: the model's groups then do not describe its
    /// layers.
    pub fn shrink(&mut self, groups: Vec<(String, Vec<bool>)>, layout: Layout) -> Result<()> {
        let alive: Alive = groups.into_iter().collect();
        for p in &mut self.params {
            let axes = kept_indices(&self.layout, &p.spec, &alive, |_, _| true);
            p.state.unpack(p.spec.shape)?;
            let mut keep_mask = p.mask.take().map(|m| m.keep().to_vec());
            for (axis, keep) in axes {
                let indices = kept(&keep);
                let select = |t: &Tensor<B>| B::select(t, axis, &indices);
                if let Some(mask) = &mut keep_mask {
                    let (_, n, inner) = p.value.whole().shape().around(axis);
                    let mut i = 0;
                    mask.retain(|_| {
                        i += 1;
                        keep[(i - 1) / inner % n]
                    });
                }
                p.value.set(select(p.value.whole())?.tracked(!p.spec.buffer));
                p.state = Moments::whole(p.state.tensors().iter().map(select).collect::<Result<_>>()?);
            }
            let spec = layout.spec(&p.spec.name).filter(|s| s.shape == p.value.whole().shape()).ok_or_else(|| {
                let declared = layout.spec(&p.spec.name).map_or("nothing".into(), |s| s.shape.to_string());
                let message = format!(
                    "`{}` is {} after the removal, but the model's layout declares {declared}",
                    p.spec.name,
                    p.value.whole().shape()
                );
                Error::shape("shrink", message)
            })?;
            p.spec = spec.clone();
            p.mask = keep_mask.map(|k| Mask::new(&self.device, k, &p.spec)).transpose()?;
        }
        self.alive.clear();
        self.entering.clear();
        self.layout = layout;
        self.device.trim();
        Ok(())
    }
}
