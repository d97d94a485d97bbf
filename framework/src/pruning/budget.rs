//! How many to keep in each layer: what a schedule's amount means for a network, before anything is scored.

use super::choices::{Granularity, OnEmptyLayer, Scope};
use super::config::PruneConfig;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Layout;
use crate::network::params::{Masking, ParamStore};
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
    /// Extents of its weight in the dense network, for ERK.
    pub axes: Vec<usize>,
    /// Fewest that may be kept: a group keeps one unit.
    pub least: usize,
    /// Factor of the fraction that goes, where each layer is pruned by itself.
    pub rate: f64,
    /// Most that can be kept: of what is held at zero, or cut out, nothing comes back.
    pub most: usize,
}

/// How many to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepCount {
    /// In total, one ranking over all.
    Total(usize),
    /// In each layer, in the order of [`PruneConfig::names`].
    Each(Vec<usize>),
}

/// What one pruning step is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The sparsity that the schedule asks for, over everything that may be pruned.
    pub target: f64,
    /// How many that leaves.
    pub keep: KeepCount,
    /// What the schedule asks for where the network cannot give it: groups keep one unit, held masks do not return.
    pub wanted: KeepCount,
    /// How many there are now.
    pub now: KeepCount,
}

impl KeepCount {
    /// The counts in order; the total alone is one.
    pub fn counts(&self) -> &[usize] {
        match self {
            Self::Total(total) => std::slice::from_ref(total),
            Self::Each(counts) => counts,
        }
    }

    /// Counts between these and `end`, after `round` of `rounds`: densities fall geometrically (SynFlow, Tanaka et al.
    /// 2020, algorithm 1). The last round is the end itself.
    pub fn towards(&self, end: &Self, round: u32, rounds: u32) -> Self {
        let part = f64::from(round) / f64::from(rounds.max(1));
        let between = |from: usize, to: usize| {
            if round >= rounds {
                return to;
            }
            let (a, b) = (from as f64, to as f64);
            let way = if from == 0 || to == 0 { a + (b - a) * part } else { a * (b / a).powf(part) };
            way.round() as usize
        };
        match (self, end) {
            (Self::Total(a), Self::Total(b)) => Self::Total(between(*a, *b)),
            (Self::Each(a), Self::Each(b)) => Self::Each(a.iter().zip(b).map(|(a, b)| between(*a, *b)).collect()),
            _ => end.clone(),
        }
    }
}

