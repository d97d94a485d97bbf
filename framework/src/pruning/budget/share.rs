//! One number of elements, shared among layers in proportion to densities.

use super::LayerBudget;

/// Density of each layer proportional to `density`, within what the layer must and can keep; the counts sum to `total`
/// exactly where the layers can hold as many, what rounding leaves going to the largest fractions.
pub(super) fn share(layers: &[LayerBudget], total: usize, density: impl Fn(&LayerBudget) -> f64) -> Vec<usize> {
    let want = shares(layers, total, density);
    let least = |i: usize| layers[i].least.min(layers[i].most);
    let mut keep: Vec<usize> =
        want.iter().enumerate().map(|(i, w)| (w.floor() as usize).clamp(least(i), layers[i].most)).collect();
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by(|&a, &b| (want[b] - want[b].floor()).total_cmp(&(want[a] - want[a].floor())).then(a.cmp(&b)));
    let mut missing = total.saturating_sub(keep.iter().sum());
    while missing > 0 && (0..layers.len()).any(|i| keep[i] < layers[i].most) {
        for &i in &order {
            if missing > 0 && keep[i] < layers[i].most {
                keep[i] += 1;
                missing -= 1;
            }
        }
    }
    // Layers that must keep some may have taken more than their share.
    let mut over = keep.iter().sum::<usize>().saturating_sub(total);
    while over > 0 && (0..layers.len()).any(|i| keep[i] > least(i)) {
        for &i in order.iter().rev() {
            if over > 0 && keep[i] > least(i) {
                keep[i] -= 1;
                over -= 1;
            }
        }
    }
    keep
}

/// The shares before rounding. Layers that would leave their bounds are set to them, and the others share the rest; in
/// each pass only those on the side that is further off, since the others may then be right.
fn shares(layers: &[LayerBudget], total: usize, density: impl Fn(&LayerBudget) -> f64) -> Vec<f64> {
    let raw: Vec<f64> = layers.iter().map(|r| density(r) * r.dense as f64).collect();
    let mut fixed: Vec<Option<usize>> = vec![None; layers.len()];
    loop {
        let taken: usize = fixed.iter().flatten().sum();
        let open: f64 = raw.iter().zip(&fixed).filter(|(_, fixed)| fixed.is_none()).map(|(raw, _)| raw).sum();
        let scale = if open > 0.0 { total.saturating_sub(taken) as f64 / open } else { 0.0 };
        let want: Vec<f64> = raw.iter().zip(&fixed).map(|(raw, f)| f.map_or(raw * scale, |f| f as f64)).collect();
        let (mut over, mut under) = (0.0, 0.0);
        for (i, r) in layers.iter().enumerate().filter(|(i, _)| fixed[*i].is_none()) {
            over += (want[i] - r.most as f64).max(0.0);
            under += (r.least.min(r.most) as f64 - want[i]).max(0.0);
        }
        if over == 0.0 && under == 0.0 {
            return want;
        }
        for (i, r) in layers.iter().enumerate() {
            if fixed[i].is_none() && over >= under && want[i] > r.most as f64 {
                fixed[i] = Some(r.most);
            } else if fixed[i].is_none() && under >= over && want[i] < r.least.min(r.most) as f64 {
                fixed[i] = Some(r.least.min(r.most));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_stay_within_their_bounds_and_sum_to_the_total(
            layers in prop::collection::vec((1usize..60, 0.0..1.0f64, 0.0..1.0f64, 0.1..3.0f64), 1..7),
            part in 0.0..1.0f64,
        ) {
            let densities: Vec<f64> = layers.iter().map(|l| l.3).collect();
            let layers: Vec<LayerBudget> = (layers.iter().enumerate())
                .map(|(i, &(dense, a, b, _))| LayerBudget {
                    name: i.to_string(),
                    dense,
                    current: dense,
                    axes: vec![dense],
                    least: (a.min(b) * dense as f64) as usize,
                    rate: 1.0,
                    most: (a.max(b) * dense as f64).ceil() as usize,
                    fixed: None,
                })
                .collect();
            let sum = |of: fn(&LayerBudget) -> usize| layers.iter().map(of).sum::<usize>();
            let total = sum(|r| r.least) + (part * (sum(|r| r.most) - sum(|r| r.least)) as f64) as usize;
            let density = |r: &LayerBudget| densities[r.name.parse::<usize>().unwrap()];
            let keep = share(&layers, total, density);
            prop_assert_eq!(keep.iter().sum::<usize>(), total);
            prop_assert!(keep.iter().zip(&layers).all(|(k, r)| (r.least..=r.most).contains(k)));
            // The definition: one scale for all, cut at the bounds.
            let want = shares(&layers, total, density);
            let scales = want.iter().zip(&layers).filter(|(w, r)| **w > r.least as f64 + 1e-9 && **w < r.most as f64 - 1e-9);
            let scales: Vec<f64> = scales.map(|(w, r)| w / (density(r) * r.dense as f64)).collect();
            prop_assert!(scales.windows(2).all(|w| (w[0] - w[1]).abs() < 1e-9), "{scales:?}");
        }
    }
}
