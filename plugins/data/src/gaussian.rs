//! Gaussian inputs, which several generators have.

use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use secateur::data::purpose;
use secateur::options::Checks;
use secateur::prelude::*;

/// `count` points of `inputs` values each, N(0, 1); each point has a random stream of its own, so that threads and the
/// number of points change nothing.
pub(crate) fn points(seed: Seed, split: u64, count: usize, inputs: usize) -> Vec<f32> {
    let mut values = vec![0.0; count * inputs];
    values.par_chunks_mut(inputs).enumerate().for_each(|(index, point)| {
        let mut random = seed.numbered(purpose::EXAMPLE, split, index as u64);
        point.iter_mut().for_each(|x| *x = StandardNormal.sample(&mut random));
    });
    values
}

/// Normal numbers in f64 from one stream of what a generator draws once.
pub(crate) fn normals(seed: Seed, stream: u64, count: usize) -> Vec<f64> {
    let mut random = seed.numbered(purpose::TRUTH, stream, 0);
    (0..count).map(|_| StandardNormal.sample(&mut random)).collect()
}

/// Noise N(0, sd²) on each target of a split.
pub(crate) fn noise(seed: Seed, split: u64, count: usize, sd: f64) -> Vec<f32> {
    // A stream of the split for all of them: it begins alike whatever the number of examples.
    let mut random = seed.numbered(purpose::NOISE, split, u64::MAX);
    let mut draw = || -> f64 { StandardNormal.sample(&mut random) };
    (0..count).map(|_| (sd * draw()) as f32).collect()
}

/// Checks the sizes that all of them have.
pub(crate) fn check(checks: &mut Checks, train: usize, test: usize, inputs: usize) {
    for (key, count) in [("train", train), ("test", test)] {
        checks.ensure(key, (1..=10_000_000).contains(&count), "1 to 10000000 points are allowed");
        let values = count.saturating_mul(inputs);
        let text = format!("{count} points of {inputs} values are {values} values: at most 1000000000 are allowed");
        checks.ensure(key, values <= 1_000_000_000, text);
    }
    checks.ensure("inputs", (1..=100_000).contains(&inputs), "1 to 100000 values of a point are allowed");
}

#[cfg(test)]
pub(crate) mod tests {
    use secateur::data::Values;
    use secateur::prelude::*;

    /// Mean and variance.
    pub fn moments(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n)
    }

    /// A pool's values.
    pub fn values(pool: &Pool) -> &[f32] {
        match &pool.values {
            Values::F32(values) => values,
            Values::U8(_) => panic!("points are floats"),
        }
    }

    /// A pool's real-valued targets and the noise in them.
    pub fn targets(pool: &Pool) -> (Vec<f64>, Vec<f64>) {
        let responses = pool.responses.as_ref().unwrap();
        let wide = |all: &[f32]| all.iter().map(|v| f64::from(*v)).collect();
        (wide(&responses.values), responses.noise.as_ref().map_or_else(Vec::new, |noise| wide(noise)))
    }
}