/// What a schedule's amount asks of a network as it is now.
///
/// # Errors
/// If the store lacks a name of the configuration.
pub fn asked<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, position: Position) -> Result<Asked> {
    let layers = config.names(store.layout()).iter().map(|n| budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    Ok(allocate(config, &layers, position))
}

/// The numbers of a parameter or group.
pub(super) fn budget<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<LayerBudget> {
    let mut layer = dense_budget(config, store.layout(), name)?;
    match config.granularity {
        Granularity::Weight => {
            let p = store.get(name)?;
            (layer.dense, layer.current) = (p.dense_count(), p.kept());
        }
        Granularity::Unit => layer.current = store.units(name),
    }
    // A network from which units are cut has the densities of the dense one, as a masked one does.
    let group = store.layout().group(name).map(|group| group.producer_weights(store.layout()));
    let weight = group.as_ref().and_then(|members| members.first()).map_or(name, |member| member.param.as_str());
    if let Some(p) = store.find(weight) {
        layer.axes = p.dense_shape().to_vec();
    }
    layer.most = if store.masking() == Masking::Held { layer.current } else { layer.dense };
    Ok(layer)
}

/// The same of a network from which nothing is gone yet.
pub(super) fn dense_budget(config: &PruneConfig, layout: &Layout, name: &str) -> Result<LayerBudget> {
    let missing = || Error::Other(format!("there is no parameter or unit group `{name}`"));
    let keeps_one = config.granularity == Granularity::Unit || config.on_empty_layer == OnEmptyLayer::KeepOne;
    let (dense, current, axes) = match config.granularity {
        Granularity::Weight => {
            let spec = layout.spec(name).ok_or_else(missing)?;
            (spec.shape.count(), spec.shape.count(), spec.shape.to_vec())
        }
        Granularity::Unit => {
            let group = layout.group(name).ok_or_else(missing)?;
            let producer = group.producer_weights(layout).first().and_then(|m| layout.spec(&m.param));
            (group.dense_units, group.units, producer.map_or(vec![group.dense_units], |s| s.shape.to_vec()))
        }
    };
    let output = config.granularity == Granularity::Weight && layout.spec(name).is_some_and(|spec| spec.output);
    let rate = if output { config.output_rate } else { 1.0 };
    Ok(LayerBudget { name: name.into(), dense, current, axes, least: usize::from(keeps_one), rate, most: current })
}

/// What an amount asks of these layers, and the counts that come nearest to it.
pub(super) fn allocate(
    config: &PruneConfig,
    layers: &[LayerBudget],
    Position { amount, progress, nth }: Position,
) -> Asked {
    let sum = |of: fn(&LayerBudget) -> usize| layers.iter().map(of).sum::<usize>();
    let (dense, current, rounding) = (sum(|r| r.dense), sum(|r| r.current), config.rounding);
    let keep = |of: usize, now: usize, rate: f64| match amount {
        Amount::Sparsity(s) => rounding.keep(of, s * rate),
        Amount::OfRemaining(f) => rounding.keep(now, f * rate),
    };
    let each = |f: &dyn Fn(&LayerBudget) -> usize| KeepCount::Each(layers.iter().map(f).collect());
    let fraction = |name: &str| config.table.get(name).copied().unwrap_or(0.0);
    let wanted = match config.scope {
        Scope::Global => KeepCount::Total(keep(dense, current, 1.0)),
        Scope::Layer => each(&|r| keep(r.dense, r.current, r.rate)),
        Scope::Erk => {
            let (total, mut layers) = (keep(dense, current, 1.0), layers.to_vec());
            // More than there is left is told apart from what can be given, not cut down to it.
            if total > sum(|r| r.most) {
                layers.iter_mut().for_each(|r| r.most = r.dense);
            }
            KeepCount::Each(erk(&layers, total))
        }
        // Final fractions, whichever way the schedule tells its amounts.
        Scope::Table => each(&|r| rounding.keep(r.dense, fraction(&r.name) * progress)),
        Scope::Counts => each(&|r| {
            let counts = config.counts.get(&r.name).map_or(&[][..], Vec::as_slice);
            counts.get(nth).or(counts.last()).map_or(r.dense, |count| *count.min(&r.dense))
        }),
    };
    let (now, fitted) = match &wanted {
        KeepCount::Total(total) => {
            (KeepCount::Total(current), KeepCount::Total((*total).min(sum(|r| r.most)).max(sum(|r| r.least))))
        }
        KeepCount::Each(counts) => (
            KeepCount::Each(layers.iter().map(|r| r.current).collect()),
            KeepCount::Each(counts.iter().zip(layers).map(|(n, r)| (*n).min(r.most).max(r.least)).collect()),
        ),
    };
    let uneven = config.scope == Scope::Layer && layers.iter().any(|r| r.rate != 1.0);
    let target = match (config.scope, amount) {
        (scope, _) if uneven || matches!(scope, Scope::Table | Scope::Counts) => {
            1.0 - wanted.counts().iter().sum::<usize>() as f64 / dense.max(1) as f64
        }
        (_, Amount::Sparsity(s)) => s,
        (_, Amount::OfRemaining(f)) => 1.0 - current as f64 / dense.max(1) as f64 * (1.0 - f),
    };
    Asked { target, keep: fitted, wanted, now }
}

/// Erdős–Rényi kernel: density of a layer proportional to (sum of axes) / (product of axes), at most what the layer can
/// keep; the counts sum to `total` exactly where the layers can hold as many, what rounding leaves going to the largest
/// fractions.
fn erk(layers: &[LayerBudget], total: usize) -> Vec<usize> {
    let raw: Vec<f64> = layers
        .iter()
        .map(|r| r.axes.iter().sum::<usize>() as f64 / r.axes.iter().product::<usize>().max(1) as f64)
        .collect();
    let mut full = vec![false; layers.len()];
    let want = loop {
        let fixed: usize = (0..layers.len()).filter(|&i| full[i]).map(|i| layers[i].most).sum();
        let open: f64 = (0..layers.len()).filter(|&i| !full[i]).map(|i| raw[i] * layers[i].dense as f64).sum();
        let scale = if open > 0.0 { total.saturating_sub(fixed) as f64 / open } else { 0.0 };
        let before = full.clone();
        let over = |i: usize| raw[i] * scale * layers[i].dense as f64 > layers[i].most as f64;
        (0..layers.len()).filter(|&i| over(i)).for_each(|i| full[i] = true);
        if full == before {
            break (0..layers.len())
                .map(|i| if full[i] { layers[i].most as f64 } else { raw[i] * scale * layers[i].dense as f64 })
                .collect::<Vec<_>>();
        }
    };
    let mut keep: Vec<usize> =
        want.iter().zip(layers).map(|(w, r)| (w.floor() as usize).clamp(r.least.min(r.most), r.most)).collect();
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
    // Layers that must keep one may have taken more than their share.
    let mut over = keep.iter().sum::<usize>().saturating_sub(total);
    while over > 0 && (0..layers.len()).any(|i| keep[i] > layers[i].least) {
        for &i in order.iter().rev() {
            if over > 0 && keep[i] > layers[i].least {
                keep[i] -= 1;
                over -= 1;
            }
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning::criterion::Rounding;
    use proptest::prelude::*;

    fn layer(name: &str, axes: &[usize]) -> LayerBudget {
        let n = axes.iter().product();
        LayerBudget { name: name.into(), dense: n, current: n, axes: axes.into(), least: 0, rate: 1.0, most: n }
    }

    fn at(amount: Amount, progress: f64, nth: usize) -> Position {
        Position { amount, progress, nth }
    }

    fn config(scope: Scope) -> PruneConfig {
        PruneConfig { scope, ..PruneConfig::default() }
    }

    #[test]
    fn layer_scope_takes_the_same_fraction_everywhere() {
        let layers = [layer("a", &[50]), layer("b", &[30])];
        let c = PruneConfig { rounding: Rounding::FloorKept, ..config(Scope::Layer) };
        let asked = allocate(&c, &layers, at(Amount::OfRemaining(0.1), 0.0, 0));
        assert_eq!(asked.keep, KeepCount::Each(vec![45, 27]));
        assert!((asked.target - 0.1).abs() < 1e-12);
    }

    /// Frankle & Carbin 2019, section 2: 20 % of what remains of a layer, 10 % of the last one.
    #[test]
    fn the_output_layer_may_lose_less() {
        let mut layers = [layer("fc", &[300]), layer("out", &[100])];
        layers[1].rate = 0.5;
        let asked = allocate(&config(Scope::Layer), &layers, at(Amount::OfRemaining(0.2), 0.0, 0));
        assert_eq!((asked.keep, asked.target), (KeepCount::Each(vec![240, 90]), 1.0 - 330.0 / 400.0));
        let asked = allocate(&config(Scope::Layer), &layers, at(Amount::Sparsity(0.5), 0.0, 0));
        assert_eq!(asked.keep, KeepCount::Each(vec![150, 75]));
        let asked = allocate(&config(Scope::Global), &layers, at(Amount::Sparsity(0.5), 0.0, 0));
        assert_eq!((asked.keep, asked.target), (KeepCount::Total(200), 0.5), "one ranking has no rates");
    }

    #[test]
    fn table_scope_reaches_its_fractions_at_the_end_whichever_way_the_amounts_are_told() {
        let layers = [layer("a", &[100]), layer("b", &[100])];
        let mut c = config(Scope::Table);
        c.table = [("a".to_string(), 0.8), ("b".to_string(), 0.4)].into();
        for amount in [Amount::Sparsity(0.25), Amount::OfRemaining(0.3)] {
            let table = |progress| allocate(&c, &layers, at(amount, progress, 0));
            assert!((table(0.5).target - 0.3).abs() < 1e-12);
            assert_eq!(table(0.5).keep, KeepCount::Each(vec![60, 80]));
            assert_eq!(table(1.0).keep, KeepCount::Each(vec![20, 60]));
        }
    }

    #[test]
    fn erk_keeps_small_layers_denser() {
        let layers = [layer("big", &[300, 784]), layer("small", &[10, 100])];
        let asked = allocate(&config(Scope::Erk), &layers, at(Amount::Sparsity(0.9), 0.0, 0));
        let KeepCount::Each(keep) = asked.keep else { unreachable!() };
        assert_eq!(keep.iter().sum::<usize>(), Rounding::default().keep(236_200, 0.9));
        assert_eq!(keep[1], 1000, "the small layer stays dense");
    }

    proptest! {
        #[test]
        fn erk_counts_sum_to_the_total_and_fit_what_there_is(
            axes in prop::collection::vec((1usize..40, 1usize..40), 1..6),
            (first, then) in (0.0..0.99f64, 0.0..0.99f64),
        ) {
            let mut layers: Vec<LayerBudget> =
                axes.iter().enumerate().map(|(i, &(a, b))| layer(&i.to_string(), &[a, b])).collect();
            let dense: usize = layers.iter().map(|r| r.dense).sum();
            // What is held does not come back, whatever the densities of a later step are.
            for s in [first.min(then), first.max(then)] {
                let total = Rounding::default().keep(dense, s);
                let keep = erk(&layers, total);
                prop_assert_eq!(keep.iter().sum::<usize>(), total);
                prop_assert!(keep.iter().zip(&layers).all(|(k, r)| *k <= r.most));
                layers.iter_mut().zip(keep).for_each(|(r, k)| (r.current, r.most) = (k, k));
            }
        }

        #[test]
        fn rounds_fall_and_end_at_the_end(now in 1usize..5000, end in 0usize..5000, rounds in 1u32..120) {
            let (now, end) = (KeepCount::Total(now.max(end)), KeepCount::Total(end));
            let way: Vec<usize> = (1..=rounds).map(|i| now.towards(&end, i, rounds).counts()[0]).collect();
            prop_assert!(way.is_sorted_by(|a, b| a >= b) && way[0] <= now.counts()[0]);
            prop_assert_eq!(*way.last().unwrap(), end.counts()[0]);
        }
    }

    #[test]
    fn counts_scope_repeats_what_another_run_kept() {
        let layers = [layer("a", &[50]), layer("b", &[30])];
        let counts = [("a".to_owned(), vec![45, 40]), ("b".to_owned(), vec![29])].into();
        let c = PruneConfig { scope: Scope::Counts, counts, ..PruneConfig::default() };
        let nth = |nth| allocate(&c, &layers, at(Amount::OfRemaining(0.5), 0.0, nth));
        assert_eq!((nth(0).target, nth(0).keep), (1.0 - 74.0 / 80.0, KeepCount::Each(vec![45, 29])));
        assert_eq!(nth(1).keep, KeepCount::Each(vec![40, 29]));
        assert_eq!(nth(7).keep, KeepCount::Each(vec![40, 29]), "the last number holds");
    }

    #[test]
    fn what_cannot_be_given_is_told_apart_from_what_is_asked() {
        let mut layers = [layer("a", &[10]), layer("b", &[10])];
        layers.iter_mut().for_each(|r| r.least = 1);
        let asked = allocate(&config(Scope::Layer), &layers, at(Amount::OfRemaining(0.99), 0.0, 0));
        assert_eq!(asked.keep, KeepCount::Each(vec![1, 1]));
        let nearest = PruneConfig { rounding: Rounding::Nearest, ..config(Scope::Global) };
        let asked = allocate(&nearest, &layers, at(Amount::Sparsity(0.99), 0.0, 0));
        assert_eq!((asked.wanted, asked.keep), (KeepCount::Total(0), KeepCount::Total(2)));
    }
}
