//! How much each unit of a layer contributes to the units it feeds.
//!
//! For weights w [M, N], activations a [F, N]: c_kj(f) = w_jk a_k(f) / sum_i w_ji a_i(f), the share of unit k in the
//! input of unit j for sample f. The sum over f and j is two matrix products; the maximum is a product over
//! (max, times). Neither needs the [F, M, N] shares themselves.

use super::common::gemm::gemm;
use super::common::matrix::{Mat, MatMut};
use super::common::simd::simd_fn;
use super::common::{Accumulate, elementwise, par, scratch};
use crate::backend::contribution::check_contribution;
use crate::backend::{Contribution, ContributionOps};
use crate::error::Result;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;

impl ContributionOps for Cpu {
    fn contribution(
        activation: &Tensor<Self>,
        weight: &Tensor<Self>,
        signed_eps: Option<f32>,
        with_max: bool,
    ) -> Result<Contribution<Self>> {
        let (_, units, _) = check_contribution(activation, weight)?;
        let form = signed_eps.map_or(Form::Absolute, |eps| Form::Signed { eps });
        let mut found = Gathered::new(units);
        found.observe(weight.data(), activation.data(), form, with_max);
        let device = activation.device();
        Ok(Contribution {
            sum: Tensor::from_vec(device, found.sum.iter().map(|&s| s as f32).collect(), [units])?,
            max: with_max.then(|| Tensor::from_vec(device, found.max, [units])).transpose()?,
            count: found.count,
        })
    }
}

/// What a share is made of. A zero denominator contributes zero in both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// |w| |a| over its sum: shares are between 0 and 1, and those of one (f, j) add up to 1.
    Absolute,
    /// w a over its sum, the sum moved away from zero by eps in the direction of its sign.
    Signed {
        /// The distance from zero, above zero.
        eps: f32,
    },
}

/// Contributions of N units, gathered over any number of calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered {
    /// For each unit the sum of its shares over samples and fed units.
    pub sum: Vec<f64>,
    /// For each unit its largest share; minus infinity before the first sample.
    pub max: Vec<f32>,
    /// Shares behind each entry: samples times fed units.
    pub count: u64,
}

/// Samples handled at once: their shares of the work stay in a core's cache.
const SAMPLES: usize = 256;
/// Units of a register tile of the (max, times) product.
const UNITS: usize = 64;

impl Gathered {
    /// Nothing gathered yet about `units` units.
    pub fn new(units: usize) -> Self {
        Self { sum: vec![0.0; units], max: vec![f32::NEG_INFINITY; units], count: 0 }
    }

    /// Takes in the activations `a` [F, N] that meet the weight `w` [M, N]; the maximum only `with_max`, because it
    /// costs as much again.
    pub fn observe(&mut self, w: &[f32], a: &[f32], form: Form, with_max: bool) {
        let n = self.sum.len();
        assert!(n > 0 && w.len().is_multiple_of(n) && a.len().is_multiple_of(n), "rows of {n} units");
        let (m, f) = (w.len() / n, a.len() / n);
        if m == 0 || f == 0 {
            return;
        }
        let absolute = form == Form::Absolute;
        let effective: Vec<f32> = if absolute { w.iter().map(|w| w.abs()).collect() } else { w.to_vec() };
        let eps = if let Form::Signed { eps } = form { eps } else { 0.0 };
        let flops = f.saturating_mul(m * n).saturating_mul(if with_max { 6 } else { 4 });
        let parts = par::map(flops, a.chunks(SAMPLES * n), |a| {
            let rows = a.len() / n;
            scratch::with(2 * rows * n + rows * m, |buffer| {
                let (effective_a, rest) = buffer.split_at_mut(rows * n);
                let (weighted, inverse) = rest.split_at_mut(rows * n);
                if absolute {
                    elementwise::abs(effective_a, a);
                } else {
                    effective_a.copy_from_slice(a);
                }
                let (w, a) = (Mat::new(&effective, m, n), Mat::new(effective_a, rows, n));
                gemm(&mut MatMut::new(inverse, rows, m), Accumulate::Overwrite, 1.0, a, w.t());
                invert(inverse, eps);
                let shares = Mat::new(inverse, rows, m);
                gemm(&mut MatMut::new(weighted, rows, n), Accumulate::Overwrite, 1.0, shares, w);
                let (mut sum, mut max) = (vec![0.0; n], vec![f32::NEG_INFINITY; if with_max { n } else { 0 }]);
                add_products(&mut sum, effective_a, weighted);
                if with_max {
                    let product = if absolute { max_product_absolute } else { max_product };
                    product(&mut max, effective_a, inverse, &effective, m);
                }
                (sum, max)
            })
        });
        for (sum, max) in parts {
            for (total, part) in self.sum.iter_mut().zip(sum) {
                *total += f64::from(part);
            }
            elementwise::max_assign(&mut self.max[..max.len()], &max);
        }
        self.count += (f * m) as u64;
    }
}

