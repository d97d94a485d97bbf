//! The `[data]` section of a config.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::glyphs::GlyphOptions;
use super::normalize::Normalize;
use super::spiral::SpiralOptions;

/// Which data set, how it is split and what happens to its values; the key of each field is `data.<field>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// One of the names that [`list`](super::list) gives.
    pub name: String,
    /// The folder with the files; where it is not given, the usual places are searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// How much of the training set becomes the validation split: a fraction below 1, or a count; drawn by seed.
    /// A set that brings its own validation examples keeps those.
    pub validation: Holdout,
    /// Train on this many examples only, drawn by seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_limit: Option<usize>,
    /// Test on this many examples only, drawn by seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_limit: Option<usize>,
    /// How stored values become inputs.
    pub normalize: Normalize,
    /// Random changes of training images.
    pub augment: Augment,
    /// Options of `glyphs`.
    pub glyphs: GlyphOptions,
    /// Options of `cubist-spiral`.
    #[serde(rename = "cubist-spiral")]
    pub cubist_spiral: SpiralOptions,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            name: "glyphs".to_owned(),
            dir: None,
            validation: Holdout::Count(0),
            train_limit: None,
            test_limit: None,
            normalize: Normalize::default(),
            augment: Augment::default(),
            glyphs: GlyphOptions::default(),
            cubist_spiral: SpiralOptions::default(),
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

impl DataConfig {
    /// Everything that is wrong with the options before any file is looked at; empty if nothing is.
    pub fn problems(&self) -> Vec<DataError> {
        let mut found: Vec<DataError> = super::sources::find(&self.name).err().into_iter().collect();
        for (key, limit) in [("train_limit", self.train_limit), ("test_limit", self.test_limit)] {
            if limit == Some(0) {
                found.push(DataError::option(key, 0, "at least 1 is needed; leave the key out to use every example"));
            }
        }
        if let Normalize::Explicit { mean, std } = &self.normalize {
            if mean.len() != std.len() || mean.iter().any(|m| !m.is_finite()) {
                let allowed = "mean and std need one finite number per channel each";
                found.push(DataError::option("normalize", &self.normalize, allowed));
            } else if std.iter().any(|s| !(*s > 0.0 && s.is_finite())) {
                found.push(DataError::option("normalize", &self.normalize, "each std must be above 0"));
            }
        }
        self.glyphs.problems(&mut found);
        self.cubist_spiral.problems(&mut found);
        found
    }
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
    #![allow(clippy::unwrap_used)]
    use super::*;

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
        assert_eq!(toml::from_str::<DataConfig>(&text).unwrap(), config, "{text}");
    }

    #[test]
    fn whole_numbers_are_counts_and_small_ones_fractions() {
        let read = |text: &str| toml::from_str::<DataConfig>(text).map(|c| c.validation);
        assert_eq!(read("validation = 5000").unwrap(), Holdout::Count(5000));
        assert_eq!(read("validation = 0.1").unwrap(), Holdout::Fraction(0.1));
        assert_eq!(read("validation = 0").unwrap(), Holdout::Count(0));
        for bad in ["-1", "1.5", "nan"] {
            let error = read(&format!("validation = {bad}")).unwrap_err().to_string();
            assert!(error.contains("fraction in [0, 1)"), "{error}");
        }
        assert_eq!(Holdout::Fraction(0.1).of(55), 5);
    }

    #[test]
    fn unknown_keys_are_refused_at_every_level() {
        for text in ["nam = \"mnist\"", "[glyphs]\nsize = 3", "[augment]\ncrop = 4"] {
            assert!(toml::from_str::<DataConfig>(text).unwrap_err().to_string().contains("unknown field"), "{text}");
        }
    }

    #[test]
    fn all_problems_are_found_together() {
        let config = DataConfig {
            name: "mnits".to_owned(),
            train_limit: Some(0),
            normalize: Normalize::Explicit { mean: vec![0.0], std: vec![0.0] },
            ..DataConfig::default()
        };
        let text: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].contains("did you mean \"mnist\"?"), "{text:?}");
        assert!(text[1].contains("data.train_limit = 0"), "{text:?}");
        assert!(text[2].contains("std must be above 0"), "{text:?}");
    }
}
