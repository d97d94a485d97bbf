//! How steep a network can be. No Free Prune (Kumar, Luo & Sellke 2024, arXiv 2402.01089) has it from below: whoever fits the
//! noise of `n` points in `d` dimensions with `p_eff` effective parameters has a Lipschitz constant of about
//! `sqrt(n d / p_eff)` at least. Here is what weights allow at most.

use crate::backend::{Act, Backend};
use crate::error::Result;
use crate::network::forward::{LayerOperation, LayerRecord};
use crate::network::params::ParamStore;

/// Relative change of an estimate at which it is taken.
const SETTLED: f64 = 1e-12;
/// Steps after which it is taken anyway.
const MOST: usize = 20_000;

/// An upper bound of the Lipschitz constant of a fully connected network, from inputs to outputs (logits) in Euclidean
/// norms: the product of the spectral norms of its layers' weights, masks applied, and of their activations' largest slopes
/// (Szegedy et al. 2014, arXiv 1312.6199, section 4.3). Biases have no part in it. `layers` are those of the network's own file,
/// in the order of their calls; none where one of them is no fully connected layer, or adds a residual.
///
/// # Errors
/// If the device is out of memory.
pub fn lipschitz_at_most<B: Backend>(layers: &[LayerRecord], params: &ParamStore<B>) -> Result<Option<f64>> {
    let mut bound = 1.0;
    for layer in layers {
        let act = match layer.operation {
            LayerOperation::Linear { act, residual: false } => act,
            LayerOperation::Activation { act } => {
                bound *= steepest(act);
                continue;
            }
            _ => return Ok(None),
        };
        let Ok(weight) = params.get(&format!("{}.weight", layer.name)) else { return Ok(None) };
        let weight = weight.effective()?;
        let rows = weight.shape().first().copied().unwrap_or(1);
        bound *= spectral_norm(&weight.to_vec(), rows) * steepest(act);
    }
    Ok((!layers.is_empty()).then_some(bound))
}

/// The largest slope of an activation.
fn steepest(act: Act) -> f64 {
    match act {
        Act::None | Act::Relu | Act::Relu6 | Act::Tanh => 1.0,
        // Both forms stay below it: 1.1289 of the exact one, at x = sqrt 2.
        Act::Gelu | Act::GeluExact => 1.13,
        Act::Sigmoid => 0.25,
    }
}

/// The largest singular value of a matrix of so many rows, stored row by row: power iteration on `W^T W` in double precision.
/// It comes from below, and ends where a step changes it by less than a part in 10^12.
pub fn spectral_norm(matrix: &[f32], rows: usize) -> f64 {
    let columns = matrix.len() / rows.max(1);
    if columns == 0 {
        return 0.0;
    }
    let matrix: Vec<f64> = matrix.iter().map(|value| f64::from(*value)).collect();
    // No direction that weights are likely to be at right angles to: multiples of the golden ratio, modulo 1.
    let mut v: Vec<f64> = (0..columns).map(|i| ((i as f64 + 1.0) * 0.618_033_988_749_894_9).fract() - 0.25).collect();
    let (mut found, mut steady) = (0.0, 0);
    for _ in 0..MOST {
        let size = norm(&v);
        if size == 0.0 {
            return 0.0;
        }
        v.iter_mut().for_each(|value| *value /= size);
        let u: Vec<f64> = matrix.chunks(columns).map(|row| row.iter().zip(&v).map(|(w, v)| w * v).sum()).collect();
        let now = norm(&u);
        steady = if (now - found).abs() <= SETTLED * now { steady + 1 } else { 0 };
        found = now;
        if steady == 3 {
            break;
        }
        v.fill(0.0);
        for (row, u) in matrix.chunks(columns).zip(&u) {
            v.iter_mut().zip(row).for_each(|(v, w)| *v += u * w);
        }
    }
    found
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::network::layout::{LayoutBuilder, Sizes};
    use crate::network::params::Masking;
    use crate::seed::Seed;

    /// Against `numpy.linalg.norm(w, 2)` (`golden/spectral.py` beside this file).
    #[test]
    fn the_largest_singular_value_is_that_of_numpy() {
        let cases: serde_json::Value = serde_json::from_str(include_str!("golden/spectral.json")).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() >= 6);
        for case in cases {
            let values: Vec<f32> =
                case["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
            let (rows, expected) = (case["rows"].as_u64().unwrap() as usize, case["norm"].as_f64().unwrap());
            let found = spectral_norm(&values, rows);
            assert!((found - expected).abs() <= 1e-9 * expected, "{found} of {expected}, {rows} rows");
        }
        assert_eq!((spectral_norm(&[], 0), spectral_norm(&[], 3)), (0.0, 0.0));
    }

    #[test]
    fn no_two_points_of_a_masked_network_are_further_apart_than_it_allows() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        layout.linear("a", &4.into(), &6.into(), true);
        layout.linear("b", &6.into(), &2.into(), true);
        let device = Cpu::default();
        let mut params = ParamStore::<Cpu>::new(&device, layout.build().unwrap(), Seed(3), Masking::Held).unwrap();
        let record = |name: &str, operation| LayerRecord { name: name.into(), operation };
        let linear = |act, residual| LayerOperation::Linear { act, residual };
        let layers = [record("a", linear(Act::Relu, false)), record("b", linear(Act::None, false))];
        let dense = lipschitz_at_most(&layers, &params).unwrap().unwrap();
        params.set_masks(vec![("a.weight".into(), (0..24).map(|i| i % 3 != 0).collect())]).unwrap();
        let bound = lipschitz_at_most(&layers, &params).unwrap().unwrap();
        assert!(bound > 0.0 && (bound - dense).abs() > 1e-6, "masks count");
        let weights = |name: &str| params.get(name).unwrap().effective().unwrap().to_vec();
        let (a, b) = (weights("a.weight"), weights("b.weight"));
        assert!((bound - spectral_norm(&a, 6) * spectral_norm(&b, 2)).abs() < 1e-12);
        let of = |w: &[f32], x: &[f64]| -> Vec<f64> {
            w.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
        };
        let network = |x: &[f64]| of(&b, &of(&a, x).iter().map(|h| h.max(0.0)).collect::<Vec<_>>());
        let point =
            |k: u32| -> Vec<f64> { (0..4).map(|i| f64::from((k * 7919 + i * 104_729) % 1000) / 500.0 - 1.0).collect() };
        let apart = |x: &[f64], y: &[f64]| norm(&x.iter().zip(y).map(|(x, y)| x - y).collect::<Vec<_>>());
        let mut steepest = 0.0f64;
        for k in 0..300 {
            let (x, y) = (point(k), point(k + 1));
            steepest = steepest.max(apart(&network(&x), &network(&y)) / apart(&x, &y));
        }
        assert!(steepest > 0.05 * bound && steepest <= bound, "{steepest} of {bound}");
        let sigmoid = [record("a", linear(Act::Sigmoid, false)), record("b", linear(Act::None, false))];
        assert!((lipschitz_at_most(&sigmoid, &params).unwrap().unwrap() - bound / 4.0).abs() < 1e-12);
        for other in [linear(Act::None, true), LayerOperation::LayerNorm { eps: 1e-5 }] {
            assert_eq!(lipschitz_at_most(&[record("a", other)], &params).unwrap(), None);
        }
        assert_eq!(lipschitz_at_most(&[record("c", linear(Act::None, false))], &params).unwrap(), None);
        assert_eq!(lipschitz_at_most::<Cpu>(&[], &params).unwrap(), None);
    }
}
