//! n of every m consecutive weights along a layer's input axis.
//!
//! The groups of a linear layer `[out, in]` are m inputs of one output; of a convolution `[out, in, rows, columns]` m
//! input channels of one output channel at one place of the kernel, as hardware with 2:4 support computes after unfolding
//! (Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks"). Where m does not divide the inputs, the `r` left
//! over are a group of their own, of which ceil(r n / m) stay: seen as filled up with zeros to m, it holds the pattern
//! too. A layer of one input so stays whole.

use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::{Layout, Member, ParamSpec, Role};
use crate::tensor::{Shape, Tensor};

/// How many stay of a group of `size` weights, at most `m`.
fn quota(size: usize, n: usize, m: usize) -> usize {
    (size * n).div_ceil(m)
}

/// The axis of a weight along which its layer's inputs lie: the one that reads units of a group, else the other one than
/// that which computes units, else the second.
pub(in crate::pruning) fn input_axis(layout: &Layout, spec: &ParamSpec) -> usize {
    let axis = |role: Role| {
        let mut members = layout.groups.iter().flat_map(|group| group.by_role(role));
        members.find(|m: &&Member| m.param == spec.name).map(|member| member.axis)
    };
    let last = spec.shape.len().saturating_sub(1);
    match (axis(Role::Consumer), axis(Role::Producer)) {
        (Some(axis), _) => axis,
        (None, Some(producer)) => usize::from(producer == 0).min(last),
        (None, None) => 1.min(last),
    }
}

/// How many weights of a parameter the pattern keeps.
pub(in crate::pruning) fn kept(shape: &Shape, axis: usize, n: usize, m: usize) -> usize {
    let (outer, inputs, inner) = shape.around(axis);
    outer * inner * (inputs / m * n + quota(inputs % m, n, m))
}

/// The indices of each group, one group after the other.
fn groups(shape: &Shape, axis: usize, m: usize) -> impl Iterator<Item = Vec<usize>> {
    let (outer, inputs, inner) = shape.around(axis);
    let at = move |row: usize, place: usize, first: usize| -> Vec<usize> {
        (first..inputs.min(first + m)).map(|input| (row * inputs + input) * inner + place).collect()
    };
    (0..outer).flat_map(move |row| {
        (0..inner).flat_map(move |place| (0..inputs).step_by(m).map(move |first| at(row, place, first)))
    })
}

/// Marks the best of each group by score, of those in `before` where what is pruned never returns; among equals the
/// later one stays, as everywhere.
pub(in crate::pruning) fn best<B: Backend>(
    scores: &Tensor<B>,
    before: Option<&Tensor<B>>,
    shape: &Shape,
    axis: usize,
    (n, m): (usize, usize),
) -> Result<Tensor<B>> {
    let (values, before) = (scores.host(), before.map(Tensor::host));
    let mut marks = vec![0.0; values.len()];
    for mut group in groups(shape, axis, m) {
        let stay = quota(group.len(), n, m);
        group.retain(|&i| before.as_ref().is_none_or(|before| before[i] != 0.0));
        group.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)).then(a.cmp(&b)));
        group.iter().rev().take(stay).for_each(|&i| marks[i] = 1.0);
    }
    Tensor::from_vec(scores.device(), marks, *shape)
}

