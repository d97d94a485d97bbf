//! The derivative of a smooth function of a step, from its values.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Gradients by parameter name.
pub(super) type Gradients<B> = BTreeMap<String, Tensor<B>>;

/// Central difference of twelfth order: `f'(0) = Σ c_k (f(k h) - f(-k h)) / h`, k from 1 to 6, with
/// `c_k = (-1)^(k + 1) (6!)^2 / (k (6 - k)! (6 + k)!)` (Fornberg 1988).
const COEFFICIENTS: [f64; 6] = [6.0 / 7.0, -15.0 / 56.0, 5.0 / 63.0, -1.0 / 56.0, 1.0 / 385.0, -1.0 / 5544.0];
/// The step is halved at most so often.
const HALVINGS: usize = 16;
/// Two differences that are so close count as one; rounding of single precision allows no more.
const CLOSE: f64 = 1e-6;
/// Relative error of the result that is small enough.
const GOOD: f64 = 4e-6;
/// So many differences are averaged at most.
const DIFFERENCES: u16 = 8;
/// Two differences that are further apart are not the derivative of anything smooth.
const APART: f64 = 1e-2;
/// Rounding of a gradient, relative to its norm.
const ROUNDING: f64 = 1e-6;

/// The derivative of `f` at 0. Steps of `reach` and less are tried: with each halving the error of the method falls to
/// a 4096th and that of rounding doubles, so of the two neighbours that differ least one or the other is the best, and
/// their mean is never far from it.
pub(super) fn derivative<B: Backend>(
    reach: f64,
    mut f: impl FnMut(f64) -> Result<Gradients<B>>,
) -> Result<Gradients<B>> {
    let mut across = |step: f64| {
        let (ahead, behind) = (f(step)?, f(-step)?);
        Ok::<_, Error>((combine(&ahead, &behind, 1.0, -1.0)?, norm(&ahead)?))
    };
    let mut h = reach / COEFFICIENTS.len() as f64;
    let (mut values, mut sizes): (Vec<_>, Vec<_>) =
        (1..=COEFFICIENTS.len()).map(|k| across(k as f64 * h)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let (mut last, mut best): (Option<Gradients<B>>, Option<Found<B>>) = (None, None);
    for _ in 0..HALVINGS {
        let value = difference(&values, h)?;
        if let Some(last) = &last {
            let (size, gap) = (norm(&value)?, norm(&combine(&value, last, 1.0, -1.0)?)?);
            // Where the derivative is zero, the rounding of `f` is all there is.
            let noise = ROUNDING * sizes[0] / h;
            let worse = best.as_ref().is_some_and(|best| best.is_sound() && gap > 2.0 * best.gap);
            if gap.is_finite() && best.as_ref().is_none_or(|best| gap < best.gap) {
                best = Some(Found { value: combine(&value, last, 0.5, 0.5)?, h: 2.0 * h, size, gap, noise });
            }
            if worse || gap <= CLOSE * size {
                break;
            }
        }
        last = Some(value);
        h /= 2.0;
        // Every second of the new steps is one of the old.
        let old = values;
        (values, sizes) = (vec![], vec![]);
        for k in 1..=COEFFICIENTS.len() {
            let (value, size) = if k % 2 == 0 { (old[k / 2 - 1].clone(), f64::NAN) } else { across(k as f64 * h)? };
            values.push(value);
            sizes.push(size);
        }
    }
    match best {
        Some(best) if best.is_sound() => averaged(best, |h| {
            let steps = 1..=COEFFICIENTS.len();
            difference(&steps.map(|k| Ok(across(k as f64 * h)?.0)).collect::<Result<Vec<_>>>()?, h)
        }),
        other => {
            let apart = other.map_or(f64::NAN, |best| best.gap / best.size);
            Err(Error::Other(format!(
                "the Hessian-vector product cannot be found: gradients at neighbouring weights lead to products that differ \
                 by {apart:.0e} of their size. An operation of the model or its compressor has kinks that the tape does not \
                 know of (one of dfdx, or of a plugin from a library), or a value is not finite"
            )))
        }
    }
}

/// Averages more differences, of steps a little smaller, until what rounding leaves is small.
fn averaged<B: Backend>(
    best: Found<B>,
    mut difference: impl FnMut(f64) -> Result<Gradients<B>>,
) -> Result<Gradients<B>> {
    let (mut value, mut count) = (best.value, 1u16);
    // Half the gap is the rounding of the mean that was found; that of more of them is independent.
    while best.gap > 2.0 * GOOD * best.size * f64::from(count).sqrt() && count < DIFFERENCES {
        let more = difference(best.h * (1.0 - 0.05 * f64::from(count)))?;
        count += 1;
        let share = 1.0 / f32::from(count);
        value = combine(&value, &more, 1.0 - share, share)?;
    }
    Ok(value)
}

/// Two differences that were compared, and their mean.
struct Found<B: Backend> {
    value: Gradients<B>,
    /// The larger step.
    h: f64,
    size: f64,
    gap: f64,
    noise: f64,
}

impl<B: Backend> Found<B> {
    fn is_sound(&self) -> bool {
        self.gap <= APART * self.size || self.gap <= self.noise
    }
}

fn difference<B: Backend>(values: &[Gradients<B>], h: f64) -> Result<Gradients<B>> {
    let mut sum: Option<Gradients<B>> = None;
    // The small terms first.
    for (value, c) in values.iter().zip(COEFFICIENTS).rev() {
        let weight = (c / h) as f32;
        sum = Some(match sum {
            None => combine(value, value, weight, 0.0)?,
            Some(sum) => combine(&sum, value, 1.0, weight)?,
        });
    }
    Ok(sum.unwrap_or_default())
}

/// `p a + q b`
fn combine<B: Backend>(a: &Gradients<B>, b: &Gradients<B>, p: f32, q: f32) -> Result<Gradients<B>> {
    let both = a.iter().filter_map(|(name, a)| Some((name, a, b.get(name)?)));
    both.map(|(name, a, b)| Ok((name.clone(), a.scale(p)?.add(&b.scale(q)?)?))).collect()
}

fn norm<B: Backend>(all: &Gradients<B>) -> Result<f64> {
    Ok(all.values().map(B::norm_squared).sum::<Result<f64>>()?.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;

    fn gradients(values: [f64; 2]) -> Gradients<Cpu> {
        let values = values.map(|v| v as f32).to_vec();
        [("w".to_string(), Tensor::from_vec(&Cpu::default(), values, [2]).unwrap())].into()
    }

    fn of(reach: f64, f: impl Fn(f64) -> [f64; 2]) -> Result<Vec<f32>> {
        derivative(reach, |step| Ok(gradients(f(step)))).map(|found| found["w"].to_vec())
    }

    #[test]
    fn steps_are_halved_until_two_agree() {
        for reach in [0.01, 1.0, 30.0] {
            let found = of(reach, |e| [(3.0 * e).exp(), e / (1.0 + e * e)]).unwrap();
            assert!((found[0] - 3.0).abs() < 2e-5 && (found[1] - 1.0).abs() < 2e-5, "{reach}: {found:?}");
        }
        assert_eq!(of(1.0, |_| [7.0, 0.0]).unwrap(), [0.0, 0.0]);
        let found = of(1.0, |e| [1e3 + 1e-9 * e, 0.0]).unwrap();
        assert!(found[0].abs() < 1e-2, "{found:?} is rounding of 1000");
    }

    #[test]
    fn kinks_and_what_is_not_finite_are_errors() {
        let kinked = of(1.0, |e| [if e > 0.0 { 1.0 } else { 0.0 }, e]).unwrap_err().to_string();
        assert!(kinked.contains("kinks that the tape does not know of"), "{kinked}");
        assert!(of(1.0, |_| [f64::NAN, 0.0]).is_err());
        let only_far = of(1.0, |e| [e, if e.abs() > 0.3 { f64::INFINITY } else { 2.0 * e }]).unwrap();
        assert!((only_far[1] - 2.0).abs() < 1e-5, "{only_far:?}");
    }
}
