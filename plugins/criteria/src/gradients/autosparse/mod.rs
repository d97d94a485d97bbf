//! AutoSparse: what a lottery-ticket run of one network shows about initial weights, told of another one's.

mod regression;
mod survivors;

pub use regression::{Fitted, Regression};
pub use survivors::Survivors;

use crate::gathered::{Gather, Gathered, Sums};
use secateur::prelude::*;

/// The terms of a score, by the options that are their coefficients.
pub const TERMS: [&str; 6] = ["weight", "gradient", "weight_squared", "gradient_squared", "product", "product_size"];

options! {
    /// How long a weight would survive in a lottery-ticket run, predicted at initialisation from the weight and its
    /// gradient (Liu et al. 2024, "Learning Effective Pruning at Initialization from Iterative Pruning", "AutoSparse").
    /// Meant for `schedule.name = "one-shot"` with `at = 0`.
    ///
    /// With w and g over the root mean square of their layer, the score is `weight |w| + gradient |g| + weight_squared w² +
    /// gradient_squared g² + product w g + product_size |w g|`. The coefficients are fitted by least squares to the share of
    /// the pruning steps that each weight survived in a run of another network: `secateur fit autosparse RUN --out FILE`
    /// writes them into a config, to be named after the others (`secateur run CONFIG FILE`). The defaults were fitted to
    /// `experiment/lottery-lenet-300-100-small`, seed 0, where they explain 42 % of the variance.
    ///
    /// The paper trains a network on w and g as they are, whose scale is that of one architecture; here the terms are the
    /// even ones up to second order (a network does the same with a weight and its gradient turned to the other sign), in
    /// parts of their layer's scale. The paper's gradient is that of an evaluation; here batch normalisation uses the
    /// statistics of the batch, as in `snip`.
    pub struct AutoSparse {
        /// Coefficient of |w|.
        #[acts(always)]
        pub weight: f64 = 0.2464,
        /// Coefficient of |g|.
        #[acts(always)]
        pub gradient: f64 = 0.0607,
        /// Coefficient of w².
        #[acts(always)]
        pub weight_squared: f64 = 0.1508,
        /// Coefficient of g².
        #[acts(always)]
        pub gradient_squared: f64 = 0.0014,
        /// Coefficient of w g: below 0, weights that the first update enlarges are kept.
        #[acts(always)]
        pub product: f64 = -0.0276,
        /// Coefficient of |w g|.
        #[acts(always)]
        pub product_size: f64 = -0.0514,
        /// Batches whose gradients are averaged.
        #[acts(always)]
        pub batches: u64 = 1,
    }

    fn check(&self, checks: &mut Checks) {
        let all = self.coefficients();
        TERMS.iter().zip(all).for_each(|(key, coefficient)| checks.range(key, coefficient, ..));
        let fix = "must not be 0 together with all other coefficients: every score would be 0";
        checks.ensure("weight", all.iter().any(|c| *c != 0.0), fix);
        checks.range("batches", self.batches, 1.0..);
    }
}

impl AutoSparse {
    /// In the order of [`TERMS`].
    pub fn coefficients(&self) -> [f64; TERMS.len()] {
        let Self { weight, gradient, weight_squared, gradient_squared, product, product_size, .. } = *self;
        [weight, gradient, weight_squared, gradient_squared, product, product_size]
    }
}

/// Adds the gradients of so many batches at the weights as they are.
fn add_gradients<B: Backend>(probe: &mut dyn Probe<B>, batches: u64, sums: &mut Sums<B>) -> Result<()> {
    (0..batches).try_for_each(|n| sums.add_all(probe.gradients(&Question::new(ProbeInput::Batch(n), Objective::LOSS))?))
}

/// The terms of every weight of a layer, each in the weight's shape and in the order of [`TERMS`].
fn terms<B: Backend>(weight: &Tensor<B>, gradient: &Tensor<B>) -> Result<[Tensor<B>; TERMS.len()]> {
    let (w, g) = (in_its_scale(weight)?, in_its_scale(gradient)?);
    let product = w.mul(&g)?;
    Ok([w.abs()?, g.abs()?, w.square()?, g.square()?, product.clone(), product.abs()?])
}

/// Over the root mean square; zero stays zero.
fn in_its_scale<B: Backend>(x: &Tensor<B>) -> Result<Tensor<B>> {
    let mean = B::norm_squared(x)? / x.count().max(1) as f64;
    x.scale(if mean > 0.0 { mean.sqrt().recip() as f32 } else { 0.0 })
}

impl<B: Backend> Gather<B> for AutoSparse {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }

    fn round(&self, probe: &mut dyn Probe<B>, sums: &mut Sums<B>) -> Result<()> {
        add_gradients(probe, self.batches, sums)
    }

    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>> {
        if target.group().is_some() {
            return Err(Error::Config(
                "autosparse scores single weights, as the rounds that it learned from were theirs: set prune.granularity \
                 = \"weight\""
                    .into(),
            ));
        }
        let weight = target.weight()?;
        let terms = terms(&weight, &sums.mean(target.name())?)?;
        let mut score = weight.scale(0.0)?;
        for (term, coefficient) in terms.iter().zip(self.coefficients()).filter(|(_, c)| *c != 0.0) {
            score = score.add(&term.scale(coefficient as f32)?)?;
        }
        Ok(score.into())
    }
}

type AutoSparseCriterion<B> = Gathered<B, AutoSparse>;
register!(
    Criterion,
    "autosparse",
    AutoSparseCriterion<B>,
    "Weights that would not survive a lottery-ticket run, as predicted at initialisation.",
    options = AutoSparse
);

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::options::OptionSet as _;

    #[test]
    fn terms_are_in_the_scale_of_their_layer_and_even() {
        let tensor = |values: [f32; 4]| Tensor::from_vec(&Cpu::default(), values.to_vec(), [2, 2]).unwrap();
        let (w, g) = ([1.0, -2.0, 0.5, 0.0], [0.3, 0.1, -0.4, 0.0]);
        let found = terms(&tensor(w), &tensor(g)).unwrap().map(|term| term.to_vec());
        let rms = |x: [f32; 4]| (x.iter().map(|v| v * v).sum::<f32>() / 4.0).sqrt();
        for i in 0..4 {
            let (w, g) = (w[i] / rms(w), g[i] / rms(g));
            let expected = [w.abs(), g.abs(), w * w, g * g, w * g, (w * g).abs()];
            assert!(found.iter().zip(expected).all(|(term, e)| (term[i] - e).abs() < 1e-6), "{i}: {found:?}");
        }
        let turned = terms(&tensor(w.map(|v| -10.0 * v)), &tensor(g.map(|v| -0.1 * v))).unwrap();
        assert!(turned.iter().zip(&found).all(|(a, b)| a.to_vec().iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5)));
        let still = terms(&tensor(w), &tensor([0.0; 4])).unwrap();
        assert_eq!(still[1].to_vec(), [0.0; 4]);
    }

    #[test]
    fn coefficients_that_are_all_zero_are_refused() {
        let none = AutoSparse {
            weight: 0.0,
            gradient: 0.0,
            weight_squared: 0.0,
            gradient_squared: 0.0,
            product: 0.0,
            product_size: 0.0,
            batches: 1,
        };
        assert_eq!(none.errors()[0].key, "weight");
        assert!(AutoSparse { product: -1.0, ..none }.errors().is_empty());
        assert!(AutoSparse::FIELDS.iter().map(|field| field.0).eq(TERMS.into_iter().chain(["batches"])));
    }
}
