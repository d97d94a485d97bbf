//! What a random network says of Gaussian points, with noise: targets of which the noise is known.
//!
//! The data of the noise-correlation experiment of "No Free Prune" (arXiv 2402.01089): a teacher of 3 hidden layers of 50,
//! 1000 points in 50 dimensions, noise of variance 1. The paper does not say how the teacher is drawn; here its hidden
//! weights are N(0, 2 / inputs) (He et al. 2015) and those of its output N(0, 1 / inputs), without biases: the mean square of
//! its output is 1 on average over teachers, most of it a constant, and over points it varies by 0.2 to 0.6 (variance).

use crate::gaussian;
use rayon::prelude::*;
use secateur::prelude::*;

options! {
    /// Points x ~ N(0, I) and real-valued targets y = teacher(x) + z, drawn from the seed of the data (`seeds.data`). A
    /// teacher of fully connected layers with ReLU. The noise z is kept, so that `train.eval_train` can say how far a
    /// network follows it.
    pub struct TeacherOptions {
        /// Training points.
        #[acts(always)]
        pub train: usize = 1000,
        /// Test points, with noise of their own.
        #[acts(always)]
        pub test: usize = 1000,
        /// Values of a point.
        #[acts(always)]
        pub inputs: usize = 50,
        /// Units of each hidden layer of the teacher; none makes it linear.
        #[acts(always)]
        pub hidden: Vec<usize> = vec![50, 50, 50],
        /// Standard deviation of the noise on targets.
        #[acts(always)]
        pub noise: f64 = 1.0,
        /// Seed of the teacher, so that data that is drawn again is still of the same one.
        #[acts(always)]
        pub seed: u64 = 0,
    }

    fn check(&self, checks: &mut Checks) {
        gaussian::check(checks, self.train, self.test, self.inputs);
        let fits = self.hidden.iter().all(|units| (1..=10_000).contains(units)) && self.hidden.len() <= 100;
        checks.ensure("hidden", fits, "at most 100 layers of 1 to 10000 units are allowed");
        let widths = [&[self.inputs], &self.hidden[..], &[1]].concat();
        let weights: usize = widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1])).fold(0, usize::saturating_add);
        let text = format!("the teacher has {weights} weights: at most 100000000 are allowed");
        checks.ensure("hidden", weights <= 100_000_000, text);
        checks.range("noise", self.noise, 0.0..=1e6);
    }
}

/// A teacher, and points of one seed.
pub struct TeacherStudent {
    options: TeacherOptions,
    seed: Seed,
}

impl From<TeacherOptions> for TeacherStudent {
    fn from(options: TeacherOptions) -> Self {
        Self { options, seed: Seed(0) }
    }
}

/// A fully connected layer without bias, `[outputs, inputs]` row by row.
struct Layer {
    weights: Vec<f64>,
    inputs: usize,
}

impl TeacherStudent {
    fn teacher(&self) -> Vec<Layer> {
        let widths = [&[self.options.inputs], &self.options.hidden[..], &[1]].concat();
        let last = widths.len() - 2;
        let layer = |(i, pair): (usize, &[usize])| {
            let (inputs, gain) = (pair[0], if i == last { 1.0 } else { 2.0 });
            let scale = (gain / inputs as f64).sqrt();
            let mut weights = gaussian::normals(Seed(self.options.seed), i as u64, inputs * pair[1]);
            weights.iter_mut().for_each(|w| *w *= scale);
            Layer { weights, inputs }
        };
        widths.windows(2).enumerate().map(layer).collect()
    }
}

/// The teacher's output for a point.
fn says(teacher: &[Layer], point: &[f32]) -> f64 {
    let mut x: Vec<f64> = point.iter().map(|v| f64::from(*v)).collect();
    for (i, layer) in teacher.iter().enumerate() {
        let rows = layer.weights.chunks_exact(layer.inputs);
        let out = rows.map(|row| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>());
        x = if i + 1 == teacher.len() { out.collect() } else { out.map(|z| z.max(0.0)).collect() };
    }
    x[0]
}

impl DataSource for TeacherStudent {
    fn follows_seed(&self) -> bool {
        true
    }

    fn seeded(&mut self, data: Seed) {
        self.seed = data;
    }

    fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let (teacher, inputs) = (self.teacher(), self.options.inputs);
        let pool = |split, count| {
            let points = gaussian::points(self.seed, split, count, inputs);
            let noise = gaussian::noise(self.seed, split, count, self.options.noise);
            let said = points.par_chunks(inputs).map(|point| says(&teacher, point)).collect::<Vec<f64>>();
            let targets = said.iter().zip(&noise).map(|(y, z)| (y + f64::from(*z)) as f32).collect();
            Pool::measured(points, targets, (self.options.noise > 0.0).then_some(noise))
        };
        Ok(Examples {
            name: "teacher-student".to_string(),
            shape: vec![inputs],
            class_names: vec![],
            train: pool(0, self.options.train),
            validation: None,
            test: TestExamples::Own(pool(1, self.options.test)),
            origin: DataOrigin::Generated { generator: "teacher-student 1", seed: self.seed.0 },
            searched: vec![],
        })
    }
}

