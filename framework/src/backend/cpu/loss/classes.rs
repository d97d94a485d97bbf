//! Cross-entropy from class ids, and the counting of correct answers.

use crate::backend::cpu::common::elementwise::PIECE;
use crate::backend::cpu::common::par;
use crate::backend::cpu::common::simd::{self, max_of, simd_fn, sum_of};

/// What the forward pass of the cross-entropy gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CrossEntropy {
    /// Mean over the batch, in nats.
    pub loss: f32,
    /// Rows whose largest logit is that of their class; the first of equal logits counts.
    pub correct: usize,
}

/// Mean over rows of -sum_c t_c log softmax(x)_c, with t = (1 - smoothing) onehot + smoothing / classes, as PyTorch.
///
/// `logits` [rows, classes]. `grad` [rows, classes], if wanted, is overwritten with the gradient of the mean; scale it
/// by the upstream gradient with [`Grad::put_scaled`](crate::backend::cpu::common::Grad::put_scaled). The loss of no
/// rows is NaN.
pub fn cross_entropy(
    logits: &[f32],
    classes: usize,
    ids: &[usize],
    smoothing: f32,
    grad: Option<&mut [f32]>,
) -> CrossEntropy {
    let rows = ids.len();
    assert_eq!(logits.len(), rows * classes, "logits [{rows}, {classes}]");
    let piece = (PIECE / classes.max(1)).max(1);
    let grads = par::chunks_mut_or_none(grad, piece * classes, rows.div_ceil(piece));
    let pieces = logits.chunks((piece * classes).max(1)).zip(ids.chunks(piece)).zip(grads);
    let totals = par::map(16 * logits.len(), pieces, |((x, ids), grad)| rows_piece(x, ids, smoothing, rows, grad));
    let (loss, correct) = totals.into_iter().fold((0.0, 0), |(loss, correct), (l, c)| (loss + l, correct + c));
    CrossEntropy { loss: (loss / rows as f64) as f32, correct }
}

simd_fn! {
    /// Softmax of each row of `cols` elements, in place; on this thread.
    pub(crate) fn softmax_rows(x: &mut [f32], cols: usize) {
        for row in x.chunks_exact_mut(cols.max(1)) {
            let max = max_of(row, |x| x);
            for x in row.iter_mut() {
                *x = simd::exp(*x - max);
            }
            let scale = 1.0 / sum_of(row, |x| x);
            for x in row.iter_mut() {
                *x *= scale;
            }
        }
    }
}

simd_fn! { fn rows_piece(
    x: &[f32], ids: &[usize], smoothing: f32, rows: usize, grad: Option<&mut [f32]>,
) -> (f64, usize) {
    let classes = x.len() / ids.len();
    let (mut loss, mut correct) = (0.0_f64, 0);
    let uniform = smoothing / classes as f32;
    // The exponentials are wanted twice: the gradient keeps them where there is one. All of them at once, for rows are too
    // short for vectors.
    let mut grad = grad;
    if let Some(grad) = grad.as_deref_mut() {
        for (grad, x) in grad.chunks_exact_mut(classes).zip(x.chunks_exact(classes)) {
            let max = max_of(x, |x| x);
            for (g, &x) in grad.iter_mut().zip(x) {
                *g = x - max;
            }
        }
        for g in grad.iter_mut() {
            *g = simd::exp(*g);
        }
    }
    let mut grads = grad.map(|g| g.chunks_exact_mut(classes));
    for (x, &id) in x.chunks_exact(classes).zip(ids) {
        let max = max_of(x, |x| x);
        let grad = grads.as_mut().and_then(Iterator::next);
        let total = match grad.as_deref() {
            Some(grad) => sum_of(grad, |e| e),
            None => sum_of(x, |x| simd::exp(x - max)),
        };
        let log_total = max + total.ln();
        let picked = (1.0 - smoothing) * (log_total - x[id]);
        let spread = if smoothing > 0.0 { uniform * sum_of(x, |x| log_total - x) } else { 0.0 };
        loss += f64::from(picked + spread);
        correct += usize::from(x[id] == max && !x[..id].contains(&max));
        if let Some(grad) = grad {
            let (scale, mean) = (1.0 / total, 1.0 / rows as f32);
            for g in grad.iter_mut() {
                *g = mean * g.mul_add(scale, -uniform);
            }
            grad[id] -= mean * (1.0 - smoothing);
        }
    }
    (loss, correct)
} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    fn reference(x: &[f64], classes: usize, ids: &[usize], smoothing: f64) -> f64 {
        let row = |x: &[f64], id: usize| {
            let total = x.iter().map(|x| x.exp()).sum::<f64>().ln();
            let target = |c: usize| f64::from(u8::from(c == id)) * (1.0 - smoothing) + smoothing / classes as f64;
            x.iter().enumerate().map(|(c, x)| target(c) * (total - x)).sum::<f64>()
        };
        x.chunks(classes).zip(ids).map(|(x, &id)| row(x, id)).sum::<f64>() / ids.len() as f64
    }

    #[test]
    fn loss_and_gradient_agree_with_the_definition() {
        at_each_level(|| {
            for (rows, classes) in [(5, 3), (4, 10), (3, 100)] {
                for smoothing in [0.0, 0.1] {
                    let x: Vec<f32> = random(rows * classes, 1).iter().map(|x| 3.0 * x).collect();
                    let ids: Vec<usize> = (0..rows).map(|i| i * 7 % classes).collect();
                    let mut grad = vec![f32::NAN; x.len()];
                    let out = cross_entropy(&x, classes, &ids, smoothing, Some(&mut grad));
                    let f = |x: &[f64]| reference(x, classes, &ids, f64::from(smoothing));
                    assert!((f64::from(out.loss) - f(&wide(&x))).abs() < 1e-5);
                    assert_close(&grad, &numeric_gradient(&wide(&x), f), 1e-6, "gradient");
                }
            }
        });
    }

    #[test]
    fn huge_logits_stay_finite() {
        let out = cross_entropy(&[1e4, 0.0, -1e4, 1e4], 2, &[0, 0], 0.0, None);
        assert_eq!(out, CrossEntropy { loss: 1e4, correct: 1 });
    }

    #[test]
    fn the_first_of_equal_logits_is_the_answer() {
        let x = [1.0, 1.0, 0.0, 2.0];
        assert_eq!(cross_entropy(&x, 2, &[0, 1], 0.0, None).correct, 2);
        assert_eq!(cross_entropy(&x, 2, &[1, 0], 0.0, None).correct, 0);
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (rows, classes) = (4_097, 17);
        let x = random(rows * classes, 2);
        let ids: Vec<usize> = (0..rows).map(|i| i % classes).collect();
        assert_same_bits(|| {
            let mut grad = vec![0.0; x.len()];
            let out = cross_entropy(&x, classes, &ids, 0.05, Some(&mut grad));
            softmax_rows(&mut grad, classes);
            grad.push(out.loss);
            grad
        });
    }
}
