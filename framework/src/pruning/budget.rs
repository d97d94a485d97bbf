//! How many to keep in each layer.

use super::config::{PruneConfig, Scope};
use crate::pruning::criterion::Rounding;
use crate::pruning::schedule::{Amount, Position};

/// One layer's numbers: parameters or unit groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LayerBudget {
    /// Name of the parameter or group.
    pub name: String,
    /// Elements in the dense network.
    pub dense: usize,
    /// Elements kept now.
    pub current: usize,
    /// Extents of its weight, for ERK.
    pub axes: Vec<usize>,
}

/// How many to keep.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KeepCount {
    /// In total, one ranking over all.
    Total(usize),
    /// In each layer.
    Each(Vec<usize>),
}

/// The nominal sparsity that an amount means, and the counts that realise it.
pub(super) fn allocate(
    config: &PruneConfig,
    layers: &[LayerBudget],
    Position { amount, end, nth }: Position,
    rounding: Rounding,
) -> (f64, KeepCount) {
    let dense: usize = layers.iter().map(|r| r.dense).sum();
    let current: usize = layers.iter().map(|r| r.current).sum();
    let remaining = current as f64 / dense.max(1) as f64;
    let nominal = match amount {
        Amount::Sparsity(s) => s,
        Amount::OfRemaining(f) => 1.0 - remaining * (1.0 - f),
    };
    let each = |f: &dyn Fn(&LayerBudget) -> usize| KeepCount::Each(layers.iter().map(f).collect());
    let keep = match (config.scope, amount) {
        (Scope::Global, Amount::Sparsity(s)) => KeepCount::Total(rounding.keep(dense, s)),
        (Scope::Global, Amount::OfRemaining(f)) => KeepCount::Total(rounding.keep(current, f)),
        (Scope::Layer, Amount::Sparsity(s)) => each(&|r| rounding.keep(r.dense, s)),
        (Scope::Layer, Amount::OfRemaining(f)) => each(&|r| rounding.keep(r.current, f)),
        (Scope::Table, Amount::Sparsity(s)) => {
            let progress = if end > 0.0 { s / end } else { 0.0 };
            each(&|r| rounding.keep(r.dense, config.table.get(&r.name).copied().unwrap_or(0.0) * progress))
        }
        (Scope::Table, Amount::OfRemaining(_)) => {
            each(&|r| rounding.keep(r.current, config.table.get(&r.name).copied().unwrap_or(0.0)))
        }
        (Scope::Counts, _) => each(&|r| {
            let counts = config.counts.get(&r.name).map_or(&[][..], Vec::as_slice);
            counts.get(nth).or(counts.last()).map_or(r.dense, |count| *count.min(&r.dense))
        }),
        (Scope::Erk, _) => {
            let total = match amount {
                Amount::Sparsity(s) => rounding.keep(dense, s),
                Amount::OfRemaining(f) => rounding.keep(current, f),
            };
            KeepCount::Each(erk(layers, total))
        }
    };
    let by_layer = matches!(config.scope, Scope::Table | Scope::Counts);
    (if by_layer { table_sparsity(layers, &keep, dense) } else { nominal }, keep)
}

fn table_sparsity(layers: &[LayerBudget], keep: &KeepCount, dense: usize) -> f64 {
    let KeepCount::Each(keep) = keep else { return 0.0 };
    debug_assert_eq!(keep.len(), layers.len());
    1.0 - keep.iter().sum::<usize>() as f64 / dense.max(1) as f64
}

