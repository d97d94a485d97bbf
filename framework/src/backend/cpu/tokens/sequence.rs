//! What happens to token sequences [batch, tokens, dim] around the transformer's blocks.

use crate::backend::cpu::common::{Accumulate, Grad, elementwise, par, reduce};

/// Rough cost of moving an element, in floating-point operations.
const MOVE: usize = 8;

/// y [batch, tokens + 1, dim] = class token, then x [batch, tokens, dim]; plus `position` [tokens + 1, dim], the same
/// for each image. Without a class token y has the shape of x. All of y is overwritten.
pub fn embed(y: &mut [f32], x: &[f32], class: Option<&[f32]>, position: Option<&[f32]>, (tokens, dim): (usize, usize)) {
    let len = (tokens + usize::from(class.is_some())) * dim;
    assert!(class.is_none_or(|c| c.len() == dim) && position.is_none_or(|p| p.len() == len), "tokens of {dim}");
    assert_eq!(x.len() * len, y.len() * tokens * dim, "x and y of as many images");
    if y.is_empty() || x.is_empty() {
        return;
    }
    par::for_each(MOVE * y.len(), y.chunks_mut(len).zip(x.chunks(tokens * dim)), |(y, x)| {
        let (head, rest) = y.split_at_mut(len - tokens * dim);
        head.copy_from_slice(class.unwrap_or_default());
        rest.copy_from_slice(x);
        if let Some(position) = position {
            elementwise::add_assign(y, position);
        }
    });
}

/// Gradients of [`embed`]: of x, of the class token and of the positions.
pub fn embed_backward(
    dy: &[f32],
    dx: Option<Grad<'_>>,
    dclass: Option<Grad<'_>>,
    dposition: Option<Grad<'_>>,
    has_class: bool,
    (tokens, dim): (usize, usize),
) {
    let len = (tokens + usize::from(has_class)) * dim;
    if let Some(dx) = dx {
        let pieces = dx.chunks(tokens * dim).zip(dy.chunks(len));
        par::for_each(MOVE * dy.len(), pieces, |(mut dx, dy)| dx.put(&dy[len - tokens * dim..]));
    }
    if dclass.is_none() && dposition.is_none() {
        return;
    }
    let mut sum = vec![0.0; len];
    reduce::per_unit(&mut sum, dy, (dy.len() / len.max(1), len, 1), reduce::Measure::Sum);
    if let Some(mut dclass) = dclass {
        dclass.put(&sum[..dim]);
    }
    if let Some(mut dposition) = dposition {
        dposition.put(&sum);
    }
}

/// y [batch, dim] = mean over tokens of x [batch, tokens, dim], weighted by `sizes` [batch, tokens] if given.
pub fn mean_pool(y: &mut [f32], x: &[f32], sizes: Option<&[f32]>, (tokens, dim): (usize, usize)) {
    let batch = y.len() / dim.max(1);
    assert_eq!(x.len(), batch * tokens * dim, "tokens to pool");
    let pieces = y.chunks_mut(dim.max(1)).zip(x.chunks((tokens * dim).max(1)));
    let pieces = pieces.zip(par::chunks_or_none(sizes, tokens, batch));
    par::for_each(2 * x.len(), pieces, |((y, x), sizes)| {
        y.fill(0.0);
        match sizes {
            None => reduce::add_column_sums(y, x),
            Some(sizes) => x.chunks(dim).zip(sizes).for_each(|(x, &s)| elementwise::axpy(y, s, x)),
        }
        elementwise::scale_in_place(y, 1.0 / total(sizes, tokens));
    });
}

/// Gradient of [`mean_pool`] with respect to x; sizes are constants.
pub fn mean_pool_backward(dx: Grad<'_>, dy: &[f32], sizes: Option<&[f32]>, (tokens, dim): (usize, usize)) {
    let batch = dy.len() / dim.max(1);
    let cost = MOVE * dx.out.len();
    let pieces = dx.chunks(tokens * dim).zip(dy.chunks(dim.max(1))).zip(par::chunks_or_none(sizes, tokens, batch));
    par::for_each(cost, pieces, |((dx, dy), sizes)| {
        let scale = 1.0 / total(sizes, tokens);
        for (t, mut dx) in dx.chunks(dim).enumerate() {
            dx.put_scaled(scale * sizes.map_or(1.0, |s| s[t]), dy);
        }
    });
}

/// y [batch, dim] = token `index` of x [batch, tokens, dim].
pub fn select(y: &mut [f32], x: &[f32], index: usize, (tokens, dim): (usize, usize)) {
    assert!(index < tokens && x.len() == y.len() * tokens, "token {index} of {tokens}");
    for (y, x) in y.chunks_mut(dim.max(1)).zip(x.chunks((tokens * dim).max(1))) {
        y.copy_from_slice(&x[index * dim..][..dim]);
    }
}

