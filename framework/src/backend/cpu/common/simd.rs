//! Vector code on stable Rust: one body compiled for several instruction sets, and functions that vectorise.
//!
//! Written as plain loops over slices; the compiler vectorises each version of the body for its own instruction set.

use crate::tensor::Bits;
use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets a body is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the build targets.
    Baseline,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, BW and DQ.
    Avx512,
}

impl Level {
    /// Its name: `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// The highest level that [`level`] answers with.
static HIGHEST: AtomicU8 = AtomicU8::new(Level::Avx512 as u8);

/// Keeps this process to levels up to that of this name, for measuring on one processor what a lesser one does. False for
/// a name that no level has.
pub fn limit(name: &str) -> bool {
    let known = [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().find(|level| level.name() == name);
    known.inspect(|level| HIGHEST.store(*level as u8, Ordering::Relaxed)).is_some()
}

thread_local! { static BITS: Cell<Bits> = const { Cell::new(Bits::Fastest) }; }

/// See [`crate::backend::bits`].
#[inline]
pub fn bits() -> Bits {
    BITS.get()
}

/// See [`crate::backend::use_bits`].
pub fn use_bits(bits: Bits) {
    BITS.set(bits);
}

/// The best level this processor has, up to the [`limit`], and up to AVX2 where bits are to be portable; the answer is
/// cached by the standard library.
#[inline]
pub fn level() -> Level {
    #[cfg(test)]
    if let Some(forced) = forced::LEVEL.get() {
        return forced;
    }
    #[cfg(target_arch = "x86_64")]
    {
        let highest = HIGHEST.load(Ordering::Relaxed);
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq");
        if avx2 && avx512 && highest >= Level::Avx512 as u8 && bits() == Bits::Fastest {
            return Level::Avx512;
        }
        if avx2 && highest >= Level::Avx2 as u8 {
            return Level::Avx2;
        }
    }
    Level::Baseline
}

/// Compiles a function for every [`Level`] and calls the best one.
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$g:ident : $bound:path>)? ($($arg:ident : $ty:ty),* $(,)?)
        $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands")]
        $vis fn $name $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands")]
            fn body $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::backend::cpu::common::simd::{Level, level};

                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands")]
                fn avx512 $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$g>)? ($($arg),*) }

                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "a kernel's arguments are its operands")]
                fn avx2 $(<$g: $bound>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$g>)? ($($arg),*) }

                match level() {
                    // SAFETY: `level` reports this only where the processor has the features.
                    Level::Avx512 => return unsafe { avx512 $(::<$g>)? ($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { avx2 $(::<$g>)? ($($arg),*) },
                    Level::Baseline => {}
                }
            }
            body $(::<$g>)? ($($arg),*)
        }
    };
}
pub(crate) use simd_fn;

/// Independent partial results of a reduction: enough for two AVX-512 registers, the same on every processor.
pub(crate) const LANES: usize = 32;

/// Sum of `f(x)` in [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let (head, tail) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in head {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    fold(lanes, |a, b| a + b) + tail.iter().map(|&x| f(x)).sum::<f32>()
}

/// Sum of `f(x, y)` in [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn sum_of_pairs(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((xs, x_tail), (ys, y_tail)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += f(x, y);
        }
    }
    fold(lanes, |a, b| a + b) + x_tail.iter().zip(y_tail).map(|(&x, &y)| f(x, y)).sum::<f32>()
}

/// Largest `f(x)`, minus infinity of nothing. A NaN is passed over.
#[inline(always)]
pub(crate) fn max_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let (head, tail) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in head {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, f(x));
        }
    }
    tail.iter().fold(fold(lanes, larger), |best, &x| larger(best, f(x)))
}

#[inline(always)]
fn fold(lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32 + Copy) -> f32 {
    let [a, b] = halve::<4, 2>(halve::<8, 4>(halve::<16, 8>(halve::<LANES, 16>(lanes, f), f), f), f);
    f(a, b)
}

/// f of the lower and the upper half.
#[inline(always)]
fn halve<const N: usize, const HALF: usize>(lanes: [f32; N], f: impl Fn(f32, f32) -> f32) -> [f32; HALF] {
    // Lanes that go through memory stay together in registers before and after; otherwise the compiler takes the last
    // few halves for the shape of all and works on two lanes at a time from the loop on.
    let lanes = std::hint::black_box(lanes);
    std::array::from_fn(|i| f(lanes[i], lanes[i + HALF]))
}

/// ln 2 in two parts, the first with few enough bits that its products with small integers are exact.
const LN_2_HIGH: f32 = 355.0 / 512.0;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e^x within 2 ulp for normal results; below -87.3 it is e^-87.3 (about 1e-38), above 88.3 it is e^88.3.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let x = if x < -87.3 { -87.3 } else { x }; // comparisons in this form keep a NaN
    let x = if x > 88.3 { 88.3 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_199_9e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let p = p.mul_add(r * r, r + 1.0);
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// Natural logarithm (Cephes): minus infinity at 0, NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits() as i32;
    let exponent = (bits >> 23) - 126 - if subnormal { 23 } else { 0 };
    let mantissa = f32::from_bits(((bits & 0x007f_ffff) | 0x3f00_0000) as u32); // in [0.5, 1)
    let low = mantissa < std::f32::consts::FRAC_1_SQRT_2;
    let e = (exponent - i32::from(low)) as f32;
    let r = if low { mantissa + mantissa - 1.0 } else { mantissa - 1.0 };
    let z = r * r;
    let p = 7.037_683_6e-2_f32
        .mul_add(r, -1.151_461e-1)
        .mul_add(r, 1.167_699_9e-1)
        .mul_add(r, -1.242_014_1e-1)
        .mul_add(r, 1.424_932_3e-1)
        .mul_add(r, -1.666_805_8e-1)
        .mul_add(r, 2.000_071_5e-1)
        .mul_add(r, -2.499_999_4e-1)
        .mul_add(r, 3.333_333e-1);
    let tail = e.mul_add(LN_2_LOW, z.mul_add(-0.5, r * z * p));
    let y = e.mul_add(LN_2_HIGH, r + tail);
    let y = if x < f32::INFINITY { y } else { x };
    if x > 0.0 {
        y
    } else if x == 0.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    }
}

