//! Sums and maxima, in an order fixed by the shape: lanes within a piece, pieces in sequence, pieces added in f64.

use super::elementwise::{PIECE, map};
use super::par;
use super::simd::{max_of, simd_fn, sum_of};

/// What is added up or compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// sum x.
    Sum,
    /// sum |x|.
    AbsSum,
    /// sum x^2.
    SquareSum,
    /// max |x|, 0 of nothing.
    MaxAbs,
    /// mean x, NaN of nothing.
    Mean,
}

/// sum x^2.
pub fn square_sum(x: &[f32]) -> f64 {
    par::map(2 * x.len(), x.chunks(PIECE), |x| f64::from(square_sum_piece(x))).into_iter().sum()
}

/// Reduces x [outer, n, inner] over outer and inner: one number for each of the n units.
pub fn per_unit(out: &mut [f32], x: &[f32], (outer, n, inner): (usize, usize, usize), measure: Measure) {
    assert_eq!((x.len(), out.len()), (outer * n * inner, n));
    let totals = if inner == 1 { columns(x, outer, n, measure) } else { runs(x, n, inner, measure) };
    let scale = if measure == Measure::Mean { 1.0 / (outer * inner) as f64 } else { 1.0 };
    for (out, total) in out.iter_mut().zip(totals) {
        *out = (total * scale) as f32;
    }
}

/// Reduces x [outer, n, inner] over n: out [outer, inner].
pub fn over_axis(out: &mut [f32], x: &[f32], (outer, n, inner): (usize, usize, usize), measure: Measure) {
    assert_eq!((x.len(), out.len()), (outer * n * inner, outer * inner));
    if out.is_empty() {
        return;
    }
    if n == 0 {
        return out.fill(if measure == Measure::Mean { f32::NAN } else { 0.0 });
    }
    if n == 1 {
        return each(out, x, measure);
    }
    let blocks = (PIECE / (n * inner)).max(1);
    let work = out.chunks_mut(blocks * inner).zip(x.chunks(blocks * n * inner));
    par::for_each(2 * x.len(), work, |(out, x)| {
        for (out, x) in out.chunks_mut(inner).zip(x.chunks(n * inner)) {
            if inner == 1 {
                let scale = if measure == Measure::Mean { 1.0 / n as f64 } else { 1.0 };
                out[0] = (of_run(x, measure) * scale) as f32;
            } else {
                out.fill(0.0);
                let scale = if measure == Measure::Mean { 1.0 / n as f32 } else { 1.0 };
                accumulate(out, x, measure);
                out.iter_mut().for_each(|v| *v *= scale);
            }
        }
    });
}

/// What each number alone amounts to.
fn each(out: &mut [f32], x: &[f32], measure: Measure) {
    match measure {
        Measure::Sum | Measure::Mean => out.copy_from_slice(x),
        Measure::AbsSum => map(out, x, f32::abs),
        // NaN is no maximum.
        Measure::MaxAbs => map(out, x, |x| x.abs().max(0.0)),
        Measure::SquareSum => map(out, x, |x| x * x),
    }
}

/// Adds the column sums of x [rows, cols] to `out` [cols], on this thread.
pub(crate) fn add_column_sums(out: &mut [f32], x: &[f32]) {
    accumulate(out, x, Measure::Sum);
}

/// One number for each column of x [rows, cols].
fn columns(x: &[f32], rows: usize, cols: usize, measure: Measure) -> Vec<f64> {
    if cols == 0 {
        return Vec::new();
    }
    // Few rows a piece: f32 sums stay accurate, and the pieces are added in f64.
    let piece_rows = (PIECE / cols).clamp(1, 64);
    let partial = par::map(2 * rows * cols, x.chunks(piece_rows * cols), |x| {
        let mut out = vec![0.0; cols];
        accumulate(&mut out, x, measure);
        out
    });
    combine(partial.into_iter().map(|p| p.into_iter().map(f64::from)), cols, measure)
}

/// One number for each unit of x [outer, n, inner].
fn runs(x: &[f32], n: usize, inner: usize, measure: Measure) -> Vec<f64> {
    if n * inner == 0 {
        return vec![0.0; n];
    }
    let group = (PIECE / inner).max(1) * inner;
    let totals = par::map(2 * x.len(), x.chunks(group), |x| {
        x.chunks(inner).map(|run| of_run(run, measure)).collect::<Vec<f64>>()
    });
    let totals = totals.concat();
    combine(totals.chunks(n).map(|outer| outer.iter().copied()), n, measure)
}

fn combine(parts: impl Iterator<Item = impl Iterator<Item = f64>>, n: usize, measure: Measure) -> Vec<f64> {
    let mut totals = vec![0.0_f64; n];
    for part in parts {
        for (total, p) in totals.iter_mut().zip(part) {
            *total = if measure == Measure::MaxAbs { total.max(p) } else { *total + p };
        }
    }
    totals
}

