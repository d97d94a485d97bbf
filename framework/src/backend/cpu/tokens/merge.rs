//! Token merging by bipartite soft matching (Bolya et al. 2022, arXiv 2210.09461).
//!
//! Tokens alternate between a set A (even indices) and a set B (odd ones). Each A token is matched to the most similar
//! B token; the r best matched A tokens join theirs. What remains: the protected tokens in their places, the other A
//! tokens in their order, then the B tokens.

use crate::backend::cpu::common::simd::simd_fn;
use crate::backend::cpu::common::{Grad, elementwise, par, reduce, scratch};

/// Similarities computed together: enough sums to keep the arithmetic units busy.
const PANEL: usize = 64;

/// Where each token goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merging {
    /// Tokens of each image before.
    pub tokens: usize,
    /// Tokens of each image after.
    pub kept: usize,
    /// [batch, tokens]: each token's index among the kept ones.
    pub target: Vec<u32>,
}

/// Matches the tokens of each image by the cosine of `metric` [batch, tokens, dim] and merges `r` of them, at most
/// half of the unprotected. The first `protected` tokens neither join another nor are joined. Among equal similarities
/// the lower index is taken.
pub fn matching(metric: &[f32], (batch, tokens, dim): (usize, usize, usize), r: usize, protected: usize) -> Merging {
    assert_eq!(metric.len(), batch * tokens * dim, "metric [{batch}, {tokens}, {dim}]");
    let r = r.min(tokens.saturating_sub(protected) / 2);
    let kept = tokens - r;
    let mut target = vec![0; batch * tokens];
    if r == 0 {
        target.chunks_mut(tokens.max(1)).for_each(|t| (0..).zip(t).for_each(|(i, t)| *t = i));
        return Merging { tokens, kept, target };
    }
    let cost = batch * tokens * tokens * dim.max(8);
    let pieces = target.chunks_mut(tokens).zip((0..batch).map(|b| &metric[b * tokens * dim..][..tokens * dim]));
    par::for_each(cost, pieces, |(target, metric)| match_one(target, metric, dim, r, protected));
    Merging { tokens, kept, target }
}

impl Merging {
    /// y [batch, kept, dim]: means of the tokens x [batch, tokens, dim] that go together, weighted by `sizes`
    /// [batch, tokens]; `kept_sizes` [batch, kept]: the sums of their sizes. Both are overwritten.
    pub fn forward(&self, y: &mut [f32], kept_sizes: &mut [f32], x: &[f32], sizes: &[f32]) {
        let dim = self.check(y.len(), x.len(), sizes.len(), kept_sizes.len());
        let images = self.target.chunks(self.tokens).zip(sizes.chunks(self.tokens)).zip(x.chunks(self.tokens * dim));
        let pieces = images.zip(y.chunks_mut(self.kept * dim).zip(kept_sizes.chunks_mut(self.kept)));
        par::for_each(8 * x.len(), pieces, |(((target, sizes), x), (y, kept_sizes))| {
            kept_sizes.fill(0.0);
            for (&t, &s) in target.iter().zip(sizes) {
                kept_sizes[t as usize] += s;
            }
            y.fill(0.0);
            for ((&t, &s), x) in target.iter().zip(sizes).zip(x.chunks(dim)) {
                let y = &mut y[t as usize * dim..][..dim];
                if s == kept_sizes[t as usize] {
                    y.copy_from_slice(x); // alone: exactly unchanged
                } else {
                    elementwise::axpy(y, s / kept_sizes[t as usize], x);
                }
            }
        });
    }

    /// dx from dy [batch, kept, dim]; sizes are constants.
    pub fn backward(&self, dx: Grad<'_>, dy: &[f32], sizes: &[f32], kept_sizes: &[f32]) {
        let dim = self.check(dy.len(), dx.out.len(), sizes.len(), kept_sizes.len());
        let cost = 8 * dx.out.len();
        let images = self.target.chunks(self.tokens).zip(sizes.chunks(self.tokens)).zip(dx.chunks(self.tokens * dim));
        let pieces = images.zip(dy.chunks(self.kept * dim).zip(kept_sizes.chunks(self.kept)));
        par::for_each(cost, pieces, |(((target, sizes), dx), (dy, kept_sizes))| {
            for ((&t, &s), mut dx) in target.iter().zip(sizes).zip(dx.chunks(dim)) {
                let share = if s == kept_sizes[t as usize] { 1.0 } else { s / kept_sizes[t as usize] };
                dx.put_scaled(share, &dy[t as usize * dim..][..dim]);
            }
        });
    }

