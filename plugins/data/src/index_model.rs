//! Single- and multi-index models whose directions are sparse.
//!
//! Vural & Erdogdu 2024, "Pruning is Optimal for Learning Sparse Features in High-Dimensions": y = σ*(Vᵀx) + noise with
//! x ~ N(0, I_d), V [d, k] orthonormal, and few rows of V that are not zero.

use crate::gaussian;
use rand::seq::index::sample;
use rayon::prelude::*;
use secateur::data::purpose;
use secateur::prelude::*;

secateur::choices! {
    /// What is made of the k indices t = Vᵀx.
    pub enum Link {
        /// Σ max(t_j, 0) / √k
        Relu = "relu",
        /// Σ tanh(t_j) / √k
        Tanh = "tanh",
        /// Σ (t_j² - 1) / √(2k), the second Hermite polynomial: no direction shows in the mean of y x.
        Hermite2 = "hermite2",
        /// Σ (t_j³ - 3 t_j) / √(6k), the third Hermite polynomial.
        Hermite3 = "hermite3",
        /// Π t_j
        Product = "product",
    }
}

impl Link {
    fn of(self, indices: &[f64]) -> f64 {
        let sum = |f: fn(f64) -> f64| indices.iter().map(|t| f(*t)).sum::<f64>() / (indices.len() as f64).sqrt();
        match self {
            Self::Relu => sum(|t| t.max(0.0)),
            Self::Tanh => sum(f64::tanh),
            Self::Hermite2 => sum(|t| (t * t - 1.0) / 2f64.sqrt()),
            Self::Hermite3 => sum(|t| (t * t * t - 3.0 * t) / 6f64.sqrt()),
            Self::Product => indices.iter().product(),
        }
    }
}

options! {
    /// Points x ~ N(0, I) and real-valued targets y = σ(Vᵀx) + z, drawn from the seed of the data (`seeds.data`). V is
    /// orthonormal: Gaussian in the rows that are not zero, made orthonormal column by column (Gram and Schmidt).
    pub struct IndexOptions {
        /// Training points.
        #[acts(always)]
        pub train: usize = 1000,
        /// Test points, with noise of their own.
        #[acts(always)]
        pub test: usize = 1000,
        /// Values of a point.
        #[acts(always)]
        pub inputs: usize = 100,
        /// Columns of V: 1 for a single-index model.
        #[acts(always)]
        pub indices: usize = 1,
        /// Rows of V that are not zero: values of a point that its target depends on; at least `indices`.
        #[acts(always)]
        pub nonzeros: usize = 10,
        /// What is made of the indices t: `relu` and `tanh` of each, their second and third Hermite polynomials
        /// (`hermite2`, `hermite3`), each summed and divided by the root of their number, or their `product`.
        #[acts(always)]
        pub link: Link = Link::Relu,
        /// Standard deviation of the noise on targets.
        #[acts(always)]
        pub noise: f64 = 0.0,
        /// Seed of V, so that data that is drawn again has still the same directions.
        #[acts(always)]
        pub seed: u64 = 0,
    }

    fn check(&self, checks: &mut Checks) {
        gaussian::check(checks, self.train, self.test, self.inputs);
        let rows = format!("1 to `inputs` = {} rows are allowed", self.inputs);
        checks.ensure("nonzeros", (1..=self.inputs).contains(&self.nonzeros), rows);
        let columns = format!("1 to `nonzeros` = {} columns can be orthonormal in so many rows", self.nonzeros);
        checks.ensure("indices", (1..=self.nonzeros).contains(&self.indices), columns);
        checks.range("noise", self.noise, 0.0..=1e6);
    }
}

/// Directions, and points of one seed.
pub struct IndexModel {
    options: IndexOptions,
    seed: Seed,
}

impl From<IndexOptions> for IndexModel {
    fn from(options: IndexOptions) -> Self {
        Self { options, seed: Seed(0) }
    }
}