fn of_run(x: &[f32], measure: Measure) -> f64 {
    let of_piece = match measure {
        Measure::Sum | Measure::Mean => sum_piece,
        Measure::AbsSum => abs_sum_piece,
        Measure::SquareSum => square_sum_piece,
        Measure::MaxAbs => return x.chunks(PIECE).map(|x| f64::from(max_abs_piece(x))).fold(0.0, f64::max),
    };
    x.chunks(PIECE).map(|x| f64::from(of_piece(x))).sum()
}

fn accumulate(out: &mut [f32], x: &[f32], measure: Measure) {
    match measure {
        Measure::Sum | Measure::Mean => rows_into(out, x, |a, x| a + x),
        Measure::AbsSum => rows_into(out, x, |a, x| a + x.abs()),
        Measure::SquareSum => rows_into(out, x, |a, x| x.mul_add(x, a)),
        Measure::MaxAbs => rows_into(out, x, |a, x| if x.abs() > a { x.abs() } else { a }),
    }
}

simd_fn! { fn sum_piece(x: &[f32]) -> f32 { sum_of(x, |x| x) } }
simd_fn! { fn abs_sum_piece(x: &[f32]) -> f32 { sum_of(x, f32::abs) } }
simd_fn! { fn square_sum_piece(x: &[f32]) -> f32 { sum_of(x, |x| x * x) } }
simd_fn! { fn max_abs_piece(x: &[f32]) -> f32 { max_of(x, f32::abs).max(0.0) } }
simd_fn! { fn rows_into<F: Fn(f32, f32) -> f32>(out: &mut [f32], x: &[f32], f: F) {
    let cols = out.len().max(1);
    // Four rows for each time that the results go through memory, one after the other as if alone.
    let fours = x.chunks_exact(4 * cols);
    let rest = fours.remainder();
    for rows in fours {
        let (ab, cd) = rows.split_at(2 * cols);
        let ((a, b), (c, d)) = (ab.split_at(cols), cd.split_at(cols));
        for ((((out, &a), &b), &c), &d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out = f(f(f(f(*out, a), b), c), d);
        }
    }
    for row in rest.chunks_exact(cols) {
        for (out, &x) in out.iter_mut().zip(row) {
            *out = f(*out, x);
        }
    }
} }

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, assert_same_bits, random, wide};
    use super::*;

    const ALL: [Measure; 5] = [Measure::Sum, Measure::AbsSum, Measure::SquareSum, Measure::MaxAbs, Measure::Mean];

    fn exact(x: impl Iterator<Item = f64>, measure: Measure) -> f64 {
        let x: Vec<f64> = x.collect();
        match measure {
            Measure::Sum => x.iter().sum(),
            Measure::AbsSum => x.iter().map(|x| x.abs()).sum(),
            Measure::SquareSum => x.iter().map(|x| x * x).sum(),
            Measure::MaxAbs => x.iter().fold(0.0, |m, x| m.max(x.abs())),
            Measure::Mean => x.iter().sum::<f64>() / x.len() as f64,
        }
    }

    #[test]
    fn sums_of_squares_are_accurate() {
        let x = random(100_001, 1);
        assert!((square_sum(&x) / exact(wide(&x).into_iter(), Measure::SquareSum) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn axes_are_reduced_as_defined() {
        for (outer, n, inner) in
            [(1, 1, 1), (70, 1, 1), (3, 1, 9), (7, 5, 1), (3, 40, 9), (200, 33, 1), (2, 3, 1000), (5, 7, 2)]
        {
            let x = random(outer * n * inner, 3);
            let at = |o: usize, u: usize, i: usize| f64::from(x[(o * n + u) * inner + i]);
            for measure in ALL {
                let mut units = vec![f32::NAN; n];
                per_unit(&mut units, &x, (outer, n, inner), measure);
                let all = |u: usize| (0..outer * inner).map(move |e| at(e / inner, u, e % inner));
                let expected: Vec<f64> = (0..n).map(|u| exact(all(u), measure)).collect();
                assert_close(&units, &expected, 1e-5, &format!("{measure:?} per unit"));

                let mut rest = vec![f32::NAN; outer * inner];
                over_axis(&mut rest, &x, (outer, n, inner), measure);
                let line = |e: usize| (0..n).map(move |u| at(e / inner, u, e % inner));
                let expected: Vec<f64> = (0..outer * inner).map(|e| exact(line(e), measure)).collect();
                assert_close(&rest, &expected, 1e-5, &format!("{measure:?} over axis"));
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let x = random(601_920, 4);
        assert_same_bits(|| {
            let mut out = vec![square_sum(&x) as f32];
            for (outer, n, inner) in [(6_270, 96, 1), (209, 96, 30)] {
                for measure in ALL {
                    let (mut units, mut rest) = (vec![0.0; n], vec![0.0; outer * inner]);
                    per_unit(&mut units, &x, (outer, n, inner), measure);
                    over_axis(&mut rest, &x, (outer, n, inner), measure);
                    out.extend(units.into_iter().chain(rest));
                }
            }
            out
        });
    }
}
