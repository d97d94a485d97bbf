//! From stored values to network inputs: one scale and one shift per channel.

use super::split::Split;
use crate::backend::Values;
use crate::error::{Error, OptionError, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// How stored values become inputs (`data.normalize`).
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Normalize {
    /// `"none"`: values as stored, 0 to 255 for images.
    None,
    /// `"unit"`: images scaled to [0, 1].
    Unit,
    /// `"half"`: images scaled to [-1, 1], (x - 0.5) / 0.5 of the unit scale.
    Half,
    /// `"standard"`: mean 0 and standard deviation 1 per channel over the training split.
    #[default]
    Standard,
    /// `{ mean = [...], std = [...] }`: (x - mean) / std per channel, for images of the unit scale.
    Explicit {
        /// One mean per channel.
        mean: Vec<f64>,
        /// One standard deviation per channel, above zero.
        std: Vec<f64>,
    },
}

/// The affine map input = stored * scale + shift, per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalizer {
    scale: Vec<f32>,
    shift: Vec<f32>,
    /// Factor from the stored to the unit scale: 1/255 for images, 1 for points.
    unit: f32,
}

/// Mean and standard deviation (of the population) per channel, images on the unit scale.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// One mean per channel.
    pub mean: Vec<f64>,
    /// One standard deviation per channel.
    pub std: Vec<f64>,
}

impl Normalizer {
    /// The map of `channels` channels that `how` asks for; statistics are those of the training split.
    ///
    /// # Errors
    /// An `how` that does not suit the examples; examples that are not of that many channels.
    pub fn new(how: &Normalize, channels: usize, train: &Split) -> Result<Self> {
        if channels == 0 || !train.item().is_multiple_of(channels) {
            return Err(Error::shape("normalize", format!("{} values are not of {channels} channels", train.item())));
        }
        let refuse = |allowed: String| Err(OptionError::new("data.normalize", how, allowed).into());
        let unit = unit_of(train.values());
        let images = matches!(train.values(), Values::U8(_));
        if !images && matches!(how, Normalize::Unit | Normalize::Half) {
            return refuse("this set holds points, not images; use standard or none".to_string());
        }
        let (mean, std) = match how {
            Normalize::None => (vec![0.0; channels], vec![unit; channels]),
            Normalize::Unit => (vec![0.0; channels], vec![1.0; channels]),
            Normalize::Half => (vec![0.5; channels], vec![0.5; channels]),
            Normalize::Standard => {
                let Statistics { mean, std } = Statistics::of(train, channels);
                // A constant channel carries nothing: it becomes zero instead of infinite.
                (mean, std.into_iter().map(|s| if s > 0.0 { s } else { 1.0 }).collect())
            }
            Normalize::Explicit { mean, std } => {
                if mean.len() != channels || std.len() != channels {
                    return refuse(format!(
                        "this set has {channels} channel(s): mean and std need {channels} value(s)"
                    ));
                }
                (mean.clone(), std.clone())
            }
        };
        Ok(Self {
            scale: std.iter().map(|s| (unit / s) as f32).collect(),
            shift: mean.iter().zip(&std).map(|(m, s)| (-m / s) as f32).collect(),
            unit: unit as f32,
        })
    }

    /// The map of a network that was saved: (scale, shift) of each channel for these stored values.
    pub fn of_channels(channels: &[(f32, f32)], values: &Values) -> Self {
        let (scale, shift) = channels.iter().copied().unzip();
        Self { scale, shift, unit: unit_of(values) as f32 }
    }

    /// (scale, shift) of each channel: input = stored * scale + shift.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = (f32, f32)> + '_ {
        self.scale.iter().copied().zip(self.shift.iter().copied())
    }

    /// Turns inputs, laid out as whole examples, back into the unit scale (images in [0, 1]), for pictures.
    pub fn invert(&self, inputs: &mut [f32], item: usize) {
        let plane = item / self.scale.len();
        for (i, values) in inputs.chunks_mut(plane).enumerate() {
            let channel = i % self.scale.len();
            let (scale, shift) = (self.scale[channel], self.shift[channel]);
            values.iter_mut().for_each(|v| *v = (*v - shift) / scale * self.unit);
        }
    }
}

impl Statistics {
    /// Over all examples of a split; bytes are summed as integers, so the result is exact to the last rounding.
    pub fn of(split: &Split, channels: usize) -> Self {
        let item = split.item();
        let plane = item / channels;
        let count = (split.len() * plane).max(1) as f64;
        let unit = unit_of(split.values());
        let (mean, std) = (0..channels)
            .map(|channel| {
                let range = |i: u32| i as usize * item + channel * plane..i as usize * item + (channel + 1) * plane;
                let (mean, variance) = match split.values() {
                    Values::U8(values) => {
                        let mut sums = (0, 0);
                        for &i in split.indices() {
                            for &v in &values[range(i)] {
                                sums.0 += u64::from(v);
                                sums.1 += u64::from(v) * u64::from(v);
                            }
                        }
                        let mean = sums.0 as f64 / count;
                        (mean, sums.1 as f64 / count - mean * mean)
                    }
                    Values::F32(values) => {
                        let all = || split.indices().iter().flat_map(|&i| &values[range(i)]).map(|&v| f64::from(v));
                        let mean = all().sum::<f64>() / count;
                        (mean, all().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count)
                    }
                };
                (mean * unit, variance.max(0.0).sqrt() * unit)
            })
            .unzip();
        Self { mean, std }
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("\"none\""),
            Self::Unit => f.write_str("\"unit\""),
            Self::Half => f.write_str("\"half\""),
            Self::Standard => f.write_str("\"standard\""),
            Self::Explicit { mean, std } => write!(f, "{{ mean = {mean:?}, std = {std:?} }}"),
        }
    }
}

