//! How many to keep in each layer: what a schedule's amount means for a network, before anything is scored.

mod cost;
mod multiple;
mod share;

pub(crate) use cost::affordable;
pub use cost::asked_at_cost;
pub(super) use cost::most_within;
pub(super) use multiple::in_multiples;
use share::share;

use super::config::{Granularity, OnEmptyLayer, PruneConfig, Scope};
use super::masks::{Blocks, pattern};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::Layout;
use crate::network::params::{Masking, ParamStore};
use crate::options::entry_for;
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
    /// Extents of its weight in the dense network, for ERK.
    pub axes: Vec<usize>,
    /// Fewest that may be kept: a group keeps one unit.
    pub least: usize,
    /// Factor of the fraction that goes, where each layer is pruned by itself.
    pub rate: f64,
    /// Most that can be kept: of what is held at zero, or cut out, nothing comes back.
    pub most: usize,
    /// What the granularity leaves, whatever the schedule asks for: n of every m.
    pub fixed: Option<usize>,
}

/// How many to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepCount {
    /// In total, one ranking over all.
    Total(usize),
    /// In each layer, in the order of [`PruneConfig::names`].
    Each(Vec<usize>),
    /// As many as together with the rest of the network cost this much at most.
    Cost(usize),
}

/// What a network costs that keeps so many weights of each parameter, or units of each group, in the order of
/// [`PruneConfig::names`].
pub type CostOf<'a> = dyn Fn(&[usize]) -> Result<usize> + 'a;

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
    /// The layers, with what each may keep.
    pub(super) layers: Vec<LayerBudget>,
    /// What the counts are to be multiples of.
    pub(super) multiple: usize,
}

/// What one round of a pruning step is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// How many.
    pub counts: KeepCount,
    /// The fewest and the most that each layer may keep, in the order of [`PruneConfig::names`].
    pub bounds: Vec<(usize, usize)>,
    /// What the counts of one ranking over all layers are to be multiples of; 1 before the last round.
    pub multiple: usize,
}

impl Asked {
    /// What `round` of `rounds` is to leave; the last one, all that is asked.
    pub fn round(&self, round: u32, rounds: u32) -> Goal {
        let each = |of: fn(&LayerBudget) -> usize| KeepCount::Each(self.layers.iter().map(of).collect());
        let most = each(|r| r.current.max(r.most)).towards(&each(|r| r.most), round, rounds);
        let bounds = self.layers.iter().zip(most.counts()).map(|(r, most)| (r.least, *most)).collect();
        let multiple = if round < rounds { 1 } else { self.multiple };
        Goal { counts: self.now.towards(&self.keep, round, rounds), bounds, multiple }
    }
}

