//! What is removed: `prune.granularity`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// Single weights: `weight`.
    Weight,
    /// Whole units: neurons, channels, heads: `unit`.
    Unit,
    /// Rectangular blocks of a weight matrix: `block`.
    Block,
    /// All but the best `n` of every `m` consecutive weights along the input axis: `2:4`.
    NOfM {
        /// How many stay, at least one.
        n: usize,
        /// Of how many, more than `n`.
        m: usize,
    },
}

impl Granularity {
    /// Whether a fixed pattern says how much goes, so that the schedule only says when.
    pub fn is_pattern(self) -> bool {
        matches!(self, Self::NOfM { .. })
    }

    /// The word for what has a name: `parameter`, or `unit group`.
    pub(in crate::pruning) fn of_what(self) -> &'static str {
        if self == Self::Unit { "unit group" } else { "parameter" }
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weight => f.write_str("weight"),
            Self::Unit => f.write_str("unit"),
            Self::Block => f.write_str("block"),
            Self::NOfM { n, m } => write!(f, "{n}:{m}"),
        }
    }
}

impl FromStr for Granularity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.split_once(':').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
        match (text, pattern) {
            ("weight", _) => Ok(Self::Weight),
            ("unit", _) => Ok(Self::Unit),
            ("block", _) => Ok(Self::Block),
            (_, Some((n, m))) if 0 < n && n < m => Ok(Self::NOfM { n, m }),
            (_, Some(_)) => {
                Err("of every m weights n stay, at least one and fewer than all: \"2:4\" for two of four".into())
            }
            _ => Err("must be \"weight\", \"unit\", \"block\", or n of every m weights, such as \"2:4\"".into()),
        }
    }
}

impl Serialize for Granularity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Granularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_is_written() {
        for text in ["weight", "unit", "block", "2:4", "1:16"] {
            assert_eq!(text.parse::<Granularity>().map(|found| found.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("2:4".parse(), Ok(Granularity::NOfM { n: 2, m: 4 }));
        for bad in ["0:4", "4:4", "5:4"] {
            assert!(bad.parse::<Granularity>().unwrap_err().contains("fewer than all"), "{bad}");
        }
        for bad in ["n:m", "2:", "units", "2:4:8", "-1:4"] {
            assert!(bad.parse::<Granularity>().unwrap_err().starts_with("must be"), "{bad}");
        }
    }
}
