//! Activations behind a matrix product: bias, activation and residual of some rows, and their way back; on the calling
//! thread.

use super::curves::{Curve, with_curve};
use super::saved::Saved;
use crate::backend::Act;
use crate::backend::cpu::common::simd::simd_fn;

/// y = act(y + bias) (+ residual), rows of `bias.len()`; on this thread.
pub(crate) fn finish_rows(act: Act, y: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => finish::<C>(y, bias, residual));
}

/// pre += bias, y = act(pre) (+ residual), rows of `bias.len()`; on this thread.
pub(crate) fn finish_rows_keeping(act: Act, y: &mut [f32], pre: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => finish_keeping::<C>(y, pre, bias, residual));
}

/// y = act(y) (+ residual), on this thread.
pub(crate) fn act_in_place(act: Act, y: &mut [f32], residual: Option<&[f32]>) {
    with_curve!(act, C => value_in_place::<C>(y));
    add_residual(y, residual);
}

/// y = act(pre) (+ residual), on this thread.
pub(crate) fn act_into(act: Act, y: &mut [f32], pre: &[f32], residual: Option<&[f32]>) {
    with_curve!(act, C => value_into::<C>(y, pre));
    add_residual(y, residual);
}

/// dpre = dy act'; adds the column sums of dpre to `db`. Rows of `db.len()`; on this thread.
pub(crate) fn backward_rows(act: Act, dpre: &mut [f32], dy: &[f32], saved: Saved<'_>, db: &mut [f32]) {
    saved.check(act);
    with_curve!(act, C => match saved {
        Saved::Pre(x) => slope_rows::<C>(dpre, dy, x, db),
        Saved::Out(y) => slope_rows_from_out::<C>(dpre, dy, y, db),
    });
}

simd_fn! {
    fn finish<C: Curve>(y: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
        let cols = bias.len();
        match residual {
            None => for y in y.chunks_exact_mut(cols) {
                for (y, &b) in y.iter_mut().zip(bias) {
                    *y = C::value(*y + b);
                }
            },
            Some(residual) => for (y, r) in y.chunks_exact_mut(cols).zip(residual.chunks_exact(cols)) {
                for ((y, &b), &r) in y.iter_mut().zip(bias).zip(r) {
                    *y = C::value(*y + b) + r;
                }
            },
        }
    }
}

simd_fn! {
    fn finish_keeping<C: Curve>(y: &mut [f32], pre: &mut [f32], bias: &[f32], residual: Option<&[f32]>) {
        let cols = bias.len();
        for (row, (y, pre)) in y.chunks_exact_mut(cols).zip(pre.chunks_exact_mut(cols)).enumerate() {
            for ((y, pre), &b) in y.iter_mut().zip(pre).zip(bias) {
                *pre += b;
                *y = C::value(*pre);
            }
            if let Some(residual) = residual {
                for (y, &r) in y.iter_mut().zip(&residual[row * cols..]) {
                    *y += r;
                }
            }
        }
    }
}

simd_fn! {
    fn value_in_place<C: Curve>(y: &mut [f32]) {
        for y in y {
            *y = C::value(*y);
        }
    }
}

simd_fn! {
    fn value_into<C: Curve>(y: &mut [f32], pre: &[f32]) {
        for (y, &x) in y.iter_mut().zip(pre) {
            *y = C::value(x);
        }
    }
}

simd_fn! {
    fn add_residual(y: &mut [f32], residual: Option<&[f32]>) {
        if let Some(residual) = residual {
            for (y, &r) in y.iter_mut().zip(residual) {
                *y += r;
            }
        }
    }
}

simd_fn! {
    fn slope_rows<C: Curve>(dpre: &mut [f32], dy: &[f32], x: &[f32], db: &mut [f32]) {
        let cols = db.len();
        for ((d, dy), x) in dpre.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(cols)) {
            for (((d, &dy), &x), db) in d.iter_mut().zip(dy).zip(x).zip(db.iter_mut()) {
                let v = dy * C::slope(x);
                *d = v;
                *db += v;
            }
        }
    }
}

simd_fn! {
    fn slope_rows_from_out<C: Curve>(dpre: &mut [f32], dy: &[f32], y: &[f32], db: &mut [f32]) {
        let cols = db.len();
        for ((d, dy), y) in dpre.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(y.chunks_exact(cols)) {
            for (((d, &dy), &y), db) in d.iter_mut().zip(dy).zip(y).zip(db.iter_mut()) {
                let v = dy * C::slope_from_out(y);
                *d = v;
                *db += v;
            }
        }
    }
}