/// V: the rows that are not zero, in rising order, and its columns within them.
struct Directions {
    rows: Vec<usize>,
    columns: Vec<Vec<f64>>,
}

impl IndexModel {
    fn directions(&self) -> Directions {
        let IndexOptions { inputs, indices, nonzeros, seed, .. } = self.options;
        let mut random = Seed(seed).numbered(purpose::TRUTH, u64::MAX, 0);
        let mut rows = sample(&mut random, inputs, nonzeros).into_vec();
        rows.sort_unstable();
        let mut columns: Vec<Vec<f64>> = vec![];
        for j in 0..indices {
            let mut column = gaussian::normals(Seed(seed), j as u64, nonzeros);
            // Twice: what rounding leaves of the first time goes with the second.
            for other in columns.iter().chain(&columns) {
                let along = dot(&column, other);
                column.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
            }
            let length = dot(&column, &column).sqrt();
            column.iter_mut().for_each(|v| *v /= length);
            columns.push(column);
        }
        Directions { rows, columns }
    }
}

impl Directions {
    /// Vᵀx
    fn indices(&self, point: &[f32]) -> Vec<f64> {
        let read: Vec<f64> = self.rows.iter().map(|row| f64::from(point[*row])).collect();
        self.columns.iter().map(|column| dot(column, &read)).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl DataSource for IndexModel {
    fn follows_seed(&self) -> bool {
        true
    }

    fn seeded(&mut self, data: Seed) {
        self.seed = data;
    }

    fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let (directions, link, inputs) = (self.directions(), self.options.link, self.options.inputs);
        let pool = |split, count| {
            let points = gaussian::points(self.seed, split, count, inputs);
            let noise = gaussian::noise(self.seed, split, count, self.options.noise);
            let of = |point| link.of(&directions.indices(point));
            let truth = points.par_chunks(inputs).map(of).collect::<Vec<f64>>();
            let targets = truth.iter().zip(&noise).map(|(y, z)| (y + f64::from(*z)) as f32).collect();
            Pool::measured(points, targets, (self.options.noise > 0.0).then_some(noise))
        };
        Ok(Examples {
            name: "index-model".to_string(),
            shape: vec![inputs],
            class_names: vec![],
            train: pool(0, self.options.train),
            validation: None,
            test: TestExamples::Own(pool(1, self.options.test)),
            origin: DataOrigin::Generated { generator: "index-model 1", seed: self.seed.0 },
            searched: vec![],
        })
    }
}

secateur::register!(
    Data,
    "index-model",
    IndexModel,
    "generated Gaussian points with a function of few sparse directions, real-valued targets (Vural & Erdogdu 2024)",
    options = IndexOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::tests::{moments, targets, values};

    fn open(options: IndexOptions, data: u64) -> Examples {
        let mut source = IndexModel::from(options);
        source.seeded(Seed(data));
        source.open(&Folders::default(), &mut |_| ()).unwrap()
    }

    #[test]
    fn directions_are_orthonormal_and_lie_in_as_many_rows_as_asked() {
        for (indices, nonzeros) in [(1, 1), (1, 10), (3, 7), (20, 20)] {
            let options = IndexOptions { inputs: 40, indices, nonzeros, seed: 3, ..Default::default() };
            let Directions { rows, columns } = IndexModel::from(options).directions();
            assert!(rows.len() == nonzeros && rows.windows(2).all(|two| two[0] < two[1]) && rows[nonzeros - 1] < 40);
            for (i, a) in columns.iter().enumerate() {
                assert!(a.iter().all(|v| *v != 0.0));
                for (j, b) in columns.iter().enumerate() {
                    let expected = f64::from(u8::from(i == j));
                    assert!((dot(a, b) - expected).abs() < 1e-12, "columns {i} and {j}: {}", dot(a, b));
                }
            }
        }
    }

    #[test]
    fn links_are_their_formulas_and_normal_indices_give_them_their_moments() {
        let found = [Link::Relu, Link::Tanh, Link::Hermite2, Link::Hermite3, Link::Product].map(|l| l.of(&[2.0, -1.0]));
        let root = 2f64.sqrt();
        let expected = [2.0 / root, (2f64.tanh() - 1f64.tanh()) / root, 1.5, (2.0 + 2.0) / 12f64.sqrt(), -2.0];
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} and {b}"));
        // Hermite polynomials and products of independent normal numbers have mean 0 and variance 1.
        for (link, fourth) in [(Link::Hermite2, 15.0), (Link::Hermite3, 93.0), (Link::Product, 27.0)] {
            let options = IndexOptions { train: 20_000, test: 1, indices: 3, inputs: 12, link, ..Default::default() };
            let (y, _) = targets(&open(options, 5).train);
            let ((mean, variance), n) = (moments(&y), y.len() as f64);
            assert!(mean.abs() < 4.0 / n.sqrt(), "{link:?}: mean {mean}");
            // The variance of a variance is (E y⁴ - 1) / n; of a sum of three it is smaller than of one.
            assert!((variance - 1.0).abs() < 4.0 * (fourth / n).sqrt(), "{link:?}: variance {variance}");
        }
    }

