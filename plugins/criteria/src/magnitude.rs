//! Magnitude: small weights matter least.

use secateur::prelude::*;

choices! {
    /// Norm of the magnitude.
    pub enum Norm {
        /// |w|
        L1 = "l1",
        /// w²
        L2 = "l2",
    }
}

options! {
    /// |w|, or w² (Han et al. 2015, "Learning both Weights and Connections"); with `threshold`, their rule tau = q std(w) per layer.
    ///
    /// Where units are pruned, `prune.reduce` makes a unit's score of its weights' scores: `l1` of |w| gives the filter
    /// norms of Li et al. 2016, and `l2` of |w| those of He et al. 2018. For single weights both norms give the same
    /// order.
    pub struct Magnitude {
        /// `l1` scores |w|, `l2` scores w².
        #[acts(|m| m.threshold.is_none(), "no threshold")]
        #[acts(
            "prune.granularity",
            |what| what == "unit",
            "prune.granularity = \"unit\", since both norms order single weights alike"
        )]
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
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        if let Some(q) = self.threshold {
            return Ok(Scores::Keep(self.own_rule(&target.weight().host(), q)));
        }
        Ok(match self.norm {
            Norm::L1 => target.weight().abs()?.into(),
            Norm::L2 => target.weight().square()?.into(),
        })
    }
}

register!(Criterion, "magnitude", Magnitude, "Small weights first: |w| or its square; filters by their norm.");
