//! Initial values of parameters.

use crate::seed::Seed;
use crate::tensor::Shape;
use rand::RngExt as _;
use rand_distr::{Distribution, Normal, StandardNormal, Uniform};
use serde::{Deserialize, Serialize};

/// How a parameter starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Uniform in ±1/√fan_in: PyTorch's default for linear and convolution layers, weights and biases.
    FanInUniform {
        /// Inputs of one unit.
        fan_in: usize,
    },
    /// Normal with mean 0 and variance 2/fan_in (He et al. 2015).
    HeNormal {
        /// Inputs of one unit.
        fan_in: usize,
    },
    /// Normal with mean 0, cut at two standard deviations.
    TruncatedNormal {
        /// Standard deviation before the cut.
        std: f32,
    },
}

/// Values of a new parameter, from a stream that belongs to its name alone.
pub(super) fn values(name: &str, shape: &Shape, init: Init, seed: Seed) -> Vec<f32> {
    let n = shape.count();
    let mut rng = seed.stream("init", &[name]);
    let draw =
        |d: Option<Normal<f32>>, rng: &mut _| d.map_or_else(|| vec![0.0; n], |d| d.sample_iter(rng).take(n).collect());
    match init {
        Init::Zeros => vec![0.0; n],
        Init::Ones => vec![1.0; n],
        Init::FanInUniform { fan_in } => {
            let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
            Uniform::new_inclusive(-bound, bound)
                .map_or_else(|_| vec![0.0; n], |d| d.sample_iter(&mut rng).take(n).collect())
        }
        Init::HeNormal { fan_in } => draw(Normal::new(0.0, (2.0 / fan_in.max(1) as f32).sqrt()).ok(), &mut rng),
        Init::TruncatedNormal { std } => std::iter::repeat_with(|| rng.sample::<f32, _>(StandardNormal))
            .filter(|z| z.abs() <= 2.0)
            .take(n)
            .map(|z| z * std)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Init, Seed, Shape};

    fn values(init: Init, seed: Seed) -> Vec<f32> {
        super::values("w", &Shape::from([100, 100]), init, seed)
    }

    fn moments(v: &[f32]) -> (f64, f64) {
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / v.len() as f64;
        (mean, (v.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt())
    }

    #[test]
    fn distributions_have_the_documented_spread() {
        let of = |init| moments(&values(init, Seed(1)));
        let (mean, std) = of(Init::FanInUniform { fan_in: 100 });
        assert!(mean.abs() < 2e-3 && (std - 0.1 / 3f64.sqrt()).abs() < 2e-3, "{mean} {std}");
        let (mean, std) = of(Init::HeNormal { fan_in: 100 });
        assert!(mean.abs() < 4e-3 && (std - 0.02f64.sqrt()).abs() < 4e-3, "{mean} {std}");
        // A standard normal cut at ±2 has standard deviation 0.8796.
        let (mean, std) = of(Init::TruncatedNormal { std: 0.02 });
        assert!(mean.abs() < 1e-3 && (std - 0.02 * 0.8796).abs() < 5e-4, "{mean} {std}");
    }

    #[test]
    fn seeds_and_names_give_different_values() {
        let a = values(Init::HeNormal { fan_in: 10 }, Seed(1));
        assert_eq!(a, values(Init::HeNormal { fan_in: 10 }, Seed(1)));
        assert_ne!(a, values(Init::HeNormal { fan_in: 10 }, Seed(2)));
    }
}
