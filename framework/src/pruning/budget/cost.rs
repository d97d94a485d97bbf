//! A schedule's sparsity as a fraction of what the network costs.
//!
//! How many weights or units a cost leaves follows from the ranking: the cheaper the layers whose scores are lowest,
//! the more of them must go. Costs fall with every one that goes, so that the number is found by halving.

use super::{Asked, CostOf, KeepCount, LayerBudget, allocate, bounded, budget, dense_budget};
use crate::backend::Backend;
use crate::error::{Error, OptionError, Result};
use crate::network::layout::Layout;
use crate::network::params::ParamStore;
use crate::pruning::config::{PruneConfig, Scope};
use crate::pruning::criterion::Rounding;
use crate::pruning::schedule::{Amount, Position, Step};

/// What a schedule's amount asks of a network as it is now, as a fraction of what the dense network costs.
///
/// # Errors
/// If the store lacks a name of the configuration; what `cost` reports.
pub fn asked_at_cost<B: Backend>(
    config: &PruneConfig,
    store: &ParamStore<B>,
    position: Position,
    cost: &CostOf<'_>,
) -> Result<Asked> {
    let layers = config.names(store.layout()).iter().map(|n| budget(config, store, n)).collect::<Result<Vec<_>>>()?;
    let layers = bounded(config, &layers, position.progress);
    let of = |count: fn(&LayerBudget) -> usize| layers.iter().map(count).collect::<Vec<_>>();
    let (dense, now) = (cost(&of(|r| r.dense))?, cost(&of(|r| r.current))?);
    let limit = limit(position.amount, dense, now);
    let target = match position.amount {
        Amount::Sparsity(s) => s,
        Amount::OfRemaining(f) => 1.0 - now as f64 / dense.max(1) as f64 * (1.0 - f),
    };
    if config.scope == Scope::Global {
        let limit = KeepCount::Cost(limit);
        return Ok(Asked {
            target,
            keep: limit.clone(),
            wanted: limit,
            now: KeepCount::Cost(now),
            layers,
            multiple: config.multiple,
        });
    }
    let config = PruneConfig { rounding: Rounding::default(), ..config.clone() };
    let elements = of(|r| r.dense).iter().sum::<usize>().max(1) as f64;
    let at = |total: usize| {
        let amount = Amount::Sparsity(1.0 - total as f64 / elements);
        allocate(&config, &layers, Position { amount, ..position })
    };
    let (least, most) = (of(|r| r.least).iter().sum(), of(|r| r.most).iter().sum());
    let total = most_within(least, most, limit, |total| cost(at(total).keep.counts()))?;
    Ok(Asked { target, ..at(total) })
}

/// What an amount leaves of a cost.
fn limit(amount: Amount, dense: usize, now: usize) -> usize {
    // The same room as where a fraction becomes a count: 0.1 of 30 is 2.9999.
    let left = |of: usize, s: f64| ((1.0 - s) * of as f64 + 1e-9 * of as f64).floor() as usize;
    match amount {
        Amount::Sparsity(s) => left(dense, s),
        Amount::OfRemaining(f) => left(now, f),
    }
}

/// The largest number between `least` and `most` whose cost is at most `limit`; `least` where all cost more.
pub(in crate::pruning) fn most_within(
    least: usize,
    most: usize,
    limit: usize,
    cost: impl Fn(usize) -> Result<usize>,
) -> Result<usize> {
    if cost(most)? <= limit {
        return Ok(most);
    }
    let (mut fits, mut too_many) = (least, most);
    while too_many - fits > 1 {
        let middle = usize::midpoint(fits, too_many);
        if cost(middle)? <= limit { fits = middle } else { too_many = middle }
    }
    Ok(fits)
}

/// Refuses a schedule that asks for more of a cost than can go, or for what is gone by then.
///
/// # Errors
/// Under the key that would help; what `cost` reports.
pub(crate) fn affordable(
    config: &PruneConfig,
    layout: &Layout,
    positions: impl Iterator<Item = (Option<Step>, Position)>,
    cost: &CostOf<'_>,
) -> Result<()> {
    let names = config.names(layout);
    let layers = names.iter().map(|n| dense_budget(config, layout, n)).collect::<Result<Vec<_>>>()?;
    let layers = bounded(config, &layers, 1.0);
    let of = |count: fn(&LayerBudget) -> usize| layers.iter().map(count).collect::<Vec<_>>();
    let (dense, cheapest) = (cost(&of(|r| r.dense))?, cost(&of(|r| r.least))?);
    let mut now = cost(&of(|r| r.current))?;
    for (step, position) in positions {
        let limit = limit(position.amount, dense, now);
        let (gone, most) = (1.0 - limit as f64 / dense.max(1) as f64, 1.0 - cheapest as f64 / dense.max(1) as f64);
        let when = step.map_or("before the first step".to_owned(), |step| format!("after step {}", step.0));
        let target = config.counted().words();
        if limit < cheapest {
            let text = format!(
                "{when} the schedule asks for {gone:.4} of the dense network's {target} to be gone, and at most {most:.4} \
                 can be: the rest is what each layer keeps, and layers that are not pruned"
            );
            return Err(OptionError::new("target", target, text).into());
        }
        if limit > now && !config.regrow {
            let text = format!(
                "{when} the schedule asks for {gone:.4} of the dense network's {target} to be gone, less than are gone by \
                 then, and nothing returns: set prune.regrow = true, or let the sparsity only grow"
            );
            return Err(Error::from(OptionError::new("regrow", false, text)));
        }
        now = limit;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_largest_number_within_a_limit_is_found(
            prices in prop::collection::vec(1usize..9, 1..60),
            (limit, least) in (0usize..300, 0usize..5),
        ) {
            let cost = |n: usize| Ok(prices.iter().take(n).sum());
            let (least, most) = (least.min(prices.len()), prices.len());
            let found = most_within(least, most, limit, cost).unwrap();
            let expected = (least..=most).rev().find(|n| prices.iter().take(*n).sum::<usize>() <= limit).unwrap_or(least);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_limit_leaves_what_the_fraction_says() {
        assert_eq!(limit(Amount::Sparsity(0.9), 30, 30), 3);
        assert_eq!(limit(Amount::OfRemaining(0.5), 100, 31), 15);
    }
}
