//! From what a data source delivers to train, validation and test splits.

use super::config::{DataConfig, Holdout};
use super::dataset::{DataOrigin, Dataset};
use super::folders::SearchedDir;
use super::noise;
use super::normalize::{Normalizer, Statistics};
use super::purpose;
use super::split::{Responses, Split};
use crate::backend::Values;
use crate::error::{Error, OptionError, Result};
use crate::seed::{Seed, Seeds};
use rand::seq::SliceRandom as _;
use std::sync::Arc;

/// The examples of a data set, before anything is drawn from them: runs with different seeds share them.
#[derive(Debug, Clone)]
pub struct Examples {
    /// The name in the config.
    pub name: String,
    /// Shape of one example: `[channels, height, width]` of an image, `[features]` of a point.
    pub shape: Vec<usize>,
    /// One name per class; none where targets are real-valued.
    pub class_names: Vec<String>,
    /// The training examples.
    pub train: Pool,
    /// Validation examples that the set brings along.
    pub validation: Option<Pool>,
    /// The test examples.
    pub test: TestExamples,
    /// Where the examples come from.
    pub origin: DataOrigin,
    /// Every folder that was looked into; empty for sets that need no files.
    pub searched: Vec<SearchedDir>,
}

/// Where the test examples come from.
#[derive(Debug, Clone)]
pub enum TestExamples {
    /// The set brings them along.
    Own(Pool),
    /// They are drawn from the training examples by seed.
    Drawn {
        /// How many.
        size: Holdout,
        /// The config key that says so, for errors: `data.image-folder.test`.
        key: &'static str,
    },
}

/// Examples, each with its class or its real-valued target.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The values of one example after the other, as many of each as the set's shape says.
    pub values: Values,
    /// The class of each example; 0 where targets are real-valued.
    pub targets: Arc<Vec<u32>>,
    /// The real-valued target of each example, where the set has such.
    pub responses: Option<Arc<Responses>>,
    /// What each example is called, such as its file; none where they have no names.
    pub names: Option<Arc<Vec<String>>>,
}

impl Examples {
    /// A data set that the program has in memory.
    ///
    /// ```
    /// use secateur::data::{DataConfig, Examples, Holdout, Normalize, Pool};
    ///
    /// // Four points of two coordinates each, and their classes; then two points to test on.
    /// let train = Pool::floats(vec![0.1, 0.2, 0.9, 0.8, 0.2, 0.1, 0.8, 0.9], vec![0, 1, 0, 1]);
    /// let test = Pool::floats(vec![0.0, 0.0, 1.0, 1.0], vec![0, 1]);
    /// let examples = Examples::in_memory("corners", &[2], &["lower", "upper"], train, test)?;
    ///
    /// let config = DataConfig { normalize: Normalize::None, validation: Holdout::Count(1), ..DataConfig::default() };
    /// let data = examples.dataset(&config, 1)?;
    /// assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (3, 1, 2));
    /// # Ok::<(), secateur::Error>(())
    /// ```
    ///
    /// # Errors
    /// What [`check`](Self::check) finds.
    pub fn in_memory(name: &str, shape: &[usize], class_names: &[&str], train: Pool, test: Pool) -> Result<Self> {
        let examples = Self {
            name: name.to_string(),
            shape: shape.to_vec(),
            class_names: class_names.iter().map(ToString::to_string).collect(),
            train,
            validation: None,
            test: TestExamples::Own(test),
            origin: DataOrigin::InMemory,
            searched: vec![],
        };
        examples.check()?;
        Ok(examples)
    }