impl Serialize for Normalize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Unit => serializer.serialize_str("unit"),
            Self::Half => serializer.serialize_str("half"),
            Self::Standard => serializer.serialize_str("standard"),
            Self::Explicit { mean, std } => Explicit { mean: mean.clone(), std: std.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Normalize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NormalizeVisitor)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Explicit {
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// A name or a table: written out because serde's `untagged` would lose which key is wrong.
struct NormalizeVisitor;

impl<'de> de::Visitor<'de> for NormalizeVisitor {
    type Value = Normalize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"none\", \"unit\", \"half\", \"standard\" or { mean = [...], std = [...] }")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Normalize, E> {
        match name {
            "none" => Ok(Normalize::None),
            "unit" => Ok(Normalize::Unit),
            "half" => Ok(Normalize::Half),
            "standard" => Ok(Normalize::Standard),
            _ => Err(E::unknown_variant(name, &["none", "unit", "half", "standard"])),
        }
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Normalize, A::Error> {
        let Explicit { mean, std } = Explicit::deserialize(de::value::MapAccessDeserializer::new(map))?;
        Ok(Normalize::Explicit { mean, std })
    }
}

fn unit_of(values: &Values) -> f64 {
    match values {
        Values::U8(_) => 1.0 / 255.0,
        Values::F32(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn two_channels() -> Split {
        // Two examples of two channels with two pixels each.
        Split::new(Values::U8(Arc::new(vec![0, 255, 10, 10, 0, 255, 10, 10])), 4, Arc::new(vec![0, 0])).unwrap()
    }

    fn map(how: &Normalize) -> Vec<(f32, f32)> {
        Normalizer::new(how, 2, &two_channels()).unwrap().channels().collect()
    }

    #[test]
    fn statistics_are_per_channel_on_the_unit_scale() {
        let found = Statistics::of(&two_channels(), 2);
        assert_eq!(found.mean, [0.5, 10.0 / 255.0]);
        assert!((found.std[0] - 0.5).abs() < 1e-12 && found.std[1].abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn each_kind_gives_its_scale_and_shift() {
        let per = 1.0 / 255.0;
        assert_eq!(map(&Normalize::None)[0], (1.0, 0.0));
        assert_eq!(map(&Normalize::Unit)[0], (per, 0.0));
        assert_eq!(map(&Normalize::Half)[1], (2.0 * per, -1.0));
        let standard = map(&Normalize::Standard);
        assert!((standard[0].0 * 255.0 + standard[0].1 - 1.0).abs() < 1e-6);
        assert!((standard[1].0 * 10.0 + standard[1].1).abs() < 1e-6, "a constant channel becomes zero");
        let explicit = Normalize::Explicit { mean: vec![0.25, 0.0], std: vec![0.5, 1.0] };
        assert_eq!(map(&explicit)[0], (2.0 * per, -0.5));
    }

    #[test]
    fn invert_returns_the_unit_scale() {
        let normalizer = Normalizer::new(&Normalize::Half, 2, &two_channels()).unwrap();
        let mut inputs = [-1.0, 1.0, 0.0, 0.5];
        normalizer.invert(&mut inputs, 4);
        for (found, expected) in inputs.iter().zip([0.0, 1.0, 0.5, 0.75]) {
            assert!((found - expected).abs() < 1e-6, "{inputs:?}");
        }
    }

    #[test]
    fn explicit_values_must_match_the_channels() {
        let how = Normalize::Explicit { mean: vec![0.5], std: vec![0.5] };
        let error = Normalizer::new(&how, 2, &two_channels()).unwrap_err().to_string();
        assert!(error.contains("data.normalize") && error.contains("2 channel(s)"), "{error}");
    }

    #[test]
    fn points_have_no_unit_scale() {
        let points = Split::new(Values::F32(Arc::new(vec![1.0, 2.0])), 2, Arc::new(vec![0])).unwrap();
        let error = Normalizer::new(&Normalize::Half, 2, &points).unwrap_err().to_string();
        assert!(error.contains("use standard or none"), "{error}");
    }

    #[test]
    fn config_text_is_a_name_or_a_table() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Config {
            normalize: Normalize,
        }
        let parse = |text: &str| toml::from_str::<Config>(text).map(|c| c.normalize);
        assert_eq!(parse("normalize = \"half\"").unwrap(), Normalize::Half);
        let table = parse("normalize = { mean = [0.5], std = [2] }").unwrap();
        assert_eq!(table, Normalize::Explicit { mean: vec![0.5], std: vec![2.0] });
        assert!(parse("normalize = { mean = [0.5] }").unwrap_err().to_string().contains("std"));
        assert!(parse("normalize = { mean = [1], std = [1], sdt = 1 }").unwrap_err().to_string().contains("sdt"));
        assert!(parse("normalize = \"haf\"").unwrap_err().to_string().contains("half"));
        for text in ["normalize = \"unit\"", "normalize = { mean = [0.5], std = [2.0] }"] {
            let config: Config = toml::from_str(text).unwrap();
            let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(config.normalize, again.normalize);
        }
    }
}
