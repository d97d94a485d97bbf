//! Which of the kept weights lie on a path from an input to an output: the effective number of nonzeros (Zhang &
//! Papyan 2024 count it for the cubist spiral).
//!
//! A network's nodes are the units of its groups; its edges are the kept elements of the prunable weights. An element
//! leads from the units of its index on consuming axes to those of its index on producing axes. A convolution connects
//! two channels by any element of its kernel, and after a flatten a channel stands for all its pixels. An index that
//! belongs to no group (an input feature, a class, the residual stream) is connected on both sides; one that belongs to
//! several (a dimension of a head) is where each of its units is. Biases, norms and positions connect nothing: a unit
//! all of whose weights are gone is a constant. A unit that several layers add to is one node.
//!
//! A grouped convolution whose groups are units leads from each unit to itself. Where it stands between all that
//! computes a unit and all that reads it, in the order of the parameters, as in a depthwise separable convolution, a
//! unit that it has no element left of is cut off; where others add to the unit behind it, or read it before, the unit
//! stays connected past it.

use crate::backend::Backend;
use crate::network::layout::{Layout, Member, ParamSpec, Role, UnitGroup};
use crate::network::params::{Param, ParamStore};
use serde::{Deserialize, Serialize};

/// What of a network still works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// Prunable weights that are kept.
    pub nnz: usize,
    /// Those of them on a path from an input to an output.
    pub nnz_effective: usize,
    /// Units in use that no input reaches, or that lead to no output.
    pub units_cut_off: usize,
}

/// One flag for every unit of every group.
type Units = Vec<Vec<bool>>;

/// A prunable parameter as a matrix: its first axis, and all others together.
struct Weights<'a> {
    spec: &'a ParamSpec,
    /// Where members belong to: the group's index and number of units.
    members: Vec<(usize, usize, &'a Member)>,
    columns: usize,
    /// All elements where absent.
    keep: Option<&'a [bool]>,
}

impl Paths {
    /// Which weights of each prunable parameter are kept and lead to an output, and with `fed` are reached by an input
    /// too: those of every parameter that keeps others beside them, in row-major order.
    pub fn connected<B: Backend>(params: &ParamStore<B>, fed: bool) -> Vec<(String, Vec<bool>)> {
        let layout = params.layout();
        let prunable = || params.iter().filter(|p| p.spec().prunable);
        let weights: Vec<Weights<'_>> = prunable().map(|p| Weights::of(p, layout)).collect();
        let open = open(&weights, layout);
        let read = connected(weights.iter().rev(), &open, Role::Producer);
        let all = || layout.groups.iter().map(|group| vec![true; group.units]).collect();
        let fed = if fed { connected(weights.iter(), &open, Role::Consumer) } else { all() };
        let of = |(w, p): (&Weights<'_>, &Param<B>)| {
            let found = w.on_path(&fed, &read);
            (found.iter().filter(|on| **on).count() < p.kept()).then(|| (p.spec().name.clone(), found))
        };
        weights.iter().zip(prunable()).filter_map(of).collect()
    }

    /// Follows the weights of a network, masked or shrunk.
    pub fn of<B: Backend>(params: &ParamStore<B>) -> Self {
        let layout = params.layout();
        let prunable = || params.iter().filter(|p| p.spec().prunable);
        let weights: Vec<Weights<'_>> = prunable().map(|p| Weights::of(p, layout)).collect();
        let open = open(&weights, layout);
        let fed = connected(weights.iter(), &open, Role::Consumer);
        let read = connected(weights.iter().rev(), &open, Role::Producer);
        let in_use = |name: &str, unit: usize| params.alive(name).is_none_or(|alive| alive[unit]);
        let cut_off = layout.groups.iter().enumerate().map(|(g, group)| {
            (0..group.units).filter(|&u| in_use(&group.name, u) && !(fed[g][u] && read[g][u])).count()
        });
        Self {
            nnz: prunable().map(Param::kept).sum(),
            nnz_effective: weights.iter().zip(prunable()).map(|(w, p)| w.effective(&fed, &read, p.kept())).sum(),
            units_cut_off: cut_off.sum(),
        }
    }
}