    /// Checks that the pools fit the shape and the classes.
    ///
    /// # Errors
    /// A shape that is neither an image's nor a point's; values that are not a whole number of examples, or not one for
    /// each class; a class without a name; no training examples. The data set is named.
    pub fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::shape(format!("the data set {:?}", self.name), message));
        let item: usize = self.shape.iter().product();
        if !matches!(self.shape[..], [_] | [_, _, _]) || item == 0 {
            let allowed = "[features] or [channels, height, width] is needed, without a zero";
            return refuse(format!("the shape of an example is {:?}; {allowed}", self.shape));
        }
        let test = match &self.test {
            TestExamples::Own(pool) => Some(pool),
            TestExamples::Drawn { .. } => None,
        };
        let pools = [("train", Some(&self.train)), ("validation", self.validation.as_ref()), ("test", test)];
        for (split, pool) in pools.into_iter().filter_map(|(split, pool)| Some((split, pool?))) {
            let (values, count, classes) = (pool.values.len(), pool.targets.len(), self.class_names.len());
            if let Some(responses) = &pool.responses {
                let all = [("target", Some(&responses.values)), ("noise", responses.noise.as_ref())];
                for (name, values) in all.into_iter().filter_map(|(name, values)| Some((name, values?))) {
                    let found = match values.iter().position(|value| !value.is_finite()) {
                        _ if values.len() != count => format!("there are {}", values.len()),
                        Some(at) => format!("that of example {at} is {}", values[at]),
                        None => continue,
                    };
                    let needed = format!("one finite {name} for each of {count} examples");
                    return refuse(format!("its {split} split needs {needed}, and {found}"));
                }
            }
            if pool.responses.is_some() != self.class_names.is_empty() {
                return refuse(format!(
                    "its {split} split must have real-valued targets where no class has a name, and only there"
                ));
            }
            if count.checked_mul(item) != Some(values) {
                let expected = format!("{count} classes of examples of {item} values each");
                return refuse(format!("its {split} split has {values} values for {expected}"));
            }
            let unnamed = |target: u32| target as usize >= classes && pool.responses.is_none();
            if let Some(at) = pool.targets.iter().position(|&target| unnamed(target)) {
                let class = pool.targets[at];
                return refuse(format!(
                    "example {at} of its {split} split has class {class}, but {classes} have a name"
                ));
            }
        }
        if self.train.targets.is_empty() { refuse("it has no training examples".to_string()) } else { Ok(()) }
    }

    /// Mean and standard deviation per channel of all training examples, before any are set aside.
    ///
    /// # Errors
    /// What [`check`](Self::check) finds.
    pub fn statistics(&self) -> Result<Statistics> {
        self.check()?;
        Ok(Statistics::of(&self.all(&self.train)?, self.shape[0]))
    }

    /// Draws the splits by seed, finds the normalisation on the training split, and adds the noise that `data.noise` asks
    /// for. What is held out comes from the seed of the split, which training examples a limit keeps and the noise from
    /// that of the data.
    ///
    /// # Errors
    /// What [`check`](Self::check) finds; a split larger than the set; a normalisation or an augmentation that does not
    /// suit these examples.
    pub fn dataset(&self, config: &DataConfig, seeds: impl Into<Seeds>) -> Result<Dataset> {
        self.check()?;
        let seeds = seeds.into();
        let augment = config.augment;
        if augment != Default::default() && self.shape.len() != 3 {
            let allowed = format!("\"{}\" holds points, not images", self.name);
            return Err(OptionError::new("data.augment", "on", allowed).into());
        }
        let draw = |purpose| Draw { seed: seeds.split, purpose };
        let mut train = self.all(&self.train)?;
        let mut test = match &self.test {
            TestExamples::Own(pool) => self.all(pool)?,
            TestExamples::Drawn { size, key } => draw(purpose::TEST_HOLDOUT).set_aside(&mut train, *size, key)?,
        };
        let validation = match &self.validation {
            Some(pool) => self.all(pool)?,
            None => draw(purpose::VALIDATION).set_aside(&mut train, config.validation, "data.validation")?,
        };
        let resample = Draw { seed: seeds.data, purpose: purpose::TRAIN_LIMIT };
        resample.limit(&mut train, config.train_limit, "data.train_limit")?;
        draw(purpose::TEST_LIMIT).limit(&mut test, config.test_limit, "data.test_limit")?;
        let normalizer = Normalizer::new(&config.normalize, self.shape[0], &train)?;
        // An example has its noise from its place in the pool, whichever split it is drawn into.
        let noisy = |split: Split, pool| noise::add(split, &normalizer, config.noise, (seeds.data, pool));
        let own_test = matches!(self.test, TestExamples::Own(_));
        let train = noisy(train, 0);
        let validation = noisy(validation, u64::from(self.validation.is_some()));
        let test = noisy(test, if own_test { 2 } else { 0 });
        Ok(Dataset {
            name: self.name.clone(),
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

    fn all(&self, pool: &Pool) -> Result<Split> {
        pool.split(self.shape.iter().product())
    }
}

impl Pool {
    /// Images as bytes, channel after channel, and the class of each.
    pub fn bytes(values: Vec<u8>, targets: Vec<u32>) -> Self {
        Self { values: Values::U8(Arc::new(values)), targets: Arc::new(targets), responses: None, names: None }
    }

    /// Examples as floats, and the class of each.
    pub fn floats(values: Vec<f32>, targets: Vec<u32>) -> Self {
        Self { values: Values::F32(Arc::new(values)), targets: Arc::new(targets), responses: None, names: None }
    }

    /// Examples as floats, and the real-valued target of each, with what of it is noise where that is known.
    pub fn measured(values: Vec<f32>, targets: Vec<f32>, noise: Option<Vec<f32>>) -> Self {
        let classes = vec![0; targets.len()];
        let responses = Some(Arc::new(Responses { values: targets, noise }));
        Self { responses, ..Self::floats(values, classes) }
    }

    /// The same examples, each with a name.
    #[must_use]
    pub fn named(self, names: Vec<String>) -> Self {
        Self { names: Some(Arc::new(names)), ..self }
    }

    /// All of them, of `item` values each.
    ///
    /// # Errors
    /// If there are not `item` values for each class.
    pub fn split(&self, item: usize) -> Result<Split> {
        let mut split = Split::new(self.values.clone(), item, Arc::clone(&self.targets))?;
        split.names.clone_from(&self.names);
        split.responses.clone_from(&self.responses);
        Ok(split)
    }
}

/// A draw of examples without replacement.
#[derive(Clone, Copy)]
struct Draw {
    seed: Seed,
    purpose: u64,
}

impl Draw {
    /// Moves `size` examples from `from` into a split of their own.
    fn set_aside(self, from: &mut Split, size: Holdout, key: &str) -> Result<Split> {
        let count = size.of(from.len());
        if (count == 0 && size != Holdout::Count(0)) || (count > 0 && count >= from.len()) {
            let allowed = format!("that makes {count} of {} examples; at least one must lie on each side", from.len());
            return Err(OptionError::new(key, f64::from(size), allowed).into());
        }
        let (taken, rest) = self.draw(from, count);
        let split = from.with(taken);
        *from = from.with(rest);
        Ok(split)
    }

    fn limit(self, split: &mut Split, to: Option<usize>, key: &str) -> Result<()> {
        if let Some(count) = to {
            if count > split.len() {
                let allowed = format!("only {} examples are there; leave the key out to use them all", split.len());
                return Err(OptionError::new(key, count, allowed).into());
            }
            *split = split.with(self.draw(split, count).0);
        }
        Ok(())
    }

    /// `count` positions, and the others; both in rising order, which keeps reading local.
    fn draw(self, split: &Split, count: usize) -> (Vec<u32>, Vec<u32>) {
        let mut taken = split.indices().to_vec();
        if count > 0 {
            taken.shuffle(&mut self.seed.numbered(self.purpose, 0, 0));
        }
        let mut rest = taken.split_off(count);
        taken.sort_unstable();
        rest.sort_unstable();
        (taken, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(train: usize, test: TestExamples) -> Examples {
        Examples {
            name: "numbers".to_string(),
            shape: vec![1, 1, 1],
            class_names: vec!["even".to_string(), "odd".to_string()],
            train: pool(train),
            validation: None,
            test,
            origin: DataOrigin::Generated { generator: "test", seed: 0 },
            searched: vec![],
        }
    }

    fn pool(count: usize) -> Pool {
        Pool::bytes((0..count).map(|i| i as u8).collect(), (0..count as u32).map(|i| i % 2).collect())
    }

    fn own() -> TestExamples {
        TestExamples::Own(pool(10))
    }

    #[test]
    fn splits_of_one_pool_are_disjoint_and_cover_it() {
        let config = DataConfig { validation: Holdout::Fraction(0.2), ..DataConfig::default() };
        let drawn = TestExamples::Drawn { size: Holdout::Count(15), key: "k" };
        let all = examples(100, drawn).dataset(&config, 3).unwrap();
        assert_eq!((all.test.len(), all.validation.len(), all.train.len()), (15, 17, 68));
        let mut together = [all.train.indices(), all.validation.indices(), all.test.indices()].concat();
        together.sort_unstable();
        assert_eq!(together, (0..100).collect::<Vec<u32>>());
        assert!(all.train.targets().zip(all.train.indices()).all(|(t, i)| t == i % 2));
    }

    #[test]
    fn the_seed_decides_what_is_drawn() {
        let config = DataConfig { validation: Holdout::Count(20), train_limit: Some(30), ..DataConfig::default() };
        let draw = |seeds: Seeds| {
            let all = examples(100, own()).dataset(&config, seeds).unwrap();
            (all.validation.indices().to_vec(), all.train.indices().to_vec())
        };
        assert_eq!(draw(1.into()), draw(1.into()));
        assert_ne!(draw(1.into()).0, draw(2.into()).0);
        // Which are trained on is drawn from the seed of the data, which are held out from that of the split.
        let own = |split, data| draw(Seeds { split: Seed(split), data: Seed(data), ..Seeds::from(9) });
        assert_eq!(own(1, 1), draw(1.into()));
        assert_eq!(own(1, 2).0, own(1, 1).0);
        assert_ne!(own(1, 2).1, own(1, 1).1);
        assert_eq!(draw(1.into()).1.len(), 30);
        assert!(draw(1.into()).1.iter().all(|i| !draw(1.into()).0.contains(i)));
    }

    #[test]
    fn without_a_holdout_everything_is_trained_on_in_order() {
        let all = examples(100, own()).dataset(&DataConfig::default(), 1).unwrap();
        assert_eq!(all.train.indices(), (0..100).collect::<Vec<u32>>());
        assert!(all.validation.is_empty());
        assert_eq!(all.train.class_counts(2), [50, 50]);
    }

    #[test]
    fn a_set_keeps_its_own_validation_examples() {
        let with_own = Examples { validation: Some(pool(7)), ..examples(100, own()) };
        let config = DataConfig { validation: Holdout::Fraction(0.5), ..DataConfig::default() };
        let all = with_own.dataset(&config, 1).unwrap();
        assert_eq!((all.train.len(), all.validation.len()), (100, 7));
    }

    #[test]
    fn counts_beyond_the_set_are_refused() {
        let refused = |config: DataConfig| examples(100, own()).dataset(&config, 1).unwrap_err().to_string();
        let text = refused(DataConfig { validation: Holdout::Count(100), ..DataConfig::default() });
        assert!(text.contains("`data.validation` = 100: that makes 100 of 100 examples"), "{text}");
        let text = refused(DataConfig { validation: Holdout::Fraction(0.001), ..DataConfig::default() });
        assert!(text.contains("`data.validation` = 0.001: that makes 0 of 100 examples"), "{text}");
        let text = refused(DataConfig { train_limit: Some(101), ..DataConfig::default() });
        assert!(text.contains("`data.train_limit` = 101"), "{text}");
        let text = refused(DataConfig { test_limit: Some(11), ..DataConfig::default() });
        assert!(text.contains("only 10 examples"), "{text}");
    }

    #[test]
    fn numbers_as_targets_go_with_their_examples() {
        let pool = |n: usize| {
            let (targets, noise) = ((0..n).map(|i| i as f32 / 2.0).collect(), (0..n).map(|i| -(i as f32)).collect());
            Pool::measured((0..n).map(|i| i as f32).collect(), targets, Some(noise))
        };
        let examples = Examples::in_memory("numbers", &[1], &[], pool(40), pool(5)).unwrap();
        let config = DataConfig { validation: Holdout::Count(10), train_limit: Some(12), ..DataConfig::default() };
        let data = examples.dataset(&config, 1).unwrap();
        assert!(data.classes() == 0 && data.validation.is_regression());
        let half: Vec<f32> = data.train.indices().iter().map(|i| *i as f32 / 2.0).collect();
        assert_eq!(data.train.responses(), half);
        assert_eq!(data.train.target_noise().unwrap(), half.iter().map(|y| -2.0 * y).collect::<Vec<_>>());
        let order = crate::data::Order::Shuffled { seed: 1, epoch: 0 };
        let (five, mut classes) = (std::num::NonZeroUsize::new(5).unwrap(), vec![]);
        let mut batches = data.batches(crate::data::SplitName::Train, five, order);
        while let Some(picks) = batches.next_picks(&mut classes) {
            let expected: Vec<f32> = picks.examples.iter().map(|pick| pick.index as f32 / 2.0).collect();
            assert_eq!((batches.responses(), &classes[..]), (expected, &vec![0; classes.len()][..]));
        }
        // What wants as many of each class gets as many of all of them.
        let mut balanced = data.balanced(crate::data::SplitName::Train, five, 1, order).unwrap();
        assert_eq!(balanced.next_picks(&mut classes).unwrap().examples.len(), 5);
        assert!(data.balanced(crate::data::SplitName::Train, five, 2, order).is_err());
    }

    #[test]
    fn numbers_and_names_of_classes_exclude_each_other() {
        let made = |names: &[&str], train: Pool, test: Pool| {
            Examples::in_memory("mine", &[1], names, train, test).map(drop).map_err(|e| e.to_string())
        };
        let (numbers, classes) =
            (|y: f32| Pool::measured(vec![0.0], vec![y], None), || Pool::floats(vec![0.0], vec![0]));
        assert_eq!(made(&[], numbers(1.0), numbers(2.0)), Ok(()));
        for (found, expected) in [
            (made(&["a"], numbers(1.0), numbers(1.0)), "must have real-valued targets where no class has a name"),
            (made(&["a"], classes(), numbers(1.0)), "its test split must have real-valued targets"),
            (made(&[], classes(), numbers(1.0)), "its train split must have real-valued targets"),
            (
                made(&[], numbers(f32::NAN), numbers(1.0)),
                "its train split needs one finite target for each of 1 examples",
            ),
        ] {
            assert!(found.as_ref().is_err_and(|text| text.contains(expected)), "{found:?}");
        }
    }

    #[test]
    fn examples_that_do_not_fit_are_refused_with_what_was_found() {
        let made = |shape: &[usize], values: usize, targets: Vec<u32>| {
            let test = Pool::floats(vec![], vec![]);
            let train = Pool::floats(vec![0.0; values], targets);
            Examples::in_memory("mine", shape, &["a", "b"], train, test).map(drop).map_err(|e| e.to_string())
        };
        assert_eq!(made(&[2], 4, vec![0, 1]), Ok(()));
        for (found, expected) in [
            (made(&[2], 5, vec![0, 1]), "its train split has 5 values for 2 classes of examples of 2 values each"),
            (made(&[2], 4, vec![0, 2]), "example 1 of its train split has class 2, but 2 have a name"),
            (made(&[2, 2], 4, vec![0]), "the shape of an example is [2, 2]"),
            (made(&[0], 0, vec![0]), "without a zero"),
            (made(&[2], 0, vec![]), "it has no training examples"),
        ] {
            let found = found.unwrap_err();
            assert!(found.contains(expected) && found.contains("\"mine\""), "{found}");
        }
    }
}