simd_fn! {
    /// x = 1 / (x + eps sign(x)); 0 where that is not a number worth dividing by.
    fn invert(x: &mut [f32], eps: f32) {
        for x in x {
            let sign = if *x > 0.0 { eps } else if *x < 0.0 { -eps } else { 0.0 };
            let inverse = 1.0 / (*x + sign);
            *x = if (*x + sign).abs() >= f32::MIN_POSITIVE { inverse } else { 0.0 };
        }
    }
}

simd_fn! {
    fn add_products(sum: &mut [f32], a: &[f32], b: &[f32]) {
        for (a, b) in a.chunks_exact(sum.len()).zip(b.chunks_exact(sum.len())) {
            for ((sum, &a), &b) in sum.iter_mut().zip(a).zip(b) {
                // A silent unit contributes nothing, even where its weight over a tiny denominator overflowed.
                *sum += if a == 0.0 { 0.0 } else { a * b };
            }
        }
    }
}

simd_fn! {
    /// As [`max_product`] where nothing is negative; two samples at a time share the weights they read.
    fn max_product_absolute(max: &mut [f32], a: &[f32], r: &[f32], w: &[f32], m: usize) {
        let n = max.len();
        let pairs = a.len() / (2 * n);
        let whole = n / UNITS * UNITS;
        for first in (0..whole).step_by(UNITS) {
            for (a, r) in a.chunks_exact(2 * n).zip(r.chunks_exact(2 * m)) {
                let mut high = [[0.0_f32; UNITS]; 2];
                let (r0, r1) = r.split_at(m);
                for ((w, &r0), &r1) in w.chunks_exact(n).zip(r0).zip(r1) {
                    let w: &[f32; UNITS] = w[first..].first_chunk().expect("a whole tile");
                    for (high, r) in high.iter_mut().zip([r0, r1]) {
                        for (high, &w) in high.iter_mut().zip(w) {
                            let v = w * r;
                            *high = if v > *high { v } else { *high };
                        }
                    }
                }
                for (high, a) in high.iter().zip(a.chunks_exact(n)) {
                    for ((max, &high), &a) in max[first..].iter_mut().zip(high).zip(&a[first..]) {
                        let v = if a == 0.0 { 0.0 } else { a * high };
                        *max = if v > *max { v } else { *max };
                    }
                }
            }
        }
        let rest = (2 * pairs * n, 2 * pairs * m);
        max_tail(max, &a[rest.0..], &r[rest.1..], w, m, 0);
        max_tail(max, &a[..rest.0], &r[..rest.1], w, m, whole);
    }
}

simd_fn! {
    /// max_k = max over samples f and fed units j of a_fk w_jk r_fj.
    fn max_product(max: &mut [f32], a: &[f32], r: &[f32], w: &[f32], m: usize) {
        let n = max.len();
        let whole = n / UNITS * UNITS;
        for first in (0..whole).step_by(UNITS) {
            for (a, r) in a.chunks_exact(n).zip(r.chunks_exact(m)) {
                let (mut high, mut low) = ([f32::NEG_INFINITY; UNITS], [f32::INFINITY; UNITS]);
                for (w, &r) in w.chunks_exact(n).zip(r) {
                    let w: &[f32; UNITS] = w[first..].first_chunk().expect("a whole tile");
                    for k in 0..UNITS {
                        let v = w[k] * r;
                        high[k] = if v > high[k] { v } else { high[k] };
                        low[k] = if v < low[k] { v } else { low[k] };
                    }
                }
                for k in 0..UNITS {
                    // A negative activation turns the smallest factor into the largest share.
                    let a = a[first + k];
                    let v = if a == 0.0 { 0.0 } else { a * if a > 0.0 { high[k] } else { low[k] } };
                    max[first + k] = if v > max[first + k] { v } else { max[first + k] };
                }
            }
        }
        max_tail(max, a, r, w, m, whole);
    }
}

