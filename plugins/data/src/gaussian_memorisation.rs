//! Gaussian points with labels that have nothing to do with them: what a network learns of them, it memorises.
//!
//! The data of the memorisation experiment of "No Free Prune" (arXiv 2402.01089): 30 points in 30 dimensions.

use crate::gaussian;
use rand::Rng as _;
use secateur::data::purpose;
use secateur::prelude::*;

options! {
    /// Points x ~ N(0, I) and labels -1 and +1 of a fair coin, drawn from the seed of the data (`seeds.data`).
    pub struct MemorisationOptions {
        /// Training points.
        #[acts(always)]
        pub train: usize = 30,
        /// Test points, which nobody can classify better than by chance.
        #[acts(always)]
        pub test: usize = 100,
        /// Values of a point.
        #[acts(always)]
        pub inputs: usize = 30,
    }

    fn check(&self, checks: &mut Checks) {
        gaussian::check(checks, self.train, self.test, self.inputs);
    }
}

/// Points and labels of one seed.
pub struct GaussianMemorisation {
    options: MemorisationOptions,
    seed: Seed,
}

impl From<MemorisationOptions> for GaussianMemorisation {
    fn from(options: MemorisationOptions) -> Self {
        Self { options, seed: Seed(0) }
    }
}

impl DataSource for GaussianMemorisation {
    fn follows_seed(&self) -> bool {
        true
    }

    fn seeded(&mut self, data: Seed) {
        self.seed = data;
    }

    fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let pool = |split, count| {
            let label = |i: usize| (self.seed.numbered(LABEL, split, i as u64).next_u64() & 1) as u32;
            Pool::floats(
                gaussian::points(self.seed, split, count, self.options.inputs),
                (0..count).map(label).collect(),
            )
        };
        Ok(Examples {
            name: "gaussian-memorisation".to_string(),
            shape: vec![self.options.inputs],
            class_names: ["-1", "+1"].map(str::to_string).to_vec(),
            train: pool(0, self.options.train),
            validation: None,
            test: TestExamples::Own(pool(1, self.options.test)),
            origin: DataOrigin::Generated { generator: "gaussian-memorisation 1", seed: self.seed.0 },
            searched: vec![],
        })
    }
}

/// The purpose of a label's stream: not that of the points, which have others.
const LABEL: u64 = purpose::TRUTH;

secateur::register!(
    Data,
    "gaussian-memorisation",
    GaussianMemorisation,
    "generated Gaussian points with random labels, 2 classes: what is learned is memorised",
    options = MemorisationOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::tests::{moments, values};

    fn open(options: MemorisationOptions, seed: u64) -> Examples {
        let mut source = GaussianMemorisation::from(options);
        source.seeded(Seed(seed));
        source.open(&Folders::default(), &mut |_| ()).unwrap()
    }

    #[test]
    fn points_are_standard_normal_and_labels_a_fair_coin_that_they_do_not_tell() {
        let examples = open(MemorisationOptions { train: 4000, test: 2000, inputs: 5 }, 3);
        let TestExamples::Own(test) = &examples.test else { panic!("it brings its test points") };
        for pool in [&examples.train, test] {
            let (points, n) = (values(pool), pool.targets.len() as f64);
            for input in 0..5 {
                let column: Vec<f64> = points.chunks(5).map(|point| f64::from(point[input])).collect();
                let (mean, variance) = moments(&column);
                assert!(mean.abs() < 4.0 / n.sqrt(), "{mean}");
                assert!((variance - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{variance}");
                let signed =
                    column.iter().zip(pool.targets.iter()).map(|(x, label)| x * (2.0 * f64::from(*label) - 1.0));
                let (told, _) = moments(&signed.collect::<Vec<_>>());
                assert!(told.abs() < 4.0 / n.sqrt(), "the label tells of input {input}: {told}");
            }
            let share = pool.targets.iter().sum::<u32>() as f64 / n;
            assert!((share - 0.5).abs() < 4.0 * 0.5 / n.sqrt(), "{share}");
        }
    }

    #[test]
    fn each_seed_draws_other_points_and_test_points_are_no_training_points() {
        let (one, other) = (open(MemorisationOptions::default(), 1), open(MemorisationOptions::default(), 2));
        assert_eq!(values(&one.train), values(&open(MemorisationOptions::default(), 1).train));
        assert_ne!(values(&one.train), values(&other.train));
        assert_ne!(one.train.targets, other.train.targets);
        assert_eq!((one.train.targets.len(), one.shape.as_slice()), (30, &[30][..]));
        let TestExamples::Own(test) = &one.test else { panic!("it brings its test points") };
        assert_ne!(values(test)[..30], values(&one.train)[..30]);
        // More points leave the first ones as they are.
        let more = open(MemorisationOptions { train: 60, ..Default::default() }, 1);
        assert_eq!(values(&more.train)[..900], *values(&one.train));
    }
}
