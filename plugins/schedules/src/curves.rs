//! Sparsity that grows along a curve.

use super::run_fraction;
use secateur::prelude::*;

/// Beginning and end of pruning, as fractions of the run.
pub(crate) fn range(from: f64, to: f64) -> Result<(f64, f64)> {
    let (from, to) = (run_fraction("from", from)?, run_fraction("to", to)?);
    if from < to {
        Ok((from, to))
    } else {
        Err(OptionError::new("to", to, format!("must lie after `from` = {from}")).into())
    }
}

/// Steps between two pruning steps.
pub(crate) fn period(every: u64) -> Result<u64> {
    if every > 0 { Ok(every) } else { Err(OptionError::new("every", every, "must be at least 1 step").into()) }
}

options! {
    /// Where a curve begins and ends, and how often it is followed.
    pub struct CurveOptions {
        /// Sparsity at the beginning.
        pub initial: f64 = 0.0,
        /// Sparsity at the end; it holds from there on.
        pub sparsity: f64 = 0.9,
        /// Fraction of the run at which pruning begins.
        pub from: f64 = 0.1,
        /// Fraction of the run at which the final sparsity is reached.
        pub to: f64 = 0.75,
        /// Steps between two pruning steps.
        pub every: u64 = 100,
        /// Whether masks are still renewed, at the final sparsity, after it is reached; only regrowth makes a difference.
        pub renew: bool = false,
    }
}

/// A checked [`CurveOptions`].
struct Curve {
    initial: f64,
    sparsity: f64,
    from: f64,
    to: f64,
    every: u64,
    renew: bool,
}

impl TryFrom<CurveOptions> for Curve {
    type Error = Error;
    fn try_from(o: CurveOptions) -> Result<Self> {
        let (from, to) = range(o.from, o.to)?;
        let initial = Sparsity::new("initial", o.initial)?.get();
        let sparsity = Sparsity::new("sparsity", o.sparsity)?.get();
        if sparsity < initial {
            return Err(
                OptionError::new("sparsity", sparsity, format!("must not lie below `initial` = {initial}")).into()
            );
        }
        Ok(Self { initial, sparsity, from, to, every: period(o.every)?, renew: o.renew })
    }
}

impl Curve {
    /// The part of the way that is done at `step`, or `None` where nothing is pruned. The last step of the curve always is one.
    fn progress(&self, step: Step, run: &RunLength) -> Option<f64> {
        let (first, last) = (run.at_fraction(self.from), run.at_fraction(self.to));
        if step < first || (step > last && !self.renew) {
            return None;
        }
        let due = step == last || (step.0 - first.0).is_multiple_of(self.every);
        let way = last.0.saturating_sub(first.0).max(1) as f64;
        due.then(|| ((step.0 - first.0) as f64 / way).min(1.0))
    }
}

macro_rules! curve {
    ($name:ident, $key:literal, $summary:literal, $doc:literal, $at:expr) => {
        #[doc = $doc]
        pub struct $name(Curve);

        impl TryFrom<CurveOptions> for $name {
            type Error = Error;
            fn try_from(o: CurveOptions) -> Result<Self> {
                Curve::try_from(o).map(Self)
            }
        }

        impl Schedule for $name {
            fn target(&self, step: Step, run: &RunLength) -> Option<Amount> {
                let at: fn(f64, f64, f64) -> f64 = $at;
                let sparsity = self
                    .0
                    .progress(step, run)
                    .map(|p| if p >= 1.0 { self.0.sparsity } else { at(self.0.initial, self.0.sparsity, p) });
                sparsity.map(Amount::Sparsity)
            }
        }

        secateur::register!(Schedule, $key, $name, $summary, options = CurveOptions);
    };
}

curve!(
    Linear,
    "linear",
    "Sparsity grows evenly.",
    "`s = s_i + (s_f - s_i) p`, with p the part of the way that is done.",
    |i, f, p| i + (f - i) * p
);
curve!(
    Cubic,
    "cubic",
    "Fast at first, gently at the end (Zhu & Gupta 2017).",
    "`s = s_f + (s_i - s_f) (1 - p)³` (Zhu & Gupta 2017, equation 1).",
    |i, f, p| f + (i - f) * (1.0 - p).powi(3)
);
curve!(
    Exponential,
    "exponential",
    "The density falls by the same factor each time.",
    "`1 - s = (1 - s_i) ((1 - s_f) / (1 - s_i))^p`: every pruning step takes the same fraction of what is left.",
    |i, f, p| 1.0 - (1.0 - i) * ((1.0 - f) / (1.0 - i)).powf(p)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::targets;

    fn options() -> CurveOptions {
        CurveOptions { sparsity: 0.8, from: 0.0, to: 1.0, every: 25, ..CurveOptions::default() }
    }

    fn close(found: &[(u64, f64)], expected: &[(u64, f64)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn curves_pass_through_their_values() {
        close(
            &targets(&Linear::try_from(options()).unwrap(), 101, 10),
            &[(0, 0.0), (25, 0.2), (50, 0.4), (75, 0.6), (100, 0.8)],
        );
        close(
            &targets(&Cubic::try_from(options()).unwrap(), 101, 10),
            &[(0, 0.0), (25, 0.4625), (50, 0.7), (75, 0.7875), (100, 0.8)],
        );
        let e = targets(&Exponential::try_from(options()).unwrap(), 101, 10);
        close(&e[2..3], &[(50, 1.0 - 0.2f64.sqrt())]);
    }

    #[test]
    fn the_end_is_reached_even_between_two_periods() {
        let s = Cubic::try_from(CurveOptions { every: 30, from: 0.1, to: 0.75, ..options() }).unwrap();
        let found = targets(&s, 101, 10);
        assert_eq!(found.last(), Some(&(75, 0.8)));
        assert_eq!(found.iter().map(|t| t.0).collect::<Vec<_>>(), [10, 40, 70, 75]);
    }

    #[test]
    fn masks_are_renewed_after_the_end_only_where_asked() {
        let s = Linear::try_from(CurveOptions { to: 0.5, renew: true, ..options() }).unwrap();
        assert_eq!(targets(&s, 101, 10).iter().map(|t| t.0).collect::<Vec<_>>(), [0, 25, 50, 75, 100]);
    }

    #[test]
    fn impossible_curves_are_refused() {
        let text = |o: CurveOptions| Curve::try_from(o).err().unwrap().to_string();
        assert!(text(CurveOptions { sparsity: 1.5, ..options() }).contains("`sparsity` = 1.5"));
        assert!(text(CurveOptions { from: 0.8, to: 0.2, ..options() }).contains("must lie after `from` = 0.8"));
        assert!(text(CurveOptions { every: 0, ..options() }).contains("at least 1 step"));
    }
}