/// Hyperbolic tangent: an odd polynomial near zero (Cephes), through [`exp`] elsewhere.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let z = a * a;
    let p = (-5.704_988_7e-3_f32)
        .mul_add(z, 2.063_908_8e-2)
        .mul_add(z, -5.373_971_5e-2)
        .mul_add(z, 1.333_144_2e-1)
        .mul_add(z, -3.333_328e-1);
    let near = (p * z).mul_add(a, a);
    (if a < 0.625 { near } else { far }).copysign(x)
}

/// Logistic function 1 / (1 + e^-x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Error function: a rational approximation in x (Eigen's), 1 beyond |x| = 4.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = if x > 4.0 { 4.0 } else { x };
    let x = if x < -4.0 { -4.0 } else { x };
    let z = x * x;
    let p = (-2.726_142_3e-10_f32)
        .mul_add(z, 2.770_681_4e-8)
        .mul_add(z, -2.101_024e-6)
        .mul_add(z, -5.692_506_4e-5)
        .mul_add(z, -7.349_906_3e-4)
        .mul_add(z, -2.954_6e-3)
        .mul_add(z, -1.609_603_3e-2);
    let q = (-1.456_607_2e-5_f32)
        .mul_add(z, -2.133_740_6e-4)
        .mul_add(z, -1.682_827e-3)
        .mul_add(z, -7.373_329_3e-3)
        .mul_add(z, -1.426_473_9e-2);
    x * p / q
}

#[cfg(test)]
pub(crate) mod forced {
    //! Runs code as on a lesser processor.
    use super::Level;
    use std::cell::Cell;

    thread_local! { pub static LEVEL: Cell<Option<Level>> = const { Cell::new(None) }; }

    /// Every level this machine can run.
    pub fn each_level(mut f: impl FnMut(Level)) {
        let best = super::level();
        for level in [Level::Baseline, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= best) {
            LEVEL.set(Some(level));
            f(level);
            LEVEL.set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest |f - exact| / max(|exact|, floor) over an even grid.
    fn worst(low: f64, high: f64, floor: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        (0..=100_000)
            .map(|i| (low + (high - low) * f64::from(i) / 100_000.0) as f32)
            .map(|x| (f64::from(f(x)) - exact(f64::from(x))).abs() / exact(f64::from(x)).abs().max(floor))
            .fold(0.0, f64::max)
    }

    /// erf by Simpson's rule.
    pub fn erf_exact(x: f64) -> f64 {
        let steps = 400;
        let h = x / f64::from(steps);
        let f = |i: i32| (-(f64::from(i) * h).powi(2)).exp();
        let inner: f64 = (1..steps).map(|i| f(i) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        2.0 / std::f64::consts::PI.sqrt() * h / 3.0 * (f(0) + inner + f(steps))
    }

    #[test]
    fn approximations_are_within_a_few_ulp() {
        assert!(worst(-87.0, 88.0, 0.0, exp, f64::exp) < 2.5e-7);
        assert!(worst(-12.0, 12.0, 0.0, tanh, f64::tanh) < 3e-7);
        assert!(worst(-20.0, 20.0, 0.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 4e-7);
        assert!(worst(1e-3, 20.0, 1e-3, ln, f64::ln) < 4e-7);
        assert!(worst(-6.0, 6.0, 1e-3, erf, erf_exact) < 1e-6);
    }

    #[test]
    fn limits_behave() {
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38 && exp(200.0).is_finite() && exp(f32::NAN).is_nan());
        assert_eq!(tanh(0.0), 0.0);
        assert_eq!((tanh(50.0), tanh(-50.0)), (1.0, -1.0));
        assert_eq!((ln(0.0), ln(1.0), ln(f32::INFINITY)), (f32::NEG_INFINITY, 0.0, f32::INFINITY));
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
        assert!((ln(1e-40) - 1e-40_f32.ln()).abs() < 1e-4);
        assert_eq!(erf(10.0), erf(4.0));
        assert!((erf(10.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn reductions_see_every_element() {
        for n in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (1..=n).map(|i| i as f32).collect();
            assert_eq!(sum_of(&x, |x| x), (n * (n + 1) / 2) as f32);
            assert_eq!(sum_of_pairs(&x, &x, |x, y| x - y + 1.0), n as f32);
            assert_eq!(max_of(&x, |x| x), if n == 0 { f32::NEG_INFINITY } else { n as f32 });
        }
    }

    simd_fn! {
        fn exp_all(x: &mut [f32]) {
            for x in x {
                *x = exp(*x);
            }
        }
    }

    #[test]
    fn the_limit_is_a_level_by_its_name() {
        assert!(!limit("sse"));
        assert!(limit(Level::Avx512.name()), "no limit, as before");
    }

    #[test]
    fn every_level_computes_the_same_function() {
        forced::each_level(|level| {
            let mut x: Vec<f32> = (0..77).map(|i| i as f32 - 40.0).collect();
            let expected: Vec<f32> = x.iter().map(|&x| exp(x)).collect();
            exp_all(&mut x);
            assert_eq!(x, expected, "{level:?}");
        });
    }
}
