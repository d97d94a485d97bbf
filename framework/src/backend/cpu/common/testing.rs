//! What the kernels' tests share.

use super::simd::forced::each_level;

/// Reproducible numbers in [-1, 1).
pub fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A reproducible 0/1 mask.
pub fn random_mask(n: usize, seed: u64) -> Vec<f32> {
    random(n, seed).into_iter().map(|x| f32::from(x > -0.2)).collect()
}

/// As f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Fails where |a - b| > tolerance * max(1, |b|), naming the worst element.
#[track_caller]
pub fn assert_close(a: &[f32], b: &[f64], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    for (i, (&a, &b)) in a.iter().zip(b).enumerate() {
        let error = (f64::from(a) - b).abs() / b.abs().max(1.0);
        assert!(error <= tolerance, "{what}[{i}]: {a} instead of {b}");
    }
}

/// Fails where a value is off by more than `tolerance` of the largest.
#[track_caller]
pub fn assert_near(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let largest = expected.iter().fold(1e-30_f64, |a, b| a.max(b.abs()));
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() <= tolerance * largest, "{what}[{i}]: {f} instead of {e}, of {largest}");
    }
}

/// Runs `f` in a pool of `threads`.
pub fn on_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Fails unless `f` gives the same bits on 1, 2 and 3 threads.
#[track_caller]
pub fn assert_same_bits(f: impl Fn() -> Vec<f32> + Sync) {
    let bits = |threads| on_threads(threads, || f().into_iter().map(f32::to_bits).collect::<Vec<_>>());
    let one = bits(1);
    assert!(!one.is_empty());
    assert!(one == bits(2), "two threads give other bits than one");
    assert!(one == bits(3), "three threads give other bits than one");
}

/// Runs `f` at each instruction level of this thread.
pub fn at_each_level(f: impl Fn()) {
    each_level(|_| f());
}

/// Gradient of a scalar function by central differences in f64.
pub fn numeric_gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let h = 1e-5;
    let mut at = x.to_vec();
    (0..x.len())
        .map(|i| {
            let mut value = |v| {
                at[i] = v;
                f(&at)
            };
            let slope = (value(x[i] + h) - value(x[i] - h)) / (2.0 * h);
            at[i] = x[i];
            slope
        })
        .collect()
}

/// sum of x * y: a scalar whose gradient with respect to x is y.
pub fn dot(x: &[f64], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(x, &y)| x * f64::from(y)).sum()
}
