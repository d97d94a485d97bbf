//! Operations on elements, alone or in pairs.

use super::par;
use super::simd::simd_fn;

/// Elements a piece of work; also the unit of fixed-order reductions.
pub(crate) const PIECE: usize = 1 << 14;
/// Rough cost of moving an element through memory, in floating-point operations.
pub(crate) const MOVE: usize = 8;

/// y = f(x).
pub fn map<F: Fn(f32) -> f32 + Copy + Send + Sync>(y: &mut [f32], x: &[f32], f: F) {
    assert_eq!(y.len(), x.len());
    par::for_each(MOVE * y.len(), y.chunks_mut(PIECE).zip(x.chunks(PIECE)), |(y, x)| map_piece(y, x, f));
}

/// x = f(x).
pub fn map_in_place<F: Fn(f32) -> f32 + Copy + Send + Sync>(x: &mut [f32], f: F) {
    par::for_each(MOVE * x.len(), x.chunks_mut(PIECE), |x| map_in_place_piece(x, f));
}

/// z = f(x, y).
pub fn zip_map<F: Fn(f32, f32) -> f32 + Copy + Send + Sync>(z: &mut [f32], x: &[f32], y: &[f32], f: F) {
    assert_eq!((z.len(), z.len()), (x.len(), y.len()));
    let pieces = z.chunks_mut(PIECE).zip(x.chunks(PIECE)).zip(y.chunks(PIECE));
    par::for_each(MOVE * x.len(), pieces, |((z, x), y)| zip_map_piece(z, x, y, f));
}

/// y = f(y, x).
pub fn update<F: Fn(f32, f32) -> f32 + Copy + Send + Sync>(y: &mut [f32], x: &[f32], f: F) {
    assert_eq!(y.len(), x.len());
    par::for_each(MOVE * x.len(), y.chunks_mut(PIECE).zip(x.chunks(PIECE)), |(y, x)| update_piece(y, x, f));
}

/// z = f(z, x, y).
pub fn update_zip<F: Fn(f32, f32, f32) -> f32 + Copy + Send + Sync>(z: &mut [f32], x: &[f32], y: &[f32], f: F) {
    assert_eq!((z.len(), z.len()), (x.len(), y.len()));
    let pieces = z.chunks_mut(PIECE).zip(x.chunks(PIECE)).zip(y.chunks(PIECE));
    par::for_each(MOVE * x.len(), pieces, |((z, x), y)| update_zip_piece(z, x, y, f));
}

/// z = x + y.
pub fn add(z: &mut [f32], x: &[f32], y: &[f32]) {
    zip_map(z, x, y, |x, y| x + y);
}

/// z = x - y.
pub fn sub(z: &mut [f32], x: &[f32], y: &[f32]) {
    zip_map(z, x, y, |x, y| x - y);
}

/// z = x y.
pub fn mul(z: &mut [f32], x: &[f32], y: &[f32]) {
    zip_map(z, x, y, |x, y| x * y);
}

/// z = max(x, y).
pub fn max(z: &mut [f32], x: &[f32], y: &[f32]) {
    zip_map(z, x, y, f32::max);
}

/// z = x / y.
pub fn div(z: &mut [f32], x: &[f32], y: &[f32]) {
    zip_map(z, x, y, |x, y| x / y);
}

/// Every `[rows, columns]` matrix of x transposed.
pub fn transpose(y: &mut [f32], x: &[f32], (rows, columns): (usize, usize)) {
    let size = (rows * columns).max(1);
    // Squares of the input stay in cache while their columns are written.
    const SIDE: usize = 32;
    par::for_each(MOVE * x.len(), y.chunks_mut(size).zip(x.chunks(size)), |(y, x)| {
        for first in (0..rows).step_by(SIDE) {
            let last = rows.min(first + SIDE);
            for column in 0..columns {
                let to = &mut y[column * rows..][first..last];
                to.iter_mut().zip(first..last).for_each(|(to, row)| *to = x[row * columns + column]);
            }
        }
    });
}

/// y += x.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    update(y, x, |y, x| y + x);
}

/// y = y x.
pub fn mul_assign(y: &mut [f32], x: &[f32]) {
    update(y, x, |y, x| y * x);
}

/// z += x y.
pub fn mul_add_assign(z: &mut [f32], x: &[f32], y: &[f32]) {
    update_zip(z, x, y, |z, x, y| x.mul_add(y, z));
}