    fn check(&self, kept: usize, all: usize, sizes: usize, kept_sizes: usize) -> usize {
        let batch = self.target.len() / self.tokens.max(1);
        let dim = kept / (batch * self.kept).max(1);
        let expected = (batch * self.kept * dim, batch * self.tokens * dim, batch * self.tokens, batch * self.kept);
        assert_eq!((kept, all, sizes, kept_sizes), expected, "tokens and sizes of a merging");
        dim
    }
}

fn match_one(target: &mut [u32], metric: &[f32], dim: usize, r: usize, protected: usize) {
    let tokens = target.len();
    let (a_count, b_count) = (tokens.div_ceil(2), tokens / 2);
    let mut best: Vec<(f32, usize, usize)> = Vec::with_capacity(a_count); // similarity, A index, B index
    let pitch = b_count.next_multiple_of(PANEL);
    scratch::with(tokens * dim + dim * pitch + a_count * pitch, |buffer| {
        let (unit, rest) = buffer.split_at_mut(tokens * dim);
        rest.fill(0.0);
        let (b, scores) = rest.split_at_mut(dim * pitch);
        for (unit, metric) in unit.chunks_mut(dim.max(1)).zip(metric.chunks(dim.max(1))) {
            let norm = reduce::square_sum(metric).sqrt();
            elementwise::scale(unit, metric, if norm > 0.0 { (1.0 / norm) as f32 } else { 0.0 });
        }
        for (j, unit) in unit.chunks(dim.max(1)).skip(1).step_by(2).enumerate() {
            let panel = &mut b[j / PANEL * dim * PANEL..][..dim * PANEL];
            panel.iter_mut().skip(j % PANEL).step_by(PANEL).zip(unit).for_each(|(to, &x)| *to = x);
        }
        similarities(scores, unit, b, dim, pitch);
        for i in protected.div_ceil(2)..a_count {
            let scores = (protected / 2..b_count).map(|j| (scores[i * pitch + j], j));
            // NaN loses against everything, so that the choice is defined.
            let (score, j) =
                scores.fold(
                    (f32::NEG_INFINITY, protected / 2),
                    |best, (score, j)| {
                        if score > best.0 { (score, j) } else { best }
                    },
                );
            best.push((score, i, j));
        }
    });
    best.sort_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
    let mut joins = vec![None; a_count];
    best.iter().take(r).for_each(|&(_, i, j)| joins[i] = Some(j));
    let (a_protected, b_protected) = (protected.div_ceil(2), protected / 2);
    let first_b = protected + a_count - a_protected - r - b_protected;
    let mut next = protected;
    for (t, target) in target.iter_mut().enumerate() {
        let place = if t < protected {
            t
        } else if t % 2 == 1 {
            first_b + t / 2
        } else if let Some(j) = joins[t / 2] {
            first_b + j
        } else {
            next += 1;
            next - 1
        };
        *target = place as u32;
    }
}

