//! Operators along axes of tensors.

use super::{Array, OnnxNode, Refusal};

/// The values along an axis, for every place of the others.
fn lanes(x: &Array, axis: usize) -> impl Iterator<Item = (usize, Vec<f64>)> + '_ {
    let (outer, n, inner) = x.around(axis);
    (0..outer)
        .flat_map(move |o| (0..inner).map(move |i| o * n * inner + i))
        .map(move |first| (first, (0..n).map(|k| x.values[first + k * inner]).collect()))
}

/// Puts what each lane becomes in its place; all become equally long.
fn along(x: &Array, axis: usize, length: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Array {
    let (outer, _, inner) = x.around(axis);
    let mut values = vec![0.0; outer * length * inner];
    for (at, (_, lane)) in lanes(x, axis).enumerate() {
        let first = at / inner * length * inner + at % inner;
        f(&lane).into_iter().enumerate().for_each(|(k, v)| values[first + k * inner] = v);
    }
    let mut dims = x.dims.clone();
    dims[axis] = length;
    Array::with(dims, values)
}

pub(super) fn softmax(x: &Array, axis: usize) -> Array {
    along(x, axis, x.dims[axis], |lane| {
        let most = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let all: Vec<f64> = lane.iter().map(|v| (v - most).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.into_iter().map(|v| v / sum).collect()
    })
}

pub(super) fn reduce(node: &OnnxNode, x: &Array, f: impl Fn(&[f64]) -> f64) -> Array {
    let axis = node.ints("axes")[0];
    let mut y = along(x, axis, 1, |lane| vec![f(lane)]);
    if node.int("keepdims", 1) == 0 {
        y.dims.remove(axis);
    }
    y
}

/// Indices from the largest value down; of equal ones the lower comes first.
fn order(lane: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lane.len()).collect();
    order.sort_by(|&a, &b| lane[b].total_cmp(&lane[a]));
    order
}

pub(super) fn arg_max(node: &OnnxNode, x: &Array) -> Array {
    let axis = node.axis(x.dims.len(), 0);
    let mut y = along(x, axis, 1, |lane| order(lane).first().map(|&at| at as f64).into_iter().collect());
    if node.int("keepdims", 1) == 0 {
        y.dims.remove(axis);
    }
    y
}

pub(super) fn top_k(x: &Array, k: usize, axis: usize) -> Vec<Array> {
    let first = |lane: &[f64]| order(lane).into_iter().take(k).collect::<Vec<_>>();
    let values = along(x, axis, k, |lane| first(lane).into_iter().map(|at| lane[at]).collect());
    let indices = along(x, axis, k, |lane| first(lane).into_iter().map(|at| at as f64).collect());
    vec![values, indices]
}

pub(super) fn one_hot(at: &Array, depth: usize, values: &[f64]) -> Array {
    let row = |&at: &f64| (0..depth).map(move |i| values[usize::from(i == at as usize)]);
    Array::with([at.dims.clone(), vec![depth]].concat(), at.values.iter().flat_map(row).collect())
}

pub(super) fn cumulated(x: &Array, axis: usize, exclusive: bool) -> Array {
    along(x, axis, x.dims[axis], |lane| {
        let mut sum = 0.0;
        let mut next = |v: &f64| {
            sum += v;
            if exclusive { sum - v } else { sum }
        };
        lane.iter().map(&mut next).collect()
    })
}

pub(super) fn transpose(x: &Array, order: &[usize]) -> Array {
    let dims: Vec<usize> = order.iter().map(|&axis| x.dims[axis]).collect();
    let step = |axis: usize| x.dims[axis + 1..].iter().product::<usize>();
    let from = |mut i: usize| {
        let mut place = 0;
        for (&axis, &extent) in order.iter().zip(&dims).rev() {
            place += i % extent * step(axis);
            i /= extent;
        }
        x.values[place]
    };
    let values = (0..x.count()).map(from).collect();
    Array::with(dims, values)
}

pub(super) fn reshape(x: &Array, shape: &[f64]) -> Result<Array, Refusal> {
    let known: usize = shape.iter().filter(|v| **v > 0.0).map(|&v| v as usize).product();
    let extent = |&v: &f64| if v < 0.0 { x.count() / known.max(1) } else { v as usize };
    let dims: Vec<usize> = shape.iter().map(extent).collect();
    if dims.iter().product::<usize>() != x.count() {
        return Err(format!("Reshape: {:?} has not as many values as {dims:?}", x.dims));
    }
    Ok(Array::with(dims, x.values.clone()))
}

pub(super) fn concat(all: &[&Array], axis: usize) -> Array {
    let (outer, _, inner) = all[0].around(axis);
    let mut values = vec![];
    for o in 0..outer {
        for x in all {
            let each = x.dims[axis] * inner;
            values.extend_from_slice(&x.values[o * each..(o + 1) * each]);
        }
    }
    let mut dims = all[0].dims.clone();
    dims[axis] = all.iter().map(|x| x.dims[axis]).sum();
    Array::with(dims, values)
}

pub(super) fn gather(x: &Array, axis: usize, at: &[usize]) -> Array {
    along(x, axis, at.len(), |lane| at.iter().map(|&i| lane[i]).collect())
}