/// As [`max_product`] for the units from `first`.
#[inline(always)]
fn max_tail(max: &mut [f32], a: &[f32], r: &[f32], w: &[f32], m: usize, first: usize) {
    let n = max.len();
    for (a, r) in a.chunks_exact(n).zip(r.chunks_exact(m)) {
        for (w, &r) in w.chunks_exact(n).zip(r) {
            for ((max, &a), &w) in max[first..].iter_mut().zip(&a[first..]).zip(&w[first..]) {
                let v = if a == 0.0 { 0.0 } else { a * (w * r) };
                *max = if v > *max { v } else { *max };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_close, assert_same_bits, at_each_level, random};

    /// Sums and maxima by the definition.
    fn reference(w: &[f32], a: &[f32], n: usize, form: Form) -> (Vec<f64>, Vec<f64>) {
        let (mut sum, mut max) = (vec![0.0; n], vec![f64::NEG_INFINITY; n]);
        let part = |w: f32, a: f32| {
            let v = f64::from(w) * f64::from(a);
            if form == Form::Absolute { v.abs() } else { v }
        };
        for a in a.chunks(n) {
            for w in w.chunks(n) {
                let mut total: f64 = w.iter().zip(a).map(|(&w, &a)| part(w, a)).sum();
                if let Form::Signed { eps } = form {
                    total += f64::from(eps) * if total == 0.0 { 0.0 } else { total.signum() };
                }
                for k in 0..n {
                    let share = if total == 0.0 { 0.0 } else { part(w[k], a[k]) / total };
                    sum[k] += share;
                    max[k] = f64::max(max[k], share);
                }
            }
        }
        (sum, max)
    }

    #[test]
    fn sums_and_maxima_agree_with_the_definition() {
        at_each_level(|| {
            for (m, n, f) in [(1, 1, 1), (3, 5, 7), (10, 130, 300), (7, 64, 20)] {
                for form in [Form::Absolute, Form::Signed { eps: 0.5 }] {
                    let (mut w, mut a) = (random(m * n, 1), random(f * n, 2));
                    w.iter_mut().step_by(3).for_each(|w| *w = 0.0);
                    a.iter_mut().step_by(4).for_each(|a| *a = 0.0);
                    a[..n].fill(0.0); // a silent sample: every denominator is zero
                    let mut c = Gathered::new(n);
                    c.observe(&w, &a, form, true);
                    let (sum, max) = reference(&w, &a, n, form);
                    let sums: Vec<f32> = c.sum.iter().map(|&s| s as f32).collect();
                    assert_close(&sums, &sum, 1e-4, "sum");
                    assert_close(&c.max, &max, 1e-4, "max");
                    assert_eq!(c.count, (f * m) as u64);
                }
            }
        });
    }

    #[test]
    fn absolute_means_add_up_to_one() {
        let (m, n, f) = (20, 33, 600);
        let mut c = Gathered::new(n);
        c.observe(&random(m * n, 3), &random(f * n, 4), Form::Absolute, false);
        let total: f64 = c.sum.iter().map(|sum| sum / c.count as f64).sum();
        assert!((total - 1.0).abs() < 1e-5, "{total}");
        assert!(c.max.iter().all(|&m| m == f32::NEG_INFINITY));
    }

    #[test]
    fn parts_gather_to_the_whole() {
        let (m, n, f) = (5, 70, 100);
        let (w, a) = (random(m * n, 5), random(f * n, 6));
        let mut whole = Gathered::new(n);
        whole.observe(&w, &a, Form::Absolute, true);
        let mut parts = Gathered::new(n);
        a.chunks(30 * n).for_each(|a| parts.observe(&w, a, Form::Absolute, true));
        assert_eq!(whole.count, parts.count);
        let max: Vec<f64> = whole.max.iter().map(|&m| f64::from(m)).collect();
        assert_close(&parts.max, &max, 1e-6, "max");
        let sums: Vec<f32> = parts.sum.iter().map(|&s| s as f32).collect();
        assert_close(&sums, &whole.sum, 1e-5, "sum");
    }

    #[test]
    fn tiny_values_give_no_nan() {
        for form in [Form::Absolute, Form::Signed { eps: 1e-30 }] {
            let mut c = Gathered::new(3);
            c.observe(&[1e-30, 1e30, 0.0], &[1e-20, 0.0, 1e-38, 0.0, 0.0, 0.0], form, true);
            assert!(c.sum.iter().all(|s| s.is_finite()) && c.max.iter().all(|m| m.is_finite()), "{c:?}");
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (m, n, f) = (31, 100, 1_500);
        let (w, a) = (random(m * n, 5), random(f * n, 6));
        assert_same_bits(|| {
            let mut c = Gathered::new(n);
            c.observe(&w, &a, Form::Signed { eps: 1e-3 }, true);
            c.sum.iter().map(|&s| s as f32).chain(c.max).collect()
        });
    }
}
