//! What the network costs, by what is kept of it.
//!
//! The weights of a parameter have one price each: one parameter, or as many multiply-accumulates as a forward pass of one
//! example makes with it. A block costs what its weights do: by their number alone the blocks at an edge, which are
//! smaller, are taken to be the last that stay, so that no less goes than is asked. What a unit costs depends on the units of other groups that read it, so the network of those
//! sizes is laid out, or run, as it would be with the others cut; what it takes is read off a table.

use super::Setting;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::layout::{Layout, Sizes};
use crate::network::params::{Masking, Param, ParamStore};
use crate::pruning::{self, Granularity, Quantity};
use crate::seed::Seed;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

/// Prices that were asked for before.
#[derive(Default)]
pub(in crate::training) struct Prices {
    /// What is not pruned costs, and one weight of each name that is.
    weights: OnceCell<(usize, Vec<usize>)>,
    /// The most weights that so many blocks of each name hold.
    blocks: OnceCell<Vec<Vec<usize>>>,
    /// The cost of networks by the sizes of the groups that are pruned.
    sizes: RefCell<BTreeMap<Vec<usize>, usize>>,
}

impl<B: Backend> Setting<'_, B> {
    /// The cost of the network that keeps so many weights or blocks of each parameter, or units of each group, in the
    /// order of [`PruneConfig::names`](crate::pruning::PruneConfig::names).
    pub fn cost(&self, kept: &[usize]) -> Result<usize> {
        match self.prune.granularity {
            Granularity::Unit => self.cost_of_units(kept),
            Granularity::Block => self.cost_of_weights(&self.weights_of_blocks(kept)),
            Granularity::Weight | Granularity::NOfM { .. } => self.cost_of_weights(kept),
        }
    }

    fn weights_of_blocks(&self, kept: &[usize]) -> Vec<usize> {
        let of = |name: &String| {
            self.layout.spec(name).map_or(vec![0], |spec| pruning::weights_by_blocks(&spec.shape, self.prune.block))
        };
        let weights = self.prices.blocks.get_or_init(|| self.prune.names(&self.layout).iter().map(of).collect());
        weights.iter().zip(kept).map(|(of, blocks)| of.get(*blocks).or(of.last()).copied().unwrap_or(0)).collect()
    }

    fn cost_of_weights(&self, kept: &[usize]) -> Result<usize> {
        if self.prices.weights.get().is_none() {
            let found = self.weight_prices()?;
            self.prices.weights.get_or_init(|| found);
        }
        let (rest, prices) = self.prices.weights.get().ok_or_else(|| Error::Other("weights have no prices".into()))?;
        Ok(rest + prices.iter().zip(kept).map(|(price, kept)| price * kept).sum::<usize>())
    }

    fn weight_prices(&self) -> Result<(usize, Vec<usize>)> {
        let names = self.prune.names(&self.layout);
        let count = |name: &String| self.layout.spec(name).map_or(0, |spec| spec.shape.count());
        let (all, prices): (usize, Vec<usize>) = if self.prune.target == Quantity::Macs {
            let look = self.look(&self.dense(self.layout.clone())?)?;
            let unused = |name: &String| {
                let text = "multiplications of this weight are not counted: set prune.target = \"params\"";
                Error::Config(format!("{name}: {text}"))
            };
            let price = |name: &String| look.uses.get(name).map(|n| *n as usize).ok_or_else(|| unused(name));
            (look.cost.macs as usize, names.iter().map(price).collect::<Result<_>>()?)
        } else {
            (trained(&self.layout), vec![1; names.len()])
        };
        let pruned: usize = names.iter().zip(&prices).map(|(name, price)| price * count(name)).sum();
        Ok((all.saturating_sub(pruned), prices))
    }

    fn cost_of_units(&self, kept: &[usize]) -> Result<usize> {
        if let Some(table) = &self.latency {
            let names = self.prune.names(&self.layout);
            return Ok(table.nanoseconds(names.iter().map(String::as_str).zip(kept.iter().copied())) as usize);
        }
        if let Some(known) = self.prices.sizes.borrow().get(kept) {
            return Ok(*known);
        }
        let mut sizes: Sizes = self.layout.sizes();
        sizes.0.extend(self.prune.names(&self.layout).into_iter().zip(kept.iter().copied()));
        let layout = self.model.layout(&self.input, &sizes).map_err(|error| error.under("model"))?;
        let found = match self.prune.target {
            Quantity::Macs => self.look(&self.dense(layout)?)?.cost.macs as usize,
            Quantity::Bytes => 4 * layout.params.iter().map(|p| p.shape.count()).sum::<usize>(),
            Quantity::Params | Quantity::Sparsity => trained(&layout),
            Quantity::Milliseconds => return Err(Error::Other("no table says what the network takes".into())),
        };
        self.prices.sizes.borrow_mut().insert(kept.to_vec(), found);
        Ok(found)
    }

    /// A network of that layout with nothing pruned, its weights drawn anew.
    pub(super) fn dense(&self, layout: Layout) -> Result<ParamStore<B>> {
        ParamStore::new(&self.device, layout, Seed(0), Masking::Held)
    }

    /// Fraction that is gone of what the schedule's sparsity is a fraction of.
    pub fn gone(&self, params: &ParamStore<B>) -> Result<f64> {
        // Without pruning steps nothing is timed, and nothing goes.
        if !self.prune.has_cost() || self.prune.has_latency() && self.latency.is_none() {
            return pruning::sparsity(&self.prune, params);
        }
        if self.prune.granularity == Granularity::Block {
            let names = self.prune.names(&self.layout);
            let weights = names.iter().map(|name| params.get(name)).collect::<Result<Vec<_>>>()?;
            let of = |count: fn(&Param<B>) -> usize| {
                self.cost_of_weights(&weights.iter().map(|p| count(p)).collect::<Vec<_>>())
            };
            return Ok(1.0 - of(Param::kept)? as f64 / of(Param::dense_count)?.max(1) as f64);
        }
        pruning::saved(&self.prune, params, &|kept| self.cost(kept))
    }
}

/// Parameters that are trained.
fn trained(layout: &Layout) -> usize {
    layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.count()).sum()
}
