//! The keys of the `[data]` section that every data set has.

use super::normalize::Normalize;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

crate::options! {
    /// How a data set is found and split, and what happens to its values.
    pub struct DataConfig {
        /// Folder with the data set's files; the usual places are searched where absent.
        #[acts(run, "a data set that reads files")]
        pub dir: Option<PathBuf> = None,
        /// Held out of the training set, drawn by seed: a fraction below 1, or a count.
        #[acts(run, "a data set without a validation split of its own")]
        pub validation: Holdout = Holdout::Count(0),
        /// Train on this many examples only, drawn by seed.
        #[acts(always)]
        pub train_limit: Option<usize> = None,
        /// Test on this many examples only, drawn by seed.
        #[acts(always)]
        pub test_limit: Option<usize> = None,
        /// How stored values become inputs.
        #[acts(always)]
        pub normalize: Normalize = Normalize::Standard,
        /// Random changes of training images: { crop_pad, flip }.
        #[acts(always)]
        pub augment: Augment = Augment::default(),
        /// Standard deviation of Gaussian noise on every normalised input, of all splits, drawn once for each example by
        /// `seeds.data`.
        #[acts(always)]
        pub noise: f64 = 0.0,
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("noise", self.noise, 0.0..=1e6);
        for (key, limit) in [("train_limit", self.train_limit), ("test_limit", self.test_limit)] {
            checks.ensure(key, limit != Some(0), "at least 1 is needed; leave the key out to use every example");
        }
        if let Normalize::Explicit { mean, std } = &self.normalize {
            let one_each = mean.len() == std.len() && mean.iter().all(|m| m.is_finite());
            checks.ensure("normalize", one_each, "mean and std need one finite number per channel each");
            let above = std.iter().all(|s| *s > 0.0 && s.is_finite());
            checks.ensure("normalize", above, "each std must be above 0");
        }
    }
}

/// Examples set aside from a larger set: below 1 a fraction of it, from 1 on a whole count.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub enum Holdout {
    /// A fraction in [0, 1).
    Fraction(f64),
    /// A number of examples.
    Count(usize),
}

/// Random changes of training images, drawn anew each epoch from (seed, epoch, example).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Shift by up to this many pixels in each direction: pad with black on every side, crop the original size.
    pub crop_pad: usize,
    /// Mirror left to right, every second time.
    pub flip: bool,
}

impl Holdout {
    /// How many of `total` examples are set aside; a fraction rounds down.
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Fraction(fraction) => (fraction * total as f64).floor() as usize,
            Self::Count(count) => count,
        }
    }
}

impl TryFrom<f64> for Holdout {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        match value {
            0.0 => Ok(Self::Count(0)),
            v if v > 0.0 && v < 1.0 => Ok(Self::Fraction(v)),
            v if v >= 1.0 && v.fract() == 0.0 && v <= f64::from(u32::MAX) => Ok(Self::Count(v as usize)),
            _ => Err(format!("{value} is neither a fraction in [0, 1) nor a whole number of examples")),
        }
    }
}

impl From<Holdout> for f64 {
    fn from(value: Holdout) -> Self {
        match value {
            Holdout::Fraction(fraction) => fraction,
            Holdout::Count(count) => count as Self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{OptionSet as _, parse};

    #[test]
    fn written_and_read_again_is_the_same() {
        let config = DataConfig {
            dir: Some("data".into()),
            validation: Holdout::Fraction(0.25),
            train_limit: Some(7),
            augment: Augment { crop_pad: 4, flip: true },
            ..DataConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(parse::<DataConfig>(&text.parse().unwrap()).unwrap(), config, "{text}");
    }

    #[test]
    fn whole_numbers_are_counts_and_small_ones_fractions() {
        let read = |text: &str| parse::<DataConfig>(&text.parse().unwrap()).map(|c| c.validation);
        assert_eq!(read("validation = 5000").unwrap(), Holdout::Count(5000));
        assert_eq!(read("validation = 0.1").unwrap(), Holdout::Fraction(0.1));
        assert_eq!(read("validation = 0").unwrap(), Holdout::Count(0));
        for bad in ["-1", "1.5", "nan"] {
            let error = read(&format!("validation = {bad}")).unwrap_err()[0].to_string();
            assert!(error.contains("fraction in [0, 1)"), "{error}");
        }
        assert_eq!(Holdout::Fraction(0.1).of(55), 5);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        for (text, expected) in [("dri = \"mnist\"", "did you mean `dir`?"), ("[augment]\ncrop = 4", "unknown field")] {
            let error = parse::<DataConfig>(&text.parse().unwrap()).unwrap_err()[0].to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn all_problems_are_found_together() {
        let config = DataConfig {
            train_limit: Some(0),
            test_limit: Some(0),
            normalize: Normalize::Explicit { mean: vec![0.0], std: vec![0.0] },
            ..DataConfig::default()
        };
        let text: Vec<String> = config.errors().iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].contains("`train_limit` = 0"), "{text:?}");
        assert!(text[2].contains("std must be above 0"), "{text:?}");
    }
}
