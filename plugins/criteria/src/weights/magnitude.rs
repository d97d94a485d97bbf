//! Magnitude: small weights matter least.

use secateur::prelude::*;

choices! {
    /// Norm of a unit's weights.
    pub enum Norm {
        /// Σ |w|
        L1 = "l1",
        /// √Σ w²
        L2 = "l2",
    }
}

options! {
    /// |w| (Han et al. 2015, "Learning both Weights and Connections"); with `threshold`, their rule tau = q std(w) per
    /// layer.
    ///
    /// Where units are pruned, the score of a unit is the norm of its weights: `l1` as for the filters of Li et al. 2016,
    /// `l2` as for those of He et al. 2018. `prune.reduce`, where it is set, stands above it. Single weights have the
    /// same order in both norms.
    pub struct Magnitude {
        /// Norm of a unit's weights: `l1`, the sum of |w|, or `l2`, the root of the sum of w².
        #[acts(|m| m.threshold.is_none(), "no threshold")]
        #[acts(
            "prune.granularity",
            |what| what == "unit" || what == "block",
            "prune.granularity = \"unit\" or \"block\", since both norms order single weights alike"
        )]
        #[acts("prune.reduce", |reduce| reduce.is_empty(), "no prune.reduce, which stands above it")]
        pub norm: Norm = Norm::L1,
        /// Prunes every weight below this many standard deviations of its layer's weights, instead of a set number; the
        /// schedule then only says when.
        #[acts(always)]
        pub threshold: Option<f32> = None,
    }

    fn check(&self, checks: &mut Checks) {
        checks.above("threshold", self.threshold, 0.0);
    }
}

impl Magnitude {
    fn own_rule(&self, weights: &[f32], q: f32) -> Vec<bool> {
        let n = weights.len().max(1) as f64;
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
        let variance = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum::<f64>() / n;
        let tau = f64::from(q) * variance.sqrt();
        weights.iter().map(|&w| f64::from(w.abs()) >= tau).collect()
    }
}

impl<B: Backend> Criterion<B> for Magnitude {
    /// Nothing but the weights as they are counts.
    fn window(&self) -> Window {
        Window::LastStep
    }

    fn reduce(&self) -> Reduce {
        match self.norm {
            Norm::L1 => Reduce::L1,
            Norm::L2 => Reduce::L2,
        }
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        if let Some(q) = self.threshold {
            return Ok(Scores::Keep(self.own_rule(&target.weight()?.host(), q)));
        }
        Ok(target.weight()?.abs()?.into())
    }
}

register!(Criterion, "magnitude", Magnitude, "Small weights first: |w|; units by the norm of their weights.");