/// The first group of a mask that keeps more than the pattern allows: the index of its first weight, and how many it
/// keeps.
pub(in crate::pruning) fn broken(
    keep: &[bool],
    shape: &Shape,
    axis: usize,
    n: usize,
    m: usize,
) -> Option<(usize, usize)> {
    let found = |group: Vec<usize>| {
        let kept = group.iter().filter(|&&i| keep[i]).count();
        (kept > quota(group.len(), n, m)).then(|| (group[0], kept))
    };
    groups(shape, axis, m).find_map(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use proptest::prelude::*;

    fn marks(scores: &[f32], before: Option<&[f32]>, shape: &[usize], axis: usize, nm: (usize, usize)) -> Vec<f32> {
        let device = Cpu::default();
        let tensor = |values: &[f32]| Tensor::from_vec(&device, values.to_vec(), Shape::from(shape)).unwrap();
        let before = before.map(tensor);
        best(&tensor(scores), before.as_ref(), &Shape::from(shape), axis, nm).unwrap().to_vec()
    }

    #[test]
    fn two_of_four_stay_and_of_what_is_left_over_its_share() {
        let scores = [4.0, 1.0, 3.0, 2.0, 9.0, 8.0, 7.0, 0.0, 0.0, 0.0, 0.0, 5.0, 6.0, 7.0];
        let found = marks(&scores, None, &[2, 7], 1, (2, 4));
        // The left over three keep ceil(3 * 2 / 4) = 2; among equals the later stays.
        assert_eq!(found, [1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        assert_eq!(kept(&Shape::from([2, 7]), 1, 2, 4), 8);
        assert_eq!(marks(&[1.0, 2.0], None, &[2, 1], 1, (2, 4)), [1.0, 1.0], "one input stays");
        let held = marks(&[4.0, 3.0, 2.0, 1.0], Some(&[0.0, 1.0, 0.0, 1.0]), &[1, 4], 1, (2, 4));
        assert_eq!(held, [0.0, 1.0, 0.0, 1.0], "what is gone does not return");
    }

    #[test]
    fn a_convolutions_groups_are_input_channels_at_one_place() {
        // [out 1, in 4, rows 1, columns 2]: at the left place the first two channels are best, at the right the others.
        let found = marks(&[9.0, 1.0, 8.0, 2.0, 1.0, 9.0, 2.0, 8.0], None, &[1, 4, 1, 2], 1, (2, 4));
        assert_eq!(found, [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let (a, b) = (layout.units("a", 4), layout.units("b", 4));
        layout.conv2d("a", &3.into(), &a, 3, false);
        layout.conv_transpose2d("b", &a, &b, 3, false);
        layout.conv_transpose2d("c", &5.into(), &b, 3, false);
        layout.conv_transpose2d("d", &b, &1.into(), 3, false);
        layout.linear("e", &5.into(), &6.into(), false);
        let layout = layout.build().unwrap();
        let axis = |name: &str| input_axis(&layout, layout.spec(name).unwrap());
        assert_eq!(["a.weight", "b.weight", "c.weight", "d.weight", "e.weight"].map(axis), [1, 0, 0, 0, 1]);
    }

    proptest! {
        #[test]
        fn every_group_holds_the_pattern_and_the_count_is_known_ahead(
            (outer, inputs, inner) in (1usize..4, 1usize..14, 1usize..4),
            (n, m) in (1usize..5).prop_flat_map(|n| (Just(n), n + 1..9)),
            seed in 0usize..1000,
        ) {
            let shape = Shape::from([outer, inputs, inner]);
            let scores: Vec<f32> = (0..shape.count()).map(|i| ((i * 7919 + seed * 31) % 101) as f32 - 50.0).collect();
            let found = marks(&scores, None, &shape, 1, (n, m));
            let keep: Vec<bool> = found.iter().map(|v| *v != 0.0).collect();
            prop_assert_eq!(keep.iter().filter(|k| **k).count(), kept(&shape, 1, n, m));
            prop_assert_eq!(broken(&keep, &shape, 1, n, m), None);
            // The definition, written down anew: m inputs in a row keep n at most, none of them below one that went.
            for o in 0..outer {
                for p in 0..inner {
                    let row: Vec<usize> = (0..inputs).map(|i| (o * inputs + i) * inner + p).collect();
                    for group in row.chunks(m) {
                        let stays: Vec<f32> = group.iter().filter(|i| keep[**i]).map(|i| scores[*i]).collect();
                        let goes = group.iter().filter(|i| !keep[**i]).map(|i| scores[*i]);
                        prop_assert!(stays.len() <= n && (group.len() < m || stays.len() == n));
                        prop_assert!(goes.into_iter().all(|s| stays.iter().all(|t| *t >= s)));
                    }
                }
            }
            let mut more = keep;
            if let Some(i) = more.iter().position(|k| !k) {
                more[i] = true;
                prop_assert!(broken(&more, &shape, 1, n, m).is_some());
            }
        }
    }
}
