//! From what a reader delivers to train, validation and test splits.

use std::sync::Arc;

use rand::seq::SliceRandom as _;

use super::config::{DataConfig, Holdout};
use super::dataset::{Dataset, Origin, Split, Values};
use super::error::DataError;
use super::normalize::Normalizer;
use super::random::{Purpose, stream};

/// What a reader or generator delivers.
pub(super) struct Source {
    pub shape: Vec<usize>,
    pub class_names: Vec<String>,
    pub train: Pool,
    /// Validation examples that the set brings along.
    pub validation: Option<Pool>,
    pub test: TestSource,
    pub origin: Origin,
}

/// Where the test examples come from.
pub(super) enum TestSource {
    /// The set brings them along.
    Own(Pool),
    /// They are drawn from the training pool; the key of the option that says how many.
    Holdout(Holdout, &'static str),
}

/// Examples: `targets.len()` times the product of the shape values.
pub(super) struct Pool {
    pub values: Values,
    pub targets: Vec<u32>,
}

impl Source {
    /// All training examples, before any are set aside.
    pub(super) fn train_pool(&self) -> Split {
        self.split(&self.train)
    }

    /// Draws the splits by seed and finds the normalisation on the training split.
    pub(super) fn dataset(&self, config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
        let augment = config.augment;
        if augment != Default::default() && self.shape.len() != 3 {
            return Err(DataError::option("augment", "on", format!("\"{}\" holds points, not images", config.name)));
        }
        let mut train = self.train_pool();
        let mut test = match &self.test {
            TestSource::Own(pool) => self.split(pool),
            TestSource::Holdout(size, key) => set_aside(&mut train, *size, key, seed, Purpose::TestHoldout)?,
        };
        let validation = match &self.validation {
            Some(pool) => self.split(pool),
            None => set_aside(&mut train, config.validation, "validation", seed, Purpose::Validation)?,
        };
        limit(&mut train, config.train_limit, "train_limit", seed, Purpose::TrainLimit)?;
        limit(&mut test, config.test_limit, "test_limit", seed, Purpose::TestLimit)?;
        let normalizer = Normalizer::new(&config.normalize, self.shape[0], &train)?;
        Ok(Dataset {
            name: config.name.clone(),
            shape: self.shape.clone(),
            class_names: self.class_names.clone(),
            train,
            validation,
            test,
            normalizer,
            augment,
            origin: self.origin.clone(),
        })
    }