/// Units that kept weights connect, step by step, with what is beyond their `from` side: with an input, where they are
/// consumers of units that are connected themselves; with an output, where they are producers of such units. Units that
/// no weight could connect (of an embedding, or those that are an output) are.
/// None is that is not `open`.
fn connected<'a>(weights: impl Iterator<Item = &'a Weights<'a>> + Clone, open: &Units, from: Role) -> Units {
    let to = if from == Role::Consumer { Role::Producer } else { Role::Consumer };
    let some = |g: usize| weights.clone().any(|w| w.others(g).any(|m| m.role == to));
    let mut units: Units =
        open.iter().enumerate().map(|(g, open)| if some(g) { vec![false; open.len()] } else { open.clone() }).collect();
    loop {
        let mut changed = false;
        for w in weights.clone() {
            let (rows, columns) = w.touched(&w.row_flags(&units, from), &w.column_flags(&units, from));
            for (group, count, member) in w.members.iter().filter(|(.., m)| m.role == to && !w.passes_on(m)) {
                let touched = w.along(member.axis, &rows, &columns);
                for (unit, connected) in units[*group].iter_mut().enumerate() {
                    if !*connected && open[*group][unit] && member.indices(unit, *count).any(|i| touched[i]) {
                        (*connected, changed) = (true, true);
                    }
                }
            }
        }
        if !changed {
            return units;
        }
    }
}

