//! What the initial weights of a network look like, beside how long each of them survived.

use super::regression::Regression;
use super::{add_gradients, terms};
use crate::gathered::Sums;
use secateur::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Stands in the place of a run's criterion: at the first pruning step it adds every weight to a [`Regression`]. In a run
/// that prunes before the first update, and else is as the one whose survivors these are, the weights and the data are
/// those that the other run began with.
#[derive(Debug, Clone)]
pub struct Survivors {
    /// The share of the pruning steps that each weight survived, from 0 to 1, by parameter, in row-major order.
    pub survived: BTreeMap<String, Vec<f64>>,
    /// Batches whose gradients are averaged.
    pub batches: u64,
    /// What all weights add up to.
    pub regression: Arc<Mutex<Regression>>,
}

impl<B: Backend> Criterion<B> for Survivors {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }

    fn prepare(&mut self, probe: &mut dyn Probe<B>) -> Result<()> {
        let mut sums = Sums::default();
        add_gradients(probe, self.batches, &mut sums)?;
        let mut regression = self.regression.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, survived) in &self.survived {
            let weight = probe.params().get(name)?.value();
            if weight.count() != survived.len() {
                return Err(Error::Other(format!(
                    "`{name}` has {} weights, and it is known of {} how long they survived",
                    weight.count(),
                    survived.len()
                )));
            }
            let terms = terms(weight, &sums.mean(name)?)?;
            let values = terms.each_ref().map(Tensor::host);
            for (i, share) in survived.iter().enumerate() {
                regression.add(values.each_ref().map(|values| f64::from(values[i])), *share);
            }
        }
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.abs()?.into())
    }
}