    #[test]
    fn targets_depend_on_the_rows_that_are_not_zero_alone_and_have_their_noise() {
        let options = IndexOptions { noise: 0.5, indices: 2, link: Link::Tanh, train: 3000, ..Default::default() };
        let (examples, directions) = (open(options.clone(), 1), IndexModel::from(options).directions());
        let ((y, z), n) = (targets(&examples.train), 3000.0_f64);
        for (i, point) in values(&examples.train).chunks(100).enumerate().take(50) {
            let mut t = [0.0; 2];
            for (place, row) in directions.rows.iter().enumerate() {
                (0..2).for_each(|j| t[j] += directions.columns[j][place] * f64::from(point[*row]));
            }
            let truth = (t[0].tanh() + t[1].tanh()) / 2f64.sqrt();
            assert!((y[i] - z[i] - truth).abs() < 1e-6, "{} and {truth}", y[i] - z[i]);
        }
        let (mean, variance) = moments(&z);
        assert!(mean.abs() < 4.0 * 0.5 / n.sqrt() && (variance - 0.25).abs() < 4.0 * 0.25 * (2.0 / n).sqrt());
        // None was added, and none is said to have been.
        let without = open(IndexOptions::default(), 1);
        assert!(without.train.responses.as_ref().is_some_and(|responses| responses.noise.is_none()));
    }

    #[test]
    fn data_that_is_drawn_again_keeps_its_directions() {
        let of = |seed, data| open(IndexOptions { train: 30, seed, ..Default::default() }, data);
        assert_eq!(targets(&of(0, 1).train), targets(&of(0, 1).train));
        assert_ne!(values(&of(0, 1).train), values(&of(0, 2).train));
        assert_eq!(values(&of(0, 1).train), values(&of(1, 1).train));
        assert_ne!(targets(&of(0, 1).train).0, targets(&of(1, 1).train).0);
        let source = IndexModel::from(IndexOptions::default());
        let other = IndexModel { options: IndexOptions { seed: 1, ..IndexOptions::default() }, seed: Seed(0) };
        assert_ne!(source.directions().rows, other.directions().rows);
    }

    #[test]
    fn more_columns_than_rows_and_more_rows_than_inputs_are_refused() {
        use secateur::options::parse;
        let refused = |text: &str| parse::<IndexOptions>(&text.parse().unwrap()).unwrap_err()[0].to_string();
        let text = refused("indices = 11");
        assert!(text.contains("`indices` = 11: 1 to `nonzeros` = 10 columns"), "{text}");
        assert!(refused("nonzeros = 101").contains("`nonzeros` = 101: 1 to `inputs` = 100 rows"));
        assert!(refused("link = \"cube\"").contains("hermite3"));
    }
}