secateur::register!(
    Data,
    "teacher-student",
    TeacherStudent,
    "generated Gaussian points with what a random network says of them plus noise, real-valued targets",
    options = TeacherOptions
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gaussian::tests::{moments, targets, values};

    fn open(options: TeacherOptions, data: u64) -> Examples {
        let mut source = TeacherStudent::from(options);
        source.seeded(Seed(data));
        source.open(&Folders::default(), &mut |_| ()).unwrap()
    }

    fn own(examples: &Examples) -> &Pool {
        match &examples.test {
            TestExamples::Own(pool) => pool,
            TestExamples::Drawn { .. } => panic!("it brings its test points"),
        }
    }

    #[test]
    fn noise_has_its_variance_and_tells_nothing_of_the_points_or_of_the_teacher() {
        let examples = open(TeacherOptions { train: 4000, noise: 2.0, ..Default::default() }, 1);
        for pool in [&examples.train, own(&examples)] {
            let ((y, z), n) = (targets(pool), pool.targets.len() as f64);
            let (mean, variance) = moments(&z);
            assert!(mean.abs() < 4.0 * 2.0 / n.sqrt(), "{mean}");
            assert!((variance - 4.0).abs() < 4.0 * 4.0 * (2.0 / n).sqrt(), "{variance}");
            let truth: Vec<f64> = y.iter().zip(&z).map(|(y, z)| y - z).collect();
            let (_, of_truth) = moments(&truth);
            assert!(of_truth > 0.05, "the teacher says the same of all points: {of_truth}");
            let product: Vec<f64> = truth.iter().zip(&z).map(|(f, z)| f * z).collect();
            let (together, spread) = moments(&product);
            assert!(together.abs() < 4.0 * (spread / n).sqrt(), "{together}");
            let first: Vec<f64> = values(pool).chunks(50).zip(&z).map(|(x, z)| f64::from(x[0]) * z).collect();
            assert!(moments(&first).0.abs() < 4.0 * 2.0 / n.sqrt());
        }
    }

    #[test]
    fn the_teacher_is_the_network_that_its_options_describe() {
        let source = TeacherStudent::from(TeacherOptions { inputs: 3, hidden: vec![4, 2], ..Default::default() });
        let teacher = source.teacher();
        assert_eq!(teacher.iter().map(|layer| layer.weights.len()).collect::<Vec<_>>(), [12, 8, 2]);
        let point = [0.5, -1.0, 2.0];
        // Layer by layer, with indices.
        let mut x = point.map(f64::from).to_vec();
        for (i, outputs) in [4, 2, 1].into_iter().enumerate() {
            let mut next = vec![0.0; outputs];
            for (j, next) in next.iter_mut().enumerate() {
                for (k, x) in x.iter().enumerate() {
                    *next += teacher[i].weights[j * x_len(i) + k] * x;
                }
                *next = if i < 2 && *next < 0.0 { 0.0 } else { *next };
            }
            x = next;
        }
        assert!((says(&teacher, &point) - x[0]).abs() < 1e-12);
        let wide =
            TeacherStudent::from(TeacherOptions { inputs: 200, hidden: vec![300], ..Default::default() }).teacher();
        let variances = [2.0 / 200.0, 1.0 / 300.0];
        for (layer, expected) in wide.iter().zip(variances) {
            let (_, variance) = moments(&layer.weights);
            let n = layer.weights.len() as f64;
            assert!((variance / expected - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{variance} of {expected}");
        }
    }

    fn x_len(layer: usize) -> usize {
        [3, 4, 2][layer]
    }

    #[test]
    fn the_seed_of_the_data_draws_points_and_noise_and_that_of_the_set_its_teacher() {
        let of = |seed, data| open(TeacherOptions { train: 20, test: 20, seed, ..Default::default() }, data);
        let (one, again, other) = (of(0, 1), of(0, 1), of(0, 2));
        assert_eq!((values(&one.train), targets(&one.train)), (values(&again.train), targets(&again.train)));
        assert_ne!(values(&one.train), values(&other.train));
        assert_ne!(targets(&one.train).1, targets(&other.train).1);
        let taught = of(1, 1);
        assert_eq!(values(&one.train), values(&taught.train));
        assert_eq!(targets(&one.train).1, targets(&taught.train).1);
        assert_ne!(targets(&one.train).0, targets(&taught.train).0);
        assert_ne!(values(&one.train)[..50], values(own(&one))[..50], "splits are drawn apart");
    }
}
