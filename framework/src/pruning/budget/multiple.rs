//! Counts in multiples of a number, for hardware that computes with so many at a time.

use super::LayerBudget;

/// Counts as near to these as `multiple` allows: multiples of it within what the layer must and can keep, or all that
/// the layer has; never nothing where there was something. Where `total` is given, they are balanced until their sum is
/// as near to it as single layers can bring it, those that are moved the least first. A count of a layer that has no
/// such number within its bounds stays as it is.
pub(in crate::pruning) fn in_multiples(
    counts: &[usize],
    layers: &[LayerBudget],
    multiple: usize,
    total: Option<usize>,
) -> Vec<usize> {
    let below = |i: usize, n: usize| below(&layers[i], multiple, n);
    let above = |i: usize, n: usize| above(&layers[i], multiple, n);
    let mut keep: Vec<usize> = (counts.iter().enumerate())
        .map(|(i, &n)| match (below(i, n), above(i, n)) {
            (Some(low), Some(high)) if n - low < high - n => low,
            (low, high) => high.or(low).unwrap_or(n),
        })
        .collect();
    let Some(total) = total else { return keep };
    loop {
        let sum: usize = keep.iter().sum();
        let off = sum.abs_diff(total);
        let moved = |i: usize| {
            let to = if sum > total { below(i, keep[i].checked_sub(1)?) } else { above(i, keep[i] + 1) }?;
            let nearer = (sum - keep[i] + to).abs_diff(total) < off;
            let further = to.abs_diff(counts[i]) as isize - keep[i].abs_diff(counts[i]) as isize;
            (nearer && to > 0).then_some((further, i, to))
        };
        let Some((_, i, to)) = (0..keep.len()).filter_map(moved).min() else { return keep };
        keep[i] = to;
    }
}

/// The largest number not above `n` that the layer may keep.
fn below(layer: &LayerBudget, multiple: usize, n: usize) -> Option<usize> {
    let (n, least) = (n.min(layer.most), layer.least.max(1));
    if n == layer.dense || n == 0 && layer.least == 0 {
        return Some(n);
    }
    Some(n / multiple * multiple).filter(|n| *n >= least)
}

/// The smallest number not below `n` that the layer may keep.
fn above(layer: &LayerBudget, multiple: usize, n: usize) -> Option<usize> {
    if n == 0 && layer.least == 0 {
        return Some(0);
    }
    let next = n.max(layer.least).div_ceil(multiple) * multiple;
    let whole = (layer.most == layer.dense && n <= layer.dense).then_some(layer.dense);
    if next <= layer.most { Some(next) } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(dense: usize, least: usize, most: usize) -> LayerBudget {
        LayerBudget {
            name: String::new(),
            dense,
            current: dense,
            axes: vec![dense],
            least,
            rate: 1.0,
            most,
            fixed: None,
        }
    }

    #[test]
    fn counts_go_to_the_nearest_multiple_and_balance() {
        let layers = [layer(64, 1, 64), layer(32, 1, 32), layer(12, 1, 12), layer(4, 1, 4)];
        let of = |counts: [usize; 4], total| in_multiples(&counts, &layers, 8, total);
        assert_eq!(of([28, 11, 9, 2], None), [32, 8, 8, 4], "half goes up, and four of four are all that there are");
        assert_eq!(of([28, 11, 9, 2], Some(50)), [32, 8, 8, 4], "52: no single layer brings the sum nearer to 50");
        assert_eq!(
            of([29, 13, 11, 1], Some(54)),
            [24, 16, 12, 4],
            "64 are ten too many, 56 two, and 48 would be six few"
        );
        assert_eq!(of([3, 1, 1, 1], None), [8, 8, 8, 4], "none is emptied");
        let bound = [layer(64, 20, 44)];
        assert_eq!(in_multiples(&[21], &bound, 8, None), [24]);
        assert_eq!(in_multiples(&[44], &bound, 8, None), [40]);
        assert_eq!(in_multiples(&[11], &[layer(12, 9, 11)], 8, None), [11], "its bounds leave it no multiple");
        assert_eq!(in_multiples(&[0, 3], &[layer(16, 0, 16), layer(16, 0, 16)], 8, None), [0, 8]);
    }

    proptest! {
        #[test]
        fn the_sum_is_within_half_a_multiple_wherever_a_layer_can_move(
            layers in prop::collection::vec((1usize..90, 0.0..1.0f64), 1..7),
            multiple in 2usize..17,
        ) {
            let counts: Vec<usize> = layers.iter().map(|(n, part)| 1 + (part * (n - 1) as f64) as usize).collect();
            let layers: Vec<LayerBudget> = layers.iter().map(|(n, _)| layer(*n, 1, *n)).collect();
            let total: usize = counts.iter().sum();
            let keep = in_multiples(&counts, &layers, multiple, Some(total));
            for (n, layer) in keep.iter().zip(&layers) {
                prop_assert!(*n > 0 && (n.is_multiple_of(multiple) || *n == layer.dense), "{n}");
            }
            let sum: usize = keep.iter().sum();
            let movable = (0..keep.len()).any(|i| {
                if sum > total { below(&layers[i], multiple, keep[i] - 1).is_some() } else { keep[i] < layers[i].dense }
            });
            prop_assert!(!movable || 2 * sum.abs_diff(total) <= multiple, "{keep:?} {counts:?}");
            prop_assert_eq!(in_multiples(&keep, &layers, multiple, Some(total)), keep, "and nothing is left to move");
        }
    }
}