    fn split(&self, pool: &Pool) -> Split {
        let item = self.shape.iter().product();
        Split::whole(pool.values.clone(), item, Arc::new(pool.targets.clone()))
    }
}

impl Pool {
    pub(super) fn bytes(values: Vec<u8>, targets: Vec<u32>) -> Self {
        Self { values: Values::U8(Arc::new(values)), targets }
    }
}

/// Moves `size` examples, drawn by seed, from `from` into a split of their own.
fn set_aside(from: &mut Split, size: Holdout, key: &str, seed: u64, purpose: Purpose) -> Result<Split, DataError> {
    let count = size.of(from.len());
    if (count == 0 && size != Holdout::Count(0)) || (count > 0 && count >= from.len()) {
        let allowed = format!("that makes {count} of {} examples; at least one must lie on each side", from.len());
        return Err(DataError::option(key, f64::from(size), allowed));
    }
    let (taken, left) = draw(from, count, seed, purpose);
    let split = from.select(taken);
    *from = from.select(left);
    Ok(split)
}

fn limit(split: &mut Split, to: Option<usize>, key: &str, seed: u64, purpose: Purpose) -> Result<(), DataError> {
    if let Some(count) = to {
        if count > split.len() {
            let allowed = format!("only {} examples are there; leave the key out to use them all", split.len());
            return Err(DataError::option(key, count, allowed));
        }
        *split = split.select(draw(split, count, seed, purpose).0);
    }
    Ok(())
}

/// `count` indices drawn by seed, and the others; both in rising order, which keeps reading local.
fn draw(split: &Split, count: usize, seed: u64, purpose: Purpose) -> (Vec<u32>, Vec<u32>) {
    let mut taken = split.indices().to_vec();
    if count > 0 {
        taken.shuffle(&mut stream(seed, purpose, 0, 0));
    }
    let mut left = taken.split_off(count);
    taken.sort_unstable();
    left.sort_unstable();
    (taken, left)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(train: usize, test: TestSource) -> Source {
        Source {
            shape: vec![1, 1, 1],
            class_names: vec!["even".to_owned(), "odd".to_owned()],
            train: pool(train),
            validation: None,
            test,
            origin: Origin::Generated { generator: "test", seed: 0 },
        }
    }

    fn pool(count: usize) -> Pool {
        Pool::bytes((0..count).map(|i| i as u8).collect(), (0..count as u32).map(|i| i % 2).collect())
    }

    fn own() -> TestSource {
        TestSource::Own(pool(10))
    }

    #[test]
    fn splits_of_one_pool_are_disjoint_and_cover_it() {
        let config = DataConfig { validation: Holdout::Fraction(0.2), ..DataConfig::default() };
        let all = source(100, TestSource::Holdout(Holdout::Count(15), "k")).dataset(&config, 3).unwrap();
        assert_eq!((all.test.len(), all.validation.len(), all.train.len()), (15, 17, 68));
        let mut together = [all.train.indices(), all.validation.indices(), all.test.indices()].concat();
        together.sort_unstable();
        assert_eq!(together, (0..100).collect::<Vec<u32>>());
        assert!(all.train.targets().zip(all.train.indices()).all(|(t, i)| t == i % 2));
    }

    #[test]
    fn the_seed_decides_what_is_drawn() {
        let config = DataConfig { validation: Holdout::Count(20), train_limit: Some(30), ..DataConfig::default() };
        let draw = |seed| {
            let all = source(100, own()).dataset(&config, seed).unwrap();
            (all.validation.indices().to_vec(), all.train.indices().to_vec())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1).0, draw(2).0);
        assert_eq!(draw(1).1.len(), 30);
        assert!(draw(1).1.iter().all(|i| !draw(1).0.contains(i)));
    }

    #[test]
    fn without_a_holdout_everything_is_trained_on_in_order() {
        let all = source(100, own()).dataset(&DataConfig::default(), 1).unwrap();
        assert_eq!(all.train.indices(), (0..100).collect::<Vec<u32>>());
        assert!(all.validation.is_empty());
        assert_eq!(all.train.class_counts(2), [50, 50]);
    }

    #[test]
    fn a_set_keeps_its_own_validation_examples() {
        let with_own = Source { validation: Some(pool(7)), ..source(100, own()) };
        let config = DataConfig { validation: Holdout::Fraction(0.5), ..DataConfig::default() };
        let all = with_own.dataset(&config, 1).unwrap();
        assert_eq!((all.train.len(), all.validation.len()), (100, 7));
    }

    #[test]
    fn counts_beyond_the_set_are_refused() {
        let refused = |config: DataConfig| source(100, own()).dataset(&config, 1).unwrap_err().to_string();
        let text = refused(DataConfig { validation: Holdout::Count(100), ..DataConfig::default() });
        assert!(text.contains("data.validation = 100: that makes 100 of 100 examples"), "{text}");
        let text = refused(DataConfig { validation: Holdout::Fraction(0.001), ..DataConfig::default() });
        assert!(text.contains("data.validation = 0.001: that makes 0 of 100 examples"), "{text}");
        let text = refused(DataConfig { train_limit: Some(101), ..DataConfig::default() });
        assert!(text.contains("data.train_limit = 101"), "{text}");
        let text = refused(DataConfig { test_limit: Some(11), ..DataConfig::default() });
        assert!(text.contains("only 10 examples"), "{text}");
    }
}