/// y = s x.
pub fn scale(y: &mut [f32], x: &[f32], s: f32) {
    map(y, x, move |x| s * x);
}

/// x = s x.
pub fn scale_in_place(x: &mut [f32], s: f32) {
    map_in_place(x, move |x| s * x);
}

/// y += s x.
pub fn axpy(y: &mut [f32], s: f32, x: &[f32]) {
    update(y, x, move |y, x| s.mul_add(x, y));
}

/// y = max(y, x).
pub fn max_assign(y: &mut [f32], x: &[f32]) {
    update(y, x, |y, x| if x > y { x } else { y });
}

/// y = |x|.
pub fn abs(y: &mut [f32], x: &[f32]) {
    map(y, x, f32::abs);
}

/// y = x^2.
pub fn square(y: &mut [f32], x: &[f32]) {
    map(y, x, |x| x * x);
}

/// y = -1, 0 or 1 by the sign of x.
pub fn sign(y: &mut [f32], x: &[f32]) {
    map(y, x, |x| if x > 0.0 { 1.0 } else { if x < 0.0 { -1.0 } else { x * 0.0 } });
}

simd_fn! { fn map_piece<F: Fn(f32) -> f32>(y: &mut [f32], x: &[f32], f: F) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(x);
    }
} }
simd_fn! { fn map_in_place_piece<F: Fn(f32) -> f32>(x: &mut [f32], f: F) {
    for x in x {
        *x = f(*x);
    }
} }
simd_fn! { fn zip_map_piece<F: Fn(f32, f32) -> f32>(z: &mut [f32], x: &[f32], y: &[f32], f: F) {
    for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
        *z = f(x, y);
    }
} }
simd_fn! { fn update_piece<F: Fn(f32, f32) -> f32>(y: &mut [f32], x: &[f32], f: F) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = f(*y, x);
    }
} }
simd_fn! { fn update_zip_piece<F: Fn(f32, f32, f32) -> f32>(z: &mut [f32], x: &[f32], y: &[f32], f: F) {
    for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
        *z = f(*z, x, y);
    }
} }

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_same_bits, at_each_level, random};
    use super::*;

    #[test]
    fn each_operation_is_its_formula() {
        at_each_level(|| {
            let n = 1003;
            let (mut x, y, z0) = (random(n, 1), random(n, 2), random(n, 3));
            x[5] = 0.0;
            let check = |name: &str, run: &dyn Fn(&mut [f32]), formula: &dyn Fn(usize) -> f32| {
                let mut z = z0.clone();
                run(&mut z);
                for (i, &z) in z.iter().enumerate() {
                    assert!((z - formula(i)).abs() < 1e-6, "{name}[{i}]: {z}, not {}", formula(i));
                }
            };
            check("add", &|z| add(z, &x, &y), &|i| x[i] + y[i]);
            check("sub", &|z| sub(z, &x, &y), &|i| x[i] - y[i]);
            check("mul", &|z| mul(z, &x, &y), &|i| x[i] * y[i]);
            check("add_assign", &|z| add_assign(z, &x), &|i| z0[i] + x[i]);
            check("mul_assign", &|z| mul_assign(z, &x), &|i| z0[i] * x[i]);
            check("mul_add_assign", &|z| mul_add_assign(z, &x, &y), &|i| z0[i] + x[i] * y[i]);
            check("scale", &|z| scale(z, &x, 3.0), &|i| 3.0 * x[i]);
            check("scale_in_place", &|z| scale_in_place(z, 3.0), &|i| 3.0 * z0[i]);
            check("axpy", &|z| axpy(z, -2.0, &x), &|i| z0[i] - 2.0 * x[i]);
            check("max_assign", &|z| max_assign(z, &x), &|i| z0[i].max(x[i]));
            check("abs", &|z| abs(z, &x), &|i| x[i].abs());
            check("square", &|z| square(z, &x), &|i| x[i] * x[i]);
            check("sign", &|z| sign(z, &x), &|i| if x[i] == 0.0 { 0.0 } else { x[i].signum() });
        });
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (x, y) = (random(200_001, 4), random(200_001, 5));
        assert_same_bits(|| {
            let mut z = x.clone();
            mul_add_assign(&mut z, &x, &y);
            z
        });
    }
}