simd_fn! {
    /// scores [A tokens, pitch] = products of the even rows of `unit` [tokens, dim] with the rows of B, which lie in
    /// panels [dim, PANEL] in `b`.
    ///
    /// Each is added up in the order of the dimensions, fused, on every processor: matchings compare similarities to
    /// the last bit.
    fn similarities(scores: &mut [f32], unit: &[f32], b: &[f32], dim: usize, pitch: usize) {
        let rows = unit.chunks_exact(dim.max(1)).step_by(2);
        for (scores, a) in scores.chunks_exact_mut(pitch.max(1)).zip(rows) {
            let (scores, _) = scores.as_chunks_mut::<PANEL>();
            for (to, panel) in scores.iter_mut().zip(b.chunks_exact((dim * PANEL).max(1))) {
                let mut sums = [0.0; PANEL];
                for (&a, b) in a.iter().zip(panel.as_chunks::<PANEL>().0) {
                    for (sum, &b) in sums.iter_mut().zip(b) {
                        *sum = a.mul_add(b, *sum);
                    }
                }
                *to = sums;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;
    use proptest::prelude::*;

    /// The merging that does one and then another.
    fn then(first: &Merging, next: &Merging) -> Merging {
        assert_eq!((first.kept, first.target.len() / first.tokens), (next.tokens, next.target.len() / next.tokens));
        let images = first.target.chunks(first.tokens).zip(next.target.chunks(next.tokens));
        let target = images.flat_map(|(first, next)| first.iter().map(|&t| next[t as usize])).collect();
        Merging { tokens: first.tokens, kept: next.kept, target }
    }

    #[test]
    fn the_most_similar_pairs_merge() {
        // A: tokens 0, 2, 4; B: 1, 3. Token 2 equals token 3 in direction, token 4 nearly equals token 1.
        let metric = [[1.0, 0.0], [0.0, 1.0], [3.0, 3.0], [1.0, 1.0], [0.1, 1.0]].concat();
        assert_eq!(matching(&metric, (1, 5, 2), 1, 0).target, [0, 2, 3, 3, 1]);
        assert_eq!(matching(&metric, (1, 5, 2), 2, 0).target, [0, 1, 2, 2, 1]);
        assert_eq!(matching(&metric, (1, 5, 2), 0, 0).target, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn equal_tokens_merge_by_index() {
        assert_eq!(matching(&[1.0; 6], (1, 6, 1), 2, 0).target, [1, 1, 1, 2, 0, 3]);
    }

    #[test]
    fn merging_weights_by_size_and_its_gradient_is_exact() {
        let m = Merging { tokens: 3, kept: 2, target: vec![1, 0, 1, 0, 1, 1] };
        let (x, sizes, dy) = (random(12, 1), [1.0, 2.0, 3.0, 1.0, 1.0, 4.0], random(8, 2));
        let reference = |x: &[f64]| -> Vec<f64> {
            let mean = |b: usize, k: u32, d: usize| {
                let of = |t: &usize| m.target[b * 3 + t] == k;
                let total: f64 = (0..3).filter(of).map(|t| f64::from(sizes[b * 3 + t])).sum();
                (0..3).filter(of).map(|t| x[(b * 3 + t) * 2 + d] * f64::from(sizes[b * 3 + t])).sum::<f64>() / total
            };
            (0..8).map(|i| mean(i / 4, (i / 2 % 2) as u32, i % 2)).collect()
        };
        let (mut y, mut kept) = ([f32::NAN; 8], [f32::NAN; 4]);
        m.forward(&mut y, &mut kept, &x, &sizes);
        assert_eq!(kept, [2.0, 4.0, 1.0, 5.0]);
        assert_close(&y, &reference(&wide(&x)), 1e-6, "y");
        let mut dx = [1.0; 12];
        m.backward(Grad::overwrite(&mut dx), &dy, &sizes, &kept);
        assert_close(&dx, &numeric_gradient(&wide(&x), |x| dot(&reference(x), &dy)), 1e-6, "dx");
    }

    proptest! {
        #[test]
        fn merging_keeps_what_it_must(
            seed in 0_u64..500, tokens in 2_usize..20, protected in 0_usize..3, r in 0_usize..12, passes in 1..3,
        ) {
            let (batch, dim) = (2, 4);
            let x = random(batch * tokens * dim, seed);
            let mut m = matching(&x, (batch, tokens, dim), r, protected);
            let merge = |m: &Merging| {
                let (mut y, mut sizes) = (vec![0.0; batch * m.kept * dim], vec![0.0; batch * m.kept]);
                m.forward(&mut y, &mut sizes, &x, &vec![1.0; batch * tokens]);
                (y, sizes)
            };
            if passes == 2 {
                let next = matching(&merge(&m).0, (batch, m.kept, dim), r, protected);
                m = then(&m, &next);
            } else {
                prop_assert_eq!(m.kept, tokens - r.min(tokens.saturating_sub(protected) / 2));
            }
            let (y, sizes) = merge(&m);
            prop_assert_eq!(sizes.iter().sum::<f32>(), (batch * tokens) as f32);
            for b in 0..batch {
                for d in 0..dim {
                    let before: f32 = (0..tokens).map(|t| x[(b * tokens + t) * dim + d]).sum();
                    let at = |k: usize| y[(b * m.kept + k) * dim + d] * sizes[b * m.kept + k];
                    let after: f32 = (0..m.kept).map(at).sum();
                    prop_assert!((before - after).abs() < 1e-4);
                }
                prop_assert_eq!(&y[b * m.kept * dim..][..protected * dim], &x[b * tokens * dim..][..protected * dim]);
                prop_assert!(sizes[b * m.kept..][..protected].iter().all(|&s| s == 1.0));
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let (batch, tokens, dim) = (6, 64, 96);
        let x = random(batch * tokens * dim, 1);
        assert_same_bits(|| {
            let m = matching(&x, (batch, tokens, dim), 25, 1);
            let (mut y, mut sizes) = (vec![0.0; batch * m.kept * dim], vec![0.0; batch * m.kept]);
            m.forward(&mut y, &mut sizes, &x, &vec![1.0; batch * tokens]);
            let mut dx = vec![0.0; x.len()];
            m.backward(Grad::overwrite(&mut dx), &y, &vec![1.0; batch * tokens], &sizes);
            [y, sizes, dx].concat()
        });
    }
}