/// Gradient of [`select`]: zero for the other tokens.
pub fn select_backward(dx: Grad<'_>, dy: &[f32], index: usize, (tokens, dim): (usize, usize)) {
    let mode = dx.mode;
    if mode == Accumulate::Overwrite {
        dx.out.fill(0.0);
    }
    for (dx, dy) in dx.out.chunks_mut((tokens * dim).max(1)).zip(dy.chunks(dim.max(1))) {
        elementwise::add_assign(&mut dx[index * dim..][..dim], dy);
    }
}

fn total(sizes: Option<&[f32]>, tokens: usize) -> f32 {
    sizes.map_or(tokens as f32, |s| s.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::*;

    const B: usize = 3;
    const T: usize = 4;
    const D: usize = 5;

    #[test]
    fn embedding_puts_the_class_token_first() {
        let (x, class, position) = (random(B * T * D, 1), random(D, 2), random((T + 1) * D, 3));
        let mut y = vec![f32::NAN; B * (T + 1) * D];
        embed(&mut y, &x, Some(&class), Some(&position), (T, D));
        for (i, &y) in y.iter().enumerate() {
            let (b, t, d) = (i / ((T + 1) * D), i / D % (T + 1), i % D);
            let token = if t == 0 { class[d] } else { x[(b * T + t - 1) * D + d] };
            assert_eq!(y, token + position[t * D + d]);
        }
        let dy = random(y.len(), 4);
        let (mut dx, mut dc, mut dp) = (vec![1.0; x.len()], vec![f32::NAN; D], vec![f32::NAN; (T + 1) * D]);
        let (c, p) = (Grad::overwrite(&mut dc), Grad::overwrite(&mut dp));
        embed_backward(&dy, Some(Grad::add(&mut dx)), Some(c), Some(p), true, (T, D));
        let at = |b: usize, i: usize| f64::from(dy[b * (T + 1) * D + i]);
        let sums: Vec<f64> = (0..(T + 1) * D).map(|i| (0..B).map(|b| at(b, i)).sum()).collect();
        assert_close(&dp, &sums, 1e-6, "dposition");
        assert_close(&dc, &sums[..D], 1e-6, "dclass");
        let expected: Vec<f64> = (0..B * T * D).map(|i| 1.0 + at(i / (T * D), D + i % (T * D))).collect();
        assert_close(&dx, &expected, 1e-6, "dx");
    }

    #[test]
    fn embedding_without_a_class_token_adds_positions() {
        let mut y = [0.0; 4];
        embed(&mut y, &[1.0, 2.0, 3.0, 4.0], None, Some(&[10.0, 20.0]), (2, 1));
        assert_eq!(y, [11.0, 22.0, 13.0, 24.0]);
    }

    #[test]
    fn pooling_and_selection_agree_with_the_definition() {
        let (x, dy) = (random(B * T * D, 1), random(B * D, 2));
        let sizes: Vec<f32> = random(B * T, 3).iter().map(|s| 2.0 + s).collect();
        let pool = |x: &[f64], sizes: Option<&[f32]>| -> Vec<f64> {
            let weight = |b: usize, t: usize| sizes.map_or(1.0, |s| f64::from(s[b * T + t]));
            let all = |b: usize| (0..T).map(|t| weight(b, t)).sum::<f64>();
            let at = |b: usize, d: usize| (0..T).map(|t| weight(b, t) * x[(b * T + t) * D + d]).sum::<f64>() / all(b);
            (0..B * D).map(|i| at(i / D, i % D)).collect()
        };
        for sizes in [None, Some(&sizes[..])] {
            let (mut y, mut dx) = (vec![f32::NAN; B * D], vec![1.0; x.len()]);
            mean_pool(&mut y, &x, sizes, (T, D));
            assert_close(&y, &pool(&wide(&x), sizes), 1e-6, "mean");
            mean_pool_backward(Grad::overwrite(&mut dx), &dy, sizes, (T, D));
            let slopes = numeric_gradient(&wide(&x), |x| dot(&pool(x, sizes), &dy));
            assert_close(&dx, &slopes, 1e-6, "mean backward");
        }
        let (mut y, mut dx) = (vec![f32::NAN; B * D], vec![f32::NAN; x.len()]);
        select(&mut y, &x, 2, (T, D));
        select_backward(Grad::overwrite(&mut dx), &dy, 2, (T, D));
        for i in 0..x.len() {
            let (b, t, d) = (i / (T * D), i / D % T, i % D);
            assert_eq!(dx[i], if t == 2 { dy[b * D + d] } else { 0.0 });
            assert!(t != 2 || y[b * D + d] == x[i]);
        }
    }
}
