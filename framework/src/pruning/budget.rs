//! How many to keep in each layer.

use super::config::{PruneConfig, Scope};
use crate::pruning::criterion::Rounding;
use crate::pruning::schedule::Amount;

/// One layer's numbers: parameters or unit groups.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Room {
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
pub(super) enum Keep {
    /// In total, one ranking over all.
    Total(usize),
    /// In each layer.
    Each(Vec<usize>),
}

/// The nominal sparsity that an amount means, and the counts that realise it.
pub(super) fn allocate(
    config: &PruneConfig,
    rooms: &[Room],
    amount: Amount,
    rounding: Rounding,
    end: f64,
    nth: usize,
) -> (f64, Keep) {
    let dense: usize = rooms.iter().map(|r| r.dense).sum();
    let current: usize = rooms.iter().map(|r| r.current).sum();
    let left = current as f64 / dense.max(1) as f64;
    let nominal = match amount {
        Amount::Sparsity(s) => s,
        Amount::OfRemaining(f) => 1.0 - left * (1.0 - f),
    };
    let each = |f: &dyn Fn(&Room) -> usize| Keep::Each(rooms.iter().map(f).collect());
    let keep = match (config.scope, amount) {
        (Scope::Global, Amount::Sparsity(s)) => Keep::Total(rounding.keep(dense, s)),
        (Scope::Global, Amount::OfRemaining(f)) => Keep::Total(rounding.keep(current, f)),
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
            Keep::Each(erk(rooms, total))
        }
    };
    let by_layer = matches!(config.scope, Scope::Table | Scope::Counts);
    (if by_layer { table_sparsity(rooms, &keep, dense) } else { nominal }, keep)
}

fn table_sparsity(rooms: &[Room], keep: &Keep, dense: usize) -> f64 {
    let Keep::Each(keep) = keep else { return 0.0 };
    debug_assert_eq!(keep.len(), rooms.len());
    1.0 - keep.iter().sum::<usize>() as f64 / dense.max(1) as f64
}

/// Erdős–Rényi kernel: density of a layer proportional to (sum of axes) / (product of axes), at most one; the counts sum to `total`
/// exactly, what rounding leaves going to the largest fractions.
fn erk(rooms: &[Room], total: usize) -> Vec<usize> {
    let raw: Vec<f64> = rooms
        .iter()
        .map(|r| r.axes.iter().sum::<usize>() as f64 / r.axes.iter().product::<usize>().max(1) as f64)
        .collect();
    let mut full = vec![false; rooms.len()];
    let want = loop {
        let fixed: usize = (0..rooms.len()).filter(|&i| full[i]).map(|i| rooms[i].dense).sum();
        let open: f64 = (0..rooms.len()).filter(|&i| !full[i]).map(|i| raw[i] * rooms[i].dense as f64).sum();
        let scale = if open > 0.0 { total.saturating_sub(fixed) as f64 / open } else { 0.0 };
        let before = full.clone();
        (0..rooms.len()).filter(|&i| raw[i] * scale > 1.0).for_each(|i| full[i] = true);
        if full == before {
            break (0..rooms.len())
                .map(|i| if full[i] { rooms[i].dense as f64 } else { raw[i] * scale * rooms[i].dense as f64 })
                .collect::<Vec<_>>();
        }
    };
    let mut keep: Vec<usize> = want.iter().zip(rooms).map(|(w, r)| (w.floor() as usize).min(r.dense)).collect();
    let mut order: Vec<usize> = (0..rooms.len()).collect();
    order.sort_by(|&a, &b| (want[b] - want[b].floor()).total_cmp(&(want[a] - want[a].floor())).then(a.cmp(&b)));
    let mut missing = total.saturating_sub(keep.iter().sum());
    while missing > 0 && (0..rooms.len()).any(|i| keep[i] < rooms[i].dense) {
        for &i in order.iter().filter(|&&i| rooms[i].dense > 0) {
            if missing > 0 && keep[i] < rooms[i].dense {
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

    fn room(name: &str, axes: &[usize]) -> Room {
        let n = axes.iter().product();
        Room { name: name.into(), dense: n, current: n, axes: axes.into() }
    }

    fn config(scope: Scope) -> PruneConfig {
        PruneConfig { scope, ..PruneConfig::default() }
    }

    #[test]
    fn layer_scope_takes_the_same_fraction_everywhere() {
        let rooms = [room("a", &[50]), room("b", &[30])];
        let (s, keep) = allocate(&config(Scope::Layer), &rooms, Amount::OfRemaining(0.1), Rounding::FloorKept, 0.0, 0);
        assert_eq!(keep, Keep::Each(vec![45, 27]));
        assert!((s - 0.1).abs() < 1e-12);
    }

    #[test]
    fn table_scope_reaches_its_fractions_at_the_end() {
        let rooms = [room("a", &[100]), room("b", &[100])];
        let mut c = config(Scope::Table);
        c.table = [("a".to_string(), 0.8), ("b".to_string(), 0.4)].into();
        let at = |s| allocate(&c, &rooms, Amount::Sparsity(s), Rounding::default(), 0.5, 0);
        assert!((at(0.25).0 - 0.3).abs() < 1e-12);
        assert_eq!(at(0.25).1, Keep::Each(vec![60, 80]));
        assert_eq!(at(0.5).1, Keep::Each(vec![20, 60]));
    }

    #[test]
    fn erk_keeps_small_layers_denser() {
        let rooms = [room("big", &[300, 784]), room("small", &[10, 100])];
        let (_, keep) = allocate(&config(Scope::Erk), &rooms, Amount::Sparsity(0.9), Rounding::default(), 0.0, 0);
        let Keep::Each(keep) = keep else { unreachable!() };
        assert_eq!(keep.iter().sum::<usize>(), Rounding::default().keep(236_200, 0.9));
        assert_eq!(keep[1], 1000, "the small layer stays dense");
    }

    proptest! {
        #[test]
        fn erk_counts_sum_to_the_total_and_fit(axes in prop::collection::vec((1usize..40, 1usize..40), 1..6), s in 0.0..0.99f64) {
            let rooms: Vec<Room> = axes.iter().enumerate().map(|(i, &(a, b))| room(&i.to_string(), &[a, b])).collect();
            let dense: usize = rooms.iter().map(|r| r.dense).sum();
            let total = Rounding::default().keep(dense, s);
            let keep = erk(&rooms, total);
            prop_assert_eq!(keep.iter().sum::<usize>(), total);
            prop_assert!(keep.iter().zip(&rooms).all(|(k, r)| *k <= r.dense));
        }
    }

    #[test]
    fn counts_scope_repeats_what_another_run_kept() {
        let rooms = [room("a", &[50]), room("b", &[30])];
        let counts = [("a".to_owned(), vec![45, 40]), ("b".to_owned(), vec![29])].into();
        let c = PruneConfig { scope: Scope::Counts, counts, ..PruneConfig::default() };
        let at = |nth| allocate(&c, &rooms, Amount::OfRemaining(0.5), Rounding::default(), 0.0, nth);
        assert_eq!(at(0), (1.0 - 74.0 / 80.0, Keep::Each(vec![45, 29])));
        assert_eq!(at(1).1, Keep::Each(vec![40, 29]));
        assert_eq!(at(7).1, Keep::Each(vec![40, 29]), "the last number holds");
    }
}