impl KeepCount {
    /// The counts in order; the total alone, or the cost, is one.
    pub fn counts(&self) -> &[usize] {
        match self {
            Self::Total(total) | Self::Cost(total) => std::slice::from_ref(total),
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
            (Self::Cost(a), Self::Cost(b)) => Self::Cost(between(*a, *b)),
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
    Ok(allocate(config, &bounded(config, &layers, position.progress), position))
}

/// The numbers of a parameter or group.
pub(super) fn budget<B: Backend>(config: &PruneConfig, store: &ParamStore<B>, name: &str) -> Result<LayerBudget> {
    let mut layer = dense_budget(config, store.layout(), name)?;
    match config.granularity {
        Granularity::Unit => layer.current = store.units(name),
        Granularity::Weight | Granularity::NOfM { .. } => {
            let p = store.get(name)?;
            (layer.dense, layer.current) = (p.dense_count(), p.kept());
        }
        Granularity::Block => layer.current = super::plan::kept(config, store, name)?,
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
    let spec = || layout.spec(name).ok_or_else(missing);
    let (dense, current, axes) = match config.granularity {
        Granularity::Weight | Granularity::NOfM { .. } => {
            let shape = spec()?.shape;
            (shape.count(), shape.count(), shape.to_vec())
        }
        Granularity::Block => {
            let blocks = Blocks::new(&spec()?.shape, config.block);
            (blocks.count(), blocks.count(), spec()?.shape.to_vec())
        }
        Granularity::Unit => {
            let group = layout.group(name).ok_or_else(missing)?;
            let producer = group.producer_weights(layout).first().and_then(|m| layout.spec(&m.param));
            (group.dense_units, group.units, producer.map_or(vec![group.dense_units], |s| s.shape.to_vec()))
        }
    };
    let fixed = match config.granularity {
        Granularity::NOfM { n, m } => Some(pattern::kept(&spec()?.shape, pattern::input_axis(layout, spec()?), n, m)),
        _ => None,
    };
    let output = layout.spec(name).is_some_and(|spec| spec.output);
    let rate = if output { config.output_rate } else { 1.0 };
    let (name, least) = (name.into(), usize::from(keeps_one));
    Ok(LayerBudget { name, dense, current, axes, least, rate, most: current, fixed })
}

/// The same layers, with `multiple`, `min_sparsity` and `max_sparsity` in what each may keep; the smallest sparsity is
/// asked for in proportion to `progress`.
pub(super) fn bounded(config: &PruneConfig, layers: &[LayerBudget], progress: f64) -> Vec<LayerBudget> {
    let mut layers = layers.to_vec();
    if config.rounds_to_multiples() {
        // The smallest multiple, or all of a smaller layer.
        layers.iter_mut().for_each(|r| r.least = r.least.max(config.multiple.min(r.dense)).min(r.most));
    }
    if !config.shares() || config.granularity.is_pattern() {
        return layers;
    }
    for r in &mut layers {
        // The sparsity itself is held to, so that what is kept is rounded up here and down there.
        let least = config.max_sparsity.of(&r.name).map_or(0, |s| Rounding::FloorPruned.keep(r.dense, *s));
        r.least = r.least.max(least).min(r.most);
        if let Some(s) = config.min_sparsity.of(&r.name) {
            r.most = r.most.min(Rounding::FloorKept.keep(r.dense, s * progress)).max(r.least);
        }
    }
    layers
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
    let fraction = |name: &str| entry_for(&config.table, name).copied().unwrap_or(0.0);
    let wanted = match config.scope {
        _ if config.granularity.is_pattern() => each(&|r| r.fixed.unwrap_or(r.dense)),
        Scope::Global => KeepCount::Total(keep(dense, current, 1.0)),
        Scope::Layer if !config.is_bounded() => each(&|r| keep(r.dense, r.current, r.rate)),
        // What the bounds of a layer keep it from giving is made up for by the others.
        Scope::Layer | Scope::Erk => {
            let erks = config.scope == Scope::Erk;
            let of_each = || layers.iter().map(|r| keep(r.dense, r.current, 1.0)).sum();
            let (total, mut layers) = (if erks { keep(dense, current, 1.0) } else { of_each() }, layers.to_vec());
            // More than there is left is told apart from what can be given, not cut down to it.
            if total > sum(|r| r.most) {
                layers.iter_mut().for_each(|r| r.most = r.dense);
            }
            let density: fn(&LayerBudget) -> f64 = if erks { erk } else { |_| 1.0 };
            KeepCount::Each(share(&layers, total, density))
        }
        // Final fractions, whichever way the schedule tells its amounts.
        Scope::Table => each(&|r| rounding.keep(r.dense, fraction(&r.name) * progress)),
        Scope::Counts => each(&|r| {
            let counts = entry_for(&config.counts, &r.name).map_or(&[][..], Vec::as_slice);
            counts.get(nth).or(counts.last()).map_or(r.dense, |count| *count.min(&r.dense))
        }),
    };
    let (now, fitted) = match &wanted {
        KeepCount::Total(total) => {
            (KeepCount::Total(current), KeepCount::Total((*total).min(sum(|r| r.most)).max(sum(|r| r.least))))
        }
        KeepCount::Cost(_) => (wanted.clone(), wanted.clone()),
        KeepCount::Each(counts) => (
            KeepCount::Each(layers.iter().map(|r| r.current).collect()),
            KeepCount::Each(counts.iter().zip(layers).map(|(n, r)| (*n).min(r.most).max(r.least)).collect()),
        ),
    };
    let fitted = match fitted {
        KeepCount::Each(counts) if config.rounds_to_multiples() => {
            let total = config.shares().then(|| wanted.counts().iter().sum());
            KeepCount::Each(in_multiples(&counts, layers, config.multiple, total))
        }
        fitted => fitted,
    };
    let uneven = config.scope == Scope::Layer && layers.iter().any(|r| r.rate != 1.0);
    let own = config.granularity.is_pattern() || !config.shares() || uneven;
    let target = match amount {
        _ if own => 1.0 - wanted.counts().iter().sum::<usize>() as f64 / dense.max(1) as f64,
        Amount::Sparsity(s) => s,
        Amount::OfRemaining(f) => 1.0 - current as f64 / dense.max(1) as f64 * (1.0 - f),
    };
    Asked { target, keep: fitted, wanted, now, layers: layers.to_vec(), multiple: config.multiple }
}

/// Erdős–Rényi kernel: the density of a layer is proportional to (sum of axes) / (product of axes).
fn erk(layer: &LayerBudget) -> f64 {
    layer.axes.iter().sum::<usize>() as f64 / layer.axes.iter().product::<usize>().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OneOrTable;
    use proptest::prelude::*;

    fn layer(name: &str, axes: &[usize]) -> LayerBudget {
        let n = axes.iter().product();
        let name = name.into();
        LayerBudget { name, dense: n, current: n, axes: axes.into(), least: 0, rate: 1.0, most: n, fixed: None }
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
                let keep = share(&layers, total, erk);
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

    #[test]
    fn bounds_move_with_the_schedule_and_the_rest_is_taken_elsewhere() {
        let layers = [layer("conv", &[100]), layer("fc", &[100]), layer("fc2", &[200])];
        let mut c = config(Scope::Layer);
        c.max_sparsity = OneOrTable::Table([("conv".to_owned(), 0.5)].into());
        c.min_sparsity = OneOrTable::Table([("fc2".to_owned(), 0.9)].into());
        let at = |progress, s| {
            let at = Position { amount: Amount::Sparsity(s), progress, nth: 0 };
            allocate(&c, &bounded(&c, &layers, progress), at).keep
        };
        assert_eq!(at(0.0, 0.0), KeepCount::Each(vec![100, 100, 200]));
        // 200 stay of 400: half of each, as conv must keep and fc2, which may keep 110 by then, can.
        assert_eq!(at(0.5, 0.5), KeepCount::Each(vec![50, 50, 100]));
        // 80 stay: conv keeps 50 and fc2 at most 20, so that 30 are shared by size: 10 and 20.
        assert_eq!(at(1.0, 0.8), KeepCount::Each(vec![50, 10, 20]));
        let global = PruneConfig { scope: Scope::Global, ..c.clone() };
        let asked = allocate(
            &global,
            &bounded(&global, &layers, 1.0),
            Position { amount: Amount::Sparsity(0.8), progress: 1.0, nth: 0 },
        );
        assert_eq!(
            asked.round(1, 1),
            Goal { counts: KeepCount::Total(80), bounds: vec![(50, 100), (0, 100), (0, 20)], multiple: 1 }
        );
    }
}
