//! A choice of examples out of a pool.

use crate::backend::Values;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One of the three splits of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    /// The examples that a run trains on.
    Train,
    /// The examples that decisions are made on while a run trains; there are none unless asked for.
    Validation,
    /// The examples that a run is judged on.
    Test,
}

/// Real-valued targets, one for each example of a pool.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Responses {
    /// The target of each example.
    pub values: Vec<f32>,
    /// What of it is noise, where a generator added some: value = truth + noise.
    pub noise: Option<Vec<f32>>,
}

/// A choice of examples out of a pool that several splits may share.
#[derive(Debug, Clone)]
pub struct Split {
    values: Values,
    item: usize,
    targets: Arc<Vec<u32>>,
    /// What each example's real-valued target is, where the set has such.
    pub(super) responses: Option<Arc<Responses>>,
    /// What the examples of the pool are called, where they have names.
    pub(super) names: Option<Arc<Vec<String>>>,
    indices: Vec<u32>,
}

impl SplitName {
    /// Every split.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        })
    }
}

impl Split {
    /// Every example of a pool: `targets` has the class of each, and `values` the `item` values of each, one example
    /// after the other.
    ///
    /// # Errors
    /// If there are not `item` values for each target, or more examples than 32 bits can count.
    pub fn new(values: Values, item: usize, targets: Arc<Vec<u32>>) -> Result<Self> {
        if targets.len().checked_mul(item) != Some(values.len()) {
            let (values, count) = (values.len(), targets.len());
            return Err(Error::shape("examples", format!("{count} of {item} values each are not {values} values")));
        }
        let count = u32::try_from(targets.len());
        let count = count.map_err(|_| Error::shape("examples", "there are more than 32 bits can count"))?;
        Ok(Self { values, item, targets, responses: None, names: None, indices: (0..count).collect() })
    }

    /// The examples of the same pool at these positions.
    ///
    /// # Errors
    /// If a position lies outside the pool.
    pub fn select(&self, indices: Vec<u32>) -> Result<Self> {
        let count = self.targets.len();
        if let Some(index) = indices.iter().find(|&&i| i as usize >= count) {
            return Err(Error::shape("examples", format!("position {index} lies outside a pool of {count}")));
        }
        Ok(self.with(indices))
    }

    /// The examples of the same pool at these positions, which are those of examples of the pool.
    pub(super) fn with(&self, indices: Vec<u32>) -> Self {
        Self { indices, ..self.clone() }
    }

    /// The same examples with other classes, one for each example of the pool.
    ///
    /// # Errors
    /// If there are more or fewer of them.
    pub fn with_targets(self, targets: Vec<u32>) -> Result<Self> {
        if targets.len() != self.targets.len() {
            let message = format!("{} classes for {} examples", targets.len(), self.targets.len());
            return Err(Error::shape("examples", message));
        }
        Ok(Self { targets: Arc::new(targets), ..self })
    }

    /// What the example at this position in the pool is called, where the examples have names.
    pub fn name_at(&self, index: u32) -> Option<&str> {
        self.names.as_ref()?.get(index as usize).map(String::as_str)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// Number of values of one example.
    pub fn item(&self) -> usize {
        self.item
    }

    /// The pool's values, as stored.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The examples' positions in the pool.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// The class of each example, in the split's order.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.indices.iter().map(|&i| self.targets[i as usize])
    }

    /// The class of the example at this position in the pool.
    pub(super) fn target_at(&self, index: u32) -> u32 {
        self.targets[index as usize]
    }

    /// Whether targets are real-valued, so that there are no classes.
    pub fn is_regression(&self) -> bool {
        self.responses.is_some()
    }

    /// The real-valued target of each example, in the split's order; nothing where there are classes.
    pub fn responses(&self) -> Vec<f32> {
        self.responses_at(&self.indices)
    }

    /// The noise in the target of each example, in the split's order, where a generator says what it added.
    pub fn target_noise(&self) -> Option<Vec<f32>> {
        let noise = self.responses.as_ref()?.noise.as_ref()?;
        Some(self.indices.iter().map(|&i| noise[i as usize]).collect())
    }

    /// The real-valued targets of the examples at these positions in the pool.
    pub(super) fn responses_at(&self, indices: &[u32]) -> Vec<f32> {
        let all = |all: &Arc<Responses>| indices.iter().map(|&i| all.values[i as usize]).collect();
        self.responses.as_ref().map(all).unwrap_or_default()
    }

    /// The same examples with other values, one for each of the pool's.
    pub(super) fn with_values(self, values: Values) -> Self {
        Self { values, ..self }
    }

    /// How many examples each of `classes` classes has; examples of other classes are passed over.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.targets().for_each(|t| {
            if let Some(count) = counts.get_mut(t as usize) {
                *count += 1;
            }
        });
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_counts_its_examples_by_class() {
        let values = Values::F32(Arc::new(vec![0.5; 6]));
        let all = Split::new(values.clone(), 2, Arc::new(vec![0, 1, 1])).unwrap();
        assert_eq!(all.class_counts(2), [1, 2]);
        let some = all.select(vec![2, 0]).unwrap();
        assert_eq!((some.targets().collect::<Vec<_>>(), some.len()), (vec![1, 0], 2));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let values = Values::F32(Arc::new(vec![0.5; 6]));
        let text = Split::new(values.clone(), 2, Arc::new(vec![0, 1])).unwrap_err().to_string();
        assert!(text.contains("2 of 2 values each are not 6 values"), "{text}");
        let all = Split::new(values, 2, Arc::new(vec![0, 1, 1])).unwrap();
        assert!(all.select(vec![3]).unwrap_err().to_string().contains("position 3 lies outside a pool of 3"));
    }

    #[test]
    fn names_are_written_in_lower_case() {
        for split in SplitName::ALL {
            assert_eq!(toml::Value::try_from(split).unwrap(), toml::Value::from(split.to_string()));
        }
    }
}