/// Erdős–Rényi kernel: density of a layer proportional to (sum of axes) / (product of axes), at most one; the counts
/// sum to `total` exactly, what rounding leaves going to the largest fractions.
fn erk(layers: &[LayerBudget], total: usize) -> Vec<usize> {
    let raw: Vec<f64> = layers
        .iter()
        .map(|r| r.axes.iter().sum::<usize>() as f64 / r.axes.iter().product::<usize>().max(1) as f64)
        .collect();
    let mut full = vec![false; layers.len()];
    let want = loop {
        let fixed: usize = (0..layers.len()).filter(|&i| full[i]).map(|i| layers[i].dense).sum();
        let open: f64 = (0..layers.len()).filter(|&i| !full[i]).map(|i| raw[i] * layers[i].dense as f64).sum();
        let scale = if open > 0.0 { total.saturating_sub(fixed) as f64 / open } else { 0.0 };
        let before = full.clone();
        (0..layers.len()).filter(|&i| raw[i] * scale > 1.0).for_each(|i| full[i] = true);
        if full == before {
            break (0..layers.len())
                .map(|i| if full[i] { layers[i].dense as f64 } else { raw[i] * scale * layers[i].dense as f64 })
                .collect::<Vec<_>>();
        }
    };
    let mut keep: Vec<usize> = want.iter().zip(layers).map(|(w, r)| (w.floor() as usize).min(r.dense)).collect();
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by(|&a, &b| (want[b] - want[b].floor()).total_cmp(&(want[a] - want[a].floor())).then(a.cmp(&b)));
    let mut missing = total.saturating_sub(keep.iter().sum());
    while missing > 0 && (0..layers.len()).any(|i| keep[i] < layers[i].dense) {
        for &i in order.iter().filter(|&&i| layers[i].dense > 0) {
            if missing > 0 && keep[i] < layers[i].dense {
                keep[i] += 1;
                missing -= 1;
            }
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(name: &str, axes: &[usize]) -> LayerBudget {
        let n = axes.iter().product();
        LayerBudget { name: name.into(), dense: n, current: n, axes: axes.into() }
    }

    fn at(amount: Amount, end: f64, nth: usize) -> Position {
        Position { amount, end, nth }
    }

    fn config(scope: Scope) -> PruneConfig {
        PruneConfig { scope, ..PruneConfig::default() }
    }

    #[test]
    fn layer_scope_takes_the_same_fraction_everywhere() {
        let layers = [layer("a", &[50]), layer("b", &[30])];
        let (s, keep) =
            allocate(&config(Scope::Layer), &layers, at(Amount::OfRemaining(0.1), 0.0, 0), Rounding::FloorKept);
        assert_eq!(keep, KeepCount::Each(vec![45, 27]));
        assert!((s - 0.1).abs() < 1e-12);
    }

    #[test]
    fn table_scope_reaches_its_fractions_at_the_end() {
        let layers = [layer("a", &[100]), layer("b", &[100])];
        let mut c = config(Scope::Table);
        c.table = [("a".to_string(), 0.8), ("b".to_string(), 0.4)].into();
        let table = |s| allocate(&c, &layers, at(Amount::Sparsity(s), 0.5, 0), Rounding::default());
        assert!((table(0.25).0 - 0.3).abs() < 1e-12);
        assert_eq!(table(0.25).1, KeepCount::Each(vec![60, 80]));
        assert_eq!(table(0.5).1, KeepCount::Each(vec![20, 60]));
    }

    #[test]
    fn erk_keeps_small_layers_denser() {
        let layers = [layer("big", &[300, 784]), layer("small", &[10, 100])];
        let (_, keep) = allocate(&config(Scope::Erk), &layers, at(Amount::Sparsity(0.9), 0.0, 0), Rounding::default());
        let KeepCount::Each(keep) = keep else { unreachable!() };
        assert_eq!(keep.iter().sum::<usize>(), Rounding::default().keep(236_200, 0.9));
        assert_eq!(keep[1], 1000, "the small layer stays dense");
    }

    proptest! {
        #[test]
        fn erk_counts_sum_to_the_total_and_fit(axes in prop::collection::vec((1usize..40, 1usize..40), 1..6), s in 0.0..0.99f64) {
            let layers: Vec<LayerBudget> = axes.iter().enumerate().map(|(i, &(a, b))| layer(&i.to_string(), &[a, b])).collect();
            let dense: usize = layers.iter().map(|r| r.dense).sum();
            let total = Rounding::default().keep(dense, s);
            let keep = erk(&layers, total);
            prop_assert_eq!(keep.iter().sum::<usize>(), total);
            prop_assert!(keep.iter().zip(&layers).all(|(k, r)| *k <= r.dense));
        }
    }

    #[test]
    fn counts_scope_repeats_what_another_run_kept() {
        let layers = [layer("a", &[50]), layer("b", &[30])];
        let counts = [("a".to_owned(), vec![45, 40]), ("b".to_owned(), vec![29])].into();
        let c = PruneConfig { scope: Scope::Counts, counts, ..PruneConfig::default() };
        let nth = |nth| allocate(&c, &layers, at(Amount::OfRemaining(0.5), 0.0, nth), Rounding::default());
        assert_eq!(nth(0), (1.0 - 74.0 / 80.0, KeepCount::Each(vec![45, 29])));
        assert_eq!(nth(1).1, KeepCount::Each(vec![40, 29]));
        assert_eq!(nth(7).1, KeepCount::Each(vec![40, 29]), "the last number holds");
    }
}