/// Which units every layer that passes them on lets through.
fn open(weights: &[Weights<'_>], layout: &Layout) -> Units {
    let mut units: Units = layout.groups.iter().map(|group| vec![true; group.units]).collect();
    for (at, w) in weights.iter().enumerate().filter(|(_, w)| w.spec.groups > 1) {
        let rows = w.spec.shape.first().copied().unwrap_or(1);
        let (rows, _) = w.touched(&vec![true; rows], &vec![true; w.columns]);
        for (group, count, member) in w.members.iter().filter(|(.., m)| w.passes_on(m)) {
            let any = |part: &[Weights<'_>], role| part.iter().any(|w| w.others(*group).any(|m| m.role == role));
            if any(&weights[at + 1..], Role::Producer) || any(&weights[..at], Role::Consumer) {
                continue;
            }
            for (unit, open) in units[*group].iter_mut().enumerate() {
                *open &= member.indices(unit, *count).any(|i| rows[i]);
            }
        }
    }
    units
}

impl<'a> Weights<'a> {
    fn of<B: Backend>(p: &'a Param<B>, layout: &'a Layout) -> Self {
        let of_group = |(g, group): (usize, &'a UnitGroup)| {
            let mine = group.members.iter().filter(|m| m.param == p.spec().name);
            mine.map(move |m| (g, group.units, m)).collect::<Vec<_>>()
        };
        let members = layout.groups.iter().enumerate().flat_map(of_group).collect();
        let spec = p.spec();
        let columns = spec.shape.count() / spec.shape.first().copied().unwrap_or(1).max(1);
        // A mask that keeps everything says no more than none.
        let keep = p.mask().filter(|mask| mask.kept() < spec.shape.count()).map(|mask| mask.keep());
        Self { spec, members, columns, keep }
    }

    /// Whether the groups of a grouped convolution are units of this member: then it leads from each unit to itself.
    fn passes_on(&self, member: &Member) -> bool {
        let each = self.spec.shape.first().copied().unwrap_or(1) / self.spec.groups.max(1);
        self.spec.groups > 1 && member.axis == 0 && member.inner.is_multiple_of(each.max(1))
    }

    /// Members of a group that lead from other units to it, or from it to others.
    fn others(&self, group: usize) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter(move |(at, _, m)| *at == group && !self.passes_on(m)).map(|(.., m)| *m)
    }

    /// For every index of an axis: whether each unit of this role that it belongs to is flagged.
    fn flags(&self, axis: usize, units: &Units, role: Role) -> Vec<bool> {
        let mut flags = vec![true; self.spec.shape.get(axis).copied().unwrap_or(1)];
        for (group, count, member) in
            self.members.iter().filter(|(.., m)| m.axis == axis && (m.role == role || self.passes_on(m)))
        {
            for unit in (0..*count).filter(|&u| !units[*group][u]) {
                member.indices(unit, *count).for_each(|i| flags[i] = false);
            }
        }
        flags
    }

    fn row_flags(&self, units: &Units, role: Role) -> Vec<bool> {
        self.flags(0, units, role)
    }

    fn column_flags(&self, units: &Units, role: Role) -> Vec<bool> {
        let mut flags = vec![true; self.columns];
        for axis in 1..self.spec.shape.len() {
            let (_, n, inner) = self.spec.shape.around(axis);
            let of_axis = self.flags(axis, units, role);
            if of_axis.contains(&false) {
                flags.iter_mut().enumerate().for_each(|(c, flag)| *flag &= of_axis[c / inner % n]);
            }
        }
        flags
    }

    /// Rows and columns that have a kept element in a flagged row and column.
    fn touched(&self, rows: &[bool], columns: &[bool]) -> (Vec<bool>, Vec<bool>) {
        let Some(keep) = self.keep else {
            let any = (rows.contains(&true), columns.contains(&true));
            return (rows.iter().map(|r| *r && any.1).collect(), columns.iter().map(|c| *c && any.0).collect());
        };
        let (mut in_row, mut in_column) = (vec![false; rows.len()], vec![false; columns.len()]);
        for (r, keep) in keep.chunks(self.columns.max(1)).enumerate().filter(|(r, _)| rows[*r]) {
            let mut any = false;
            for ((&kept, &flag), touched) in keep.iter().zip(columns).zip(&mut in_column) {
                any |= kept & flag;
                *touched |= kept & flag;
            }
            in_row[r] = any;
        }
        (in_row, in_column)
    }

    /// What was touched along one axis.
    fn along(&self, axis: usize, rows: &[bool], columns: &[bool]) -> Vec<bool> {
        if axis == 0 {
            return rows.to_vec();
        }
        let (_, n, inner) = self.spec.shape.around(axis);
        let mut touched = vec![false; n];
        columns.iter().enumerate().for_each(|(c, flag)| touched[c / inner % n] |= flag);
        touched
    }

    /// Rows and columns between units that an input reaches and units that lead to an output.
    fn between(&self, fed: &Units, read: &Units) -> (Vec<bool>, Vec<bool>) {
        let both = |a: Vec<bool>, b: Vec<bool>| -> Vec<bool> { a.into_iter().zip(b).map(|(a, b)| a && b).collect() };
        let rows = both(self.row_flags(fed, Role::Consumer), self.row_flags(read, Role::Producer));
        (rows, both(self.column_flags(fed, Role::Consumer), self.column_flags(read, Role::Producer)))
    }

    /// Whether each element is kept and lies between them.
    fn on_path(&self, fed: &Units, read: &Units) -> Vec<bool> {
        let (rows, columns) = self.between(fed, read);
        let flags = rows.iter().flat_map(|row| columns.iter().map(move |column| *row && *column));
        flags.enumerate().map(|(i, on)| on && self.keep.is_none_or(|keep| keep[i])).collect()
    }

    /// Kept elements between units that an input reaches and units that lead to an output.
    fn effective(&self, fed: &Units, read: &Units, kept: usize) -> usize {
        let (rows, columns) = self.between(fed, read);
        let count = |flags: &[bool]| flags.iter().filter(|&&f| f).count();
        let Some(keep) = self.keep else { return count(&rows) * count(&columns) };
        if !rows.contains(&false) && !columns.contains(&false) {
            return kept;
        }
        let lines = keep.chunks(self.columns.max(1)).zip(&rows).filter(|(_, row)| **row);
        lines.map(|(keep, _)| keep.iter().zip(&columns).filter(|(k, c)| **k && **c).count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes, Width};
    use crate::network::params::Masking;
    use crate::seed::Seed;
    use proptest::prelude::*;

    fn store(layout: Layout) -> ParamStore<Cpu> {
        ParamStore::new(&Cpu::default(), layout, Seed(0), Masking::Held).unwrap()
    }

    fn mlp(widths: &[usize]) -> ParamStore<Cpu> {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let mut width = Width::from(widths[0]);
        for (i, &n) in widths.iter().enumerate().skip(1) {
            let name = format!("fc{i}");
            let next = if i + 1 == widths.len() { n.into() } else { layout.units(&name, n) };
            layout.linear(&name, &width, &next, true);
            width = next;
        }
        layout.build().map(store).unwrap()
    }

    /// Keeps these elements of a parameter, by their indices on the first two axes.
    fn keep(params: &mut ParamStore<Cpu>, name: &str, pairs: &[(usize, usize)]) {
        let shape = params.get(name).unwrap().spec().shape;
        let (inner, columns) = (shape[2..].iter().product::<usize>(), shape[1]);
        let mask = (0..shape.count()).map(|i| pairs.contains(&(i / inner / columns, i / inner % columns))).collect();
        params.set_masks(vec![(name.into(), mask)]).unwrap();
    }

    fn paths(nnz: usize, nnz_effective: usize, units_cut_off: usize) -> Paths {
        Paths { nnz, nnz_effective, units_cut_off }
    }

    #[test]
    fn a_depthwise_convolution_passes_its_units_on() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let hidden = layout.units("expand", 4);
        layout.conv2d("expand", &2.into(), &hidden, 1, false);
        layout.depthwise_conv2d("depthwise", &hidden, 3, false);
        layout.conv2d("project", &hidden, &3.into(), 1, false);
        let mut params = layout.build().map(store).unwrap();
        assert_eq!(Paths::of(&params), paths(8 + 36 + 12, 56, 0));
        // Unit 0 is not fed, unit 1 not passed on, unit 2 not read.
        keep(&mut params, "expand.weight", &[(1, 0), (1, 1), (2, 0), (3, 0)]);
        keep(&mut params, "depthwise.weight", &[(0, 0), (2, 0), (3, 0)]);
        keep(&mut params, "project.weight", &[(0, 0), (0, 1), (0, 3), (1, 3)]);
        assert_eq!(Paths::of(&params), paths(4 + 27 + 4, 1 + 9 + 2, 3));
        let on_path = Paths::connected(&params, true);
        let kept: Vec<_> = on_path.iter().map(|(n, on)| (n.as_str(), on.iter().filter(|on| **on).count())).collect();
        assert_eq!(kept, [("expand.weight", 1), ("depthwise.weight", 9), ("project.weight", 2)]);
    }

    #[test]
    fn a_unit_stays_connected_past_a_depthwise_convolution_that_others_add_to_behind() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let stream = layout.units("stream", 2);
        layout.conv2d("stem", &1.into(), &stream, 1, false);
        layout.depthwise_conv2d("mix", &stream, 1, false);
        layout.conv2d("add", &stream, &stream, 1, false);
        layout.linear("fc", &stream, &3.into(), false);
        let mut params = layout.build().map(store).unwrap();
        keep(&mut params, "mix.weight", &[(1, 0)]);
        assert_eq!(Paths::of(&params), paths(2 + 1 + 4 + 6, 13, 0));
    }

    #[test]
    fn weights_of_units_that_are_cut_off_do_not_count() {
        let mut params = mlp(&[3, 4, 2, 2]);
        assert_eq!(Paths::of(&params), paths(12 + 8 + 4, 24, 0));
        // Units 1 and 3 of fc1 have no input.
        keep(&mut params, "fc1.weight", &[(0, 0), (0, 2), (2, 1)]);
        assert_eq!(Paths::of(&params), paths(3 + 8 + 4, 3 + 4 + 4, 2));
        keep(&mut params, "fc2.weight", &[(0, 0), (0, 1), (1, 1)]);
        // What unit 1 of fc2 reads is a constant, so the weights behind it count as little as those before.
        assert_eq!(Paths::of(&params), paths(3 + 3 + 4, 2 + 1 + 2, 4));
        keep(&mut params, "fc2.weight", &[(1, 1)]);
        assert_eq!(Paths::of(&params), paths(3 + 1 + 4, 0, 6));
        keep(&mut params, "fc1.weight", &[]);
        assert_eq!(Paths::of(&params), paths(5, 0, 6));
    }

    #[test]
    fn masked_units_are_not_cut_off_and_shrunk_ones_are_gone() {
        let mut params = mlp(&[3, 4, 2, 2]);
        let alive = vec![("fc1".to_string(), vec![true, false, true, false])];
        params.set_alive(alive.clone()).unwrap();
        assert_eq!(Paths::of(&params), paths(6 + 4 + 4, 14, 0));
        let (mut params, small) = (mlp(&[3, 4, 2, 2]), mlp(&[3, 2, 2, 2]));
        let mut layout = small.layout().clone();
        layout.groups[0].dense_units = 4;
        params.shrink(alive, layout).unwrap();
        keep(&mut params, "fc1.weight", &[(1, 0)]);
        assert_eq!(Paths::of(&params), paths(1 + 4 + 4, 1 + 2 + 4, 1));
    }

    #[test]
    fn a_channel_is_one_unit_of_convolutions_and_of_its_pixels() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let (a, b) = (layout.units("conv1", 2), layout.units("conv2", 3));
        layout.conv2d("conv1", &1.into(), &a, 3, true);
        layout.conv_transpose2d("conv2", &a, &b, 2, true);
        layout.linear("fc", &b.each(4), &2.into(), true);
        let mut params = layout.build().map(store).unwrap();
        assert_eq!(Paths::of(&params), paths(18 + 24 + 24, 66, 0));
        // Channel 1 of conv1 reaches nothing but channel 2 of conv2, of which one pixel is read.
        keep(&mut params, "conv2.weight", &[(0, 0), (1, 2)]);
        keep(&mut params, "fc.weight", &[(0, 11), (1, 0), (1, 5)]);
        assert_eq!(Paths::of(&params), paths(18 + 8 + 3, 18 + 8 + 2, 1));
        // One element of the kernel is enough for a channel.
        let mut kernel = vec![false; 18];
        kernel[7] = true;
        params.set_masks(vec![("conv1.weight".into(), kernel)]).unwrap();
        assert_eq!(Paths::of(&params), paths(1 + 8 + 3, 1 + 4 + 1, 3 - 1 + 1));
    }

    /// The residual group of a ResNet: a stem and two blocks add to it.
    #[test]
    fn a_unit_that_several_layers_add_to_is_reached_by_any_of_them() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let stream = layout.units("stream", 2);
        layout.conv2d("stem", &1.into(), &stream, 1, false);
        for block in ["a", "b"] {
            let inner = layout.units(block, 2);
            layout.conv2d(&format!("{block}1"), &stream, &inner, 1, false);
            layout.batch_norm(&format!("{block}.norm"), &inner);
            layout.conv2d(&format!("{block}2"), &inner, &stream, 1, false);
        }
        layout.linear("fc", &stream, &2.into(), true);
        let mut params = layout.build().map(store).unwrap();
        assert_eq!(Paths::of(&params), paths(2 + 4 * 4 + 4, 22, 0));
        // The stem leaves out channel 1; block `a` brings it back, by its unit 0 alone.
        keep(&mut params, "stem.weight", &[(0, 0)]);
        keep(&mut params, "a2.weight", &[(1, 0)]);
        keep(&mut params, "fc.weight", &[(0, 1)]);
        assert_eq!(Paths::of(&params), paths(1 + 4 + 1 + 8 + 1, 1 + 2 + 1 + 8 + 1, 1));
        // Without block `a`, channel 1 is what block `b` makes of channel 0.
        keep(&mut params, "a2.weight", &[]);
        assert_eq!(Paths::of(&params), paths(1 + 4 + 8 + 1, 1 + 8 + 1, 2));
        keep(&mut params, "b1.weight", &[(0, 1), (1, 1)]);
        assert_eq!(Paths::of(&params), paths(1 + 4 + 2 + 4 + 1, 0, 6));
    }

    /// Weights on at least one of all paths, each of them walked.
    fn by_enumeration(widths: &[usize], masks: &[Vec<bool>]) -> usize {
        let mut used: Vec<Vec<bool>> = masks.iter().map(|mask| vec![false; mask.len()]).collect();
        let mut walks: Vec<Vec<usize>> = (0..widths[0]).map(|i| vec![i]).collect();
        while let Some(walk) = walks.pop() {
            let (layer, at) = (walk.len() - 1, walk[walk.len() - 1]);
            if layer == masks.len() {
                for (l, pair) in walk.windows(2).enumerate() {
                    used[l][pair[1] * widths[l] + pair[0]] = true;
                }
                continue;
            }
            let next = (0..widths[layer + 1]).filter(|to| masks[layer][to * widths[layer] + at]);
            walks.extend(next.map(|to| [walk.as_slice(), &[to]].concat()));
        }
        used.iter().flatten().filter(|&&u| u).count()
    }

    proptest! {
        #[test]
        fn random_masks_agree_with_walking_every_path(
            widths in prop::collection::vec(1usize..5, 3..6),
            bits in prop::collection::vec(0u8..100, 64),
            density in 5u8..90,
        ) {
            let mut bits = bits.iter().cycle();
            let mut params = mlp(&widths);
            let masks: Vec<Vec<bool>> = widths
                .windows(2)
                .map(|w| (0..w[0] * w[1]).map(|_| bits.next().is_some_and(|b| *b < density)).collect())
                .collect();
            for (i, mask) in masks.iter().enumerate() {
                params.set_masks(vec![(format!("fc{}.weight", i + 1), mask.clone())]).unwrap();
            }
            let found = Paths::of(&params);
            prop_assert_eq!(found.nnz_effective, by_enumeration(&widths, &masks));
            prop_assert_eq!(found.nnz, masks.iter().flatten().filter(|&&k| k).count());
        }
    }
}
