//! What a file in ONNX computes: its operators as plain loops over doubles, by the text of their definitions alone. Made
//! to check files that were written, not to be fast.

use std::collections::HashMap;

use super::model::{Attribute, Initializer, OnnxModel, OnnxNode, Values};

/// A tensor; whole numbers and flags are doubles too.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub values: Vec<f64>,
}

/// What could not be computed: the operator, and why.
pub type Refusal = String;

impl Array {
    fn count(&self) -> usize {
        self.values.len()
    }

    /// Extents before, along and after an axis.
    fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self.dims[..axis].iter().product(), self.dims[axis], self.dims[axis + 1..].iter().product())
    }

    fn with(dims: Vec<usize>, values: Vec<f64>) -> Self {
        Self { dims, values }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::with(self.dims.clone(), self.values.iter().map(|&v| f(v)).collect())
    }
}

/// Runs a model on a batch `[batch, ...]`.
pub fn run(model: &OnnxModel, input: Array) -> Result<Array, Refusal> {
    let constant = |one: &Initializer| {
        let values = match &one.values {
            Values::Floats(all) => all.iter().map(|&v| f64::from(v)).collect(),
            Values::Ints(all) => all.iter().map(|&v| v as f64).collect(),
        };
        (one.name.clone(), Array::with(one.dims.clone(), values))
    };
    let mut known: HashMap<String, Array> = model.initializers.iter().map(constant).collect();
    known.insert(model.input.name.clone(), input);
    for node in &model.nodes {
        let find = |name: &String| known.get(name).ok_or_else(|| format!("{}: nothing makes `{name}`", node.operator));
        let inputs = node.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let outputs = operator(node, &inputs)?;
        known.extend(node.outputs.iter().cloned().zip(outputs));
    }
    known.remove(&model.output.name).ok_or_else(|| format!("nothing makes `{}`", model.output.name))
}

impl OnnxNode {
    fn int(&self, name: &str, default: i64) -> i64 {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        if let Some((_, Attribute::Int(value))) = found { *value } else { default }
    }

    fn ints(&self, name: &str) -> Vec<usize> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        if let Some((_, Attribute::Ints(all))) = found { all.iter().map(|&v| v as usize).collect() } else { vec![] }
    }

    fn float(&self, name: &str, default: f32) -> f64 {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        f64::from(if let Some((_, Attribute::Float(value))) = found { *value } else { default })
    }

    fn axis(&self, rank: usize, default: i64) -> usize {
        let axis = self.int("axis", default);
        if axis < 0 { rank - axis.unsigned_abs() as usize } else { axis as usize }
    }
}

fn operator(node: &OnnxNode, x: &[&Array]) -> Result<Vec<Array>, Refusal> {
    let one = |y: Array| Ok(vec![y]);
    match (node.operator.as_str(), x) {
        ("Relu", [x]) => one(x.map(|v| v.max(0.0))),
        ("Sigmoid", [x]) => one(x.map(|v| 1.0 / (1.0 + (-v).exp()))),
        ("Tanh", [x]) => one(x.map(f64::tanh)),
        ("Erf", [x]) => one(x.map(erf)),
        ("Sqrt", [x]) => one(x.map(f64::sqrt)),
        ("Log", [x]) => one(x.map(f64::ln)),
        ("Cast", [x]) => one((*x).clone()),
        ("Add", [a, b]) => one(both(a, b, |a, b| a + b)),
        ("Sub", [a, b]) => one(both(a, b, |a, b| a - b)),
        ("Mul", [a, b]) => one(both(a, b, |a, b| a * b)),
        ("Div", [a, b]) => one(both(a, b, |a, b| a / b)),
        ("Pow", [a, b]) => one(both(a, b, f64::powf)),
        ("Max", [a, b]) => one(both(a, b, f64::max)),
        ("Equal", [a, b]) => one(both(a, b, |a, b| f64::from(u8::from(a == b)))),
        ("Gemm", [rows, w, ..]) => one(gemm(node, rows, w, x.get(2).copied())),
        ("MatMul", [a, b]) => one(matmul(a, b)),
        ("Conv", [image, w, ..]) => one(conv(node, image, w, x.get(2).copied())),
        ("ConvTranspose", [image, w, ..]) => one(conv_transpose(node, image, w, x.get(2).copied())),
        ("BatchNormalization", [x, gamma, beta, mean, variance]) => {
            let (eps, (_, channels, inner)) = (node.float("epsilon", 1e-5), x.around(1));
            let normal = |(i, v): (usize, &f64)| {
                let c = i / inner % channels;
                (v - mean.values[c]) / (variance.values[c] + eps).sqrt() * gamma.values[c] + beta.values[c]
            };
            one(Array::with(x.dims.clone(), x.values.iter().enumerate().map(normal).collect()))
        }
        ("MaxPool", [x]) => one(pool(node, x, true)),
        ("AveragePool", [x]) => one(pool(node, x, false)),
        ("Softmax", [x]) => one(softmax(x, node.axis(x.dims.len(), 1))),
        ("ReduceMean", [x]) => one(reduce(node, x, |all| all.iter().sum::<f64>() / all.len() as f64)),
        ("ReduceSum", [x]) => one(reduce(node, x, |all| all.iter().sum())),
        ("ReduceMax", [x]) => one(reduce(node, x, |all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
        ("ArgMax", [x]) => one(arg_max(node, x)),
        ("TopK", [x, k]) => Ok(top_k(x, k.values[0] as usize, node.axis(x.dims.len(), -1))),
        ("OneHot", [at, depth, values]) => one(one_hot(at, depth.values[0] as usize, &values.values)),
        ("CumSum", [x, axis]) => one(cumulated(x, axis.values[0] as usize, node.int("exclusive", 0) == 1)),
        ("Transpose", [x]) => one(transpose(x, &node.ints("perm"))),
        ("Reshape", [x, shape]) => reshape(x, &shape.values).map(|y| vec![y]),
        ("Concat", all) => one(concat(all, node.axis(all[0].dims.len(), 0))),
        ("Slice", [x, start, end, axis, step]) => {
            let [start, end, axis, step] = [start, end, axis, step].map(|v| v.values[0] as usize);
            let (_, n, _) = x.around(axis);
            one(gather(x, axis, &(start..end.min(n)).step_by(step).collect::<Vec<_>>()))
        }
        ("Gather", [x, at]) => {
            let axis = node.axis(x.dims.len(), 0);
            let mut y = gather(x, axis, &at.values.iter().map(|&v| v as usize).collect::<Vec<_>>());
            if at.dims.is_empty() {
                y.dims.remove(axis);
            }
            one(y)
        }
        ("Shape", [x]) => one(Array::with(vec![x.dims.len()], x.dims.iter().map(|&v| v as f64).collect())),
        ("Expand", [x, shape]) => {
            let dims: Vec<usize> = shape.values.iter().map(|&v| v as usize).collect();
            let zeros = Array::with(dims.clone(), vec![0.0; dims.iter().product()]);
            one(both(x, &zeros, |a, _| a))
        }
        (name, inputs) => Err(format!("{name} of {} inputs is not among the operators that are written", inputs.len())),
    }
}

/// Element by element, where axes of one, and those that one of both lacks in front, stand for all.
fn both(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let rank = a.dims.len().max(b.dims.len());
    let padded = |x: &Array| [vec![1; rank - x.dims.len()], x.dims.clone()].concat();
    let (of_a, of_b) = (padded(a), padded(b));
    let dims: Vec<usize> = of_a.iter().zip(&of_b).map(|(&a, &b)| if a == 1 { b } else { a }).collect();
    let at = |i: usize, own: &[usize]| {
        let (mut rest, mut step, mut place) = (i, 1, 0);
        for (&whole, &own) in dims.iter().zip(own).rev() {
            if own != 1 {
                place += rest % whole * step;
                step *= own;
            }
            rest /= whole;
        }
        place
    };
    let count = dims.iter().product();
    let values = (0..count).map(|i| f(a.values[at(i, &of_a)], b.values[at(i, &of_b)])).collect();
    Array::with(dims, values)
}

/// x w^T + b, with `transB`.
fn gemm(node: &OnnxNode, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let (rows, inner) = (x.dims[0], x.dims[1]);
    let turned = node.int("transB", 0) == 1;
    let columns = if turned { w.dims[0] } else { w.dims[1] };
    let mut values = Vec::with_capacity(rows * columns);
    for row in x.values.chunks(inner.max(1)) {
        for c in 0..columns {
            let weight = |i: usize| if turned { w.values[c * inner + i] } else { w.values[i * columns + c] };
            let sum: f64 = row.iter().enumerate().map(|(i, v)| v * weight(i)).sum();
            values.push(sum + b.map_or(0.0, |b| b.values[c % b.count()]));
        }
    }
    Array::with(vec![rows, columns], values)
}

fn matmul(a: &Array, b: &Array) -> Array {
    let split = |x: &Array| {
        let (outer, last) = x.dims.split_at(x.dims.len() - 2);
        (outer.to_vec(), last[0], last[1])
    };
    let ((of_a, n, inner), (of_b, _, m)) = (split(a), split(b));
    // Which matrices go together is found as that of single elements is.
    let numbers = |dims: &[usize]| {
        let count = dims.iter().product::<usize>();
        Array::with(dims.to_vec(), (0..count).map(|i| i as f64).collect())
    };
    let (from_a, from_b) = (numbers(&of_a), numbers(&of_b));
    let (left, right) = (both(&from_a, &from_b, |a, _| a), both(&from_a, &from_b, |_, b| b));
    let mut values = Vec::with_capacity(left.count() * n * m);
    for (&at_a, &at_b) in left.values.iter().zip(&right.values) {
        let (a, b) = (&a.values[at_a as usize * n * inner..], &b.values[at_b as usize * inner * m..]);
        for i in 0..n {
            values.extend((0..m).map(|j| (0..inner).map(|k| a[i * inner + k] * b[k * m + j]).sum::<f64>()));
        }
    }
    Array::with([left.dims, vec![n, m]].concat(), values)
}

/// Kernel, stride and padding, alike on both axes.
fn window(node: &OnnxNode) -> ([usize; 2], usize, usize) {
    let kernel = node.ints("kernel_shape");
    ([kernel[0], kernel[1]], node.ints("strides")[0], node.ints("pads")[0])
}

/// Where a window at `at` meets the image, with the place inside of the window.
fn inside(
    at: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    side: usize,
) -> impl Iterator<Item = (usize, usize)> {
    (0..kernel).filter_map(move |k| (at * stride + k).checked_sub(padding).filter(|i| *i < side).map(|i| (k, i)))
}

fn conv(node: &OnnxNode, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let filters = w.dims[0];
    let (rows, columns) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let mut values = Vec::with_capacity(n * filters * rows * columns);
    for (image, filter) in (0..n).flat_map(|image| (0..filters).map(move |filter| (image, filter))) {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let mut sum = b.map_or(0.0, |b| b.values[filter]);
            for channel in 0..channels {
                let (plane, of) = ((image * channels + channel) * height, (filter * channels + channel) * kh);
                for (i, y) in inside(row, kh, stride, padding, height) {
                    for (j, at) in inside(column, kw, stride, padding, width) {
                        sum += x.values[(plane + y) * width + at] * w.values[(of + i) * kw + j];
                    }
                }
            }
            values.push(sum);
        }
    }
    Array::with(vec![n, filters, rows, columns], values)
}

fn conv_transpose(node: &OnnxNode, x: &Array, w: &Array, b: Option<&Array>) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let filters = w.dims[1];
    let (rows, columns) = ((height - 1) * stride + kh - 2 * padding, (width - 1) * stride + kw - 2 * padding);
    let bias = |i: usize| b.map_or(0.0, |b| b.values[i / (rows * columns) % filters]);
    let mut y: Vec<f64> = (0..n * filters * rows * columns).map(bias).collect();
    for (image, channel) in (0..n).flat_map(|image| (0..channels).map(move |channel| (image, channel))) {
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let value = x.values[((image * channels + channel) * height + row) * width + column];
            for filter in 0..filters {
                for (i, to) in inside(row, kh, stride, padding, rows) {
                    for (j, at) in inside(column, kw, stride, padding, columns) {
                        let weight = w.values[((channel * filters + filter) * kh + i) * kw + j];
                        y[((image * filters + filter) * rows + to) * columns + at] += value * weight;
                    }
                }
            }
        }
    }
    Array::with(vec![n, filters, rows, columns], y)
}

/// The maximum of each window, or its mean with zeros for the padding.
fn pool(node: &OnnxNode, x: &Array, maximum: bool) -> Array {
    let ([kh, kw], stride, padding) = window(node);
    let &[n, channels, height, width] = &x.dims[..] else { return x.clone() };
    let (rows, columns) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let mut values = Vec::with_capacity(n * channels * rows * columns);
    for plane in 0..n * channels {
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let all = inside(row, kh, stride, padding, height).flat_map(|(_, y)| {
                inside(column, kw, stride, padding, width).map(move |(_, at)| (plane * height + y) * width + at)
            });
            let all = all.map(|at| x.values[at]);
            values.push(if maximum {
                all.fold(f64::NEG_INFINITY, f64::max)
            } else {
                all.sum::<f64>() / (kh * kw) as f64
            });
        }
    }
    Array::with(vec![n, channels, rows, columns], values)
}

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

fn softmax(x: &Array, axis: usize) -> Array {
    along(x, axis, x.dims[axis], |lane| {
        let most = lane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let all: Vec<f64> = lane.iter().map(|v| (v - most).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.into_iter().map(|v| v / sum).collect()
    })
}

fn reduce(node: &OnnxNode, x: &Array, f: impl Fn(&[f64]) -> f64) -> Array {
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

fn arg_max(node: &OnnxNode, x: &Array) -> Array {
    let axis = node.axis(x.dims.len(), 0);
    let mut y = along(x, axis, 1, |lane| order(lane).first().map(|&at| at as f64).into_iter().collect());
    if node.int("keepdims", 1) == 0 {
        y.dims.remove(axis);
    }
    y
}

fn top_k(x: &Array, k: usize, axis: usize) -> Vec<Array> {
    let first = |lane: &[f64]| order(lane).into_iter().take(k).collect::<Vec<_>>();
    let values = along(x, axis, k, |lane| first(lane).into_iter().map(|at| lane[at]).collect());
    let indices = along(x, axis, k, |lane| first(lane).into_iter().map(|at| at as f64).collect());
    vec![values, indices]
}

fn one_hot(at: &Array, depth: usize, values: &[f64]) -> Array {
    let row = |&at: &f64| (0..depth).map(move |i| values[usize::from(i == at as usize)]);
    Array::with([at.dims.clone(), vec![depth]].concat(), at.values.iter().flat_map(row).collect())
}

fn cumulated(x: &Array, axis: usize, exclusive: bool) -> Array {
    along(x, axis, x.dims[axis], |lane| {
        let mut sum = 0.0;
        let mut next = |v: &f64| {
            sum += v;
            if exclusive { sum - v } else { sum }
        };
        lane.iter().map(&mut next).collect()
    })
}

fn transpose(x: &Array, order: &[usize]) -> Array {
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

fn reshape(x: &Array, shape: &[f64]) -> Result<Array, Refusal> {
    let known: usize = shape.iter().filter(|v| **v > 0.0).map(|&v| v as usize).product();
    let extent = |&v: &f64| if v < 0.0 { x.count() / known.max(1) } else { v as usize };
    let dims: Vec<usize> = shape.iter().map(extent).collect();
    if dims.iter().product::<usize>() != x.count() {
        return Err(format!("Reshape: {:?} has not as many values as {dims:?}", x.dims));
    }
    Ok(Array::with(dims, x.values.clone()))
}

fn concat(all: &[&Array], axis: usize) -> Array {
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

fn gather(x: &Array, axis: usize, at: &[usize]) -> Array {
    along(x, axis, at.len(), |lane| at.iter().map(|&i| lane[i]).collect())
}

/// The error function: its series, and the continued fraction of its complement from 3 on.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 3.0 {
        let (mut sum, mut term, mut n) = (size, size, 0.0);
        while term.abs() > 1e-17 * sum.abs() {
            n += 1.0;
            term *= -size * size / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..60).rev().fold(size, |below, k| size + f64::from(k) / 2.0 / below);
        1.0 - (-size * size).exp() / fraction / std::f64::consts::PI.sqrt()
    };
    value.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dims: &[usize], values: &[f64]) -> Array {
        Array::with(dims.to_vec(), values.to_vec())
    }

    fn node(operator: &str, attributes: &[(&str, Attribute)]) -> OnnxNode {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        OnnxNode { operator: operator.into(), inputs: vec![], outputs: vec![], attributes }
    }

    #[test]
    fn operators_do_what_their_definitions_say() {
        let count: Vec<f64> = (0..6).map(f64::from).collect();
        let x = array(&[2, 3], &count);
        let one = |n: &OnnxNode, x: &[&Array]| operator(n, x).unwrap().remove(0);
        assert_eq!(both(&x, &array(&[3], &[1.0, 2.0, 3.0]), |a, b| a * b).values, [0.0, 2.0, 6.0, 3.0, 8.0, 15.0]);
        assert_eq!(both(&x, &array(&[2, 1], &[1.0, 2.0]), |a, b| a * b).values, [0.0, 1.0, 2.0, 6.0, 8.0, 10.0]);
        assert_eq!(transpose(&x, &[1, 0]).values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(gather(&x, 1, &[2, 0]).values, [2.0, 0.0, 5.0, 3.0]);
        assert_eq!(concat(&[&x, &array(&[2, 1], &[8.0, 9.0])], 1).values, [0.0, 1.0, 2.0, 8.0, 3.0, 4.0, 5.0, 9.0]);
        assert_eq!(cumulated(&x, 1, true).values, [0.0, 0.0, 1.0, 0.0, 3.0, 7.0]);
        assert_eq!(one_hot(&array(&[2], &[1.0, 0.0]), 2, &[0.0, 1.0]).values, [0.0, 1.0, 1.0, 0.0]);
        let ties = array(&[1, 4], &[2.0, 5.0, 5.0, 1.0]);
        assert_eq!(top_k(&ties, 3, 1)[1].values, [1.0, 2.0, 0.0]);
        let first = one(&node("ArgMax", &[("axis", Attribute::Int(1)), ("keepdims", Attribute::Int(0))]), &[&ties]);
        assert_eq!((first.dims, first.values), (vec![1], vec![1.0]));
        let mean = one(&node("ReduceMean", &[("axes", Attribute::Ints(vec![0]))]), &[&x]);
        assert_eq!((mean.dims, mean.values), (vec![1, 3], vec![1.5, 2.5, 3.5]));
        // A [1, 2] by 2 matrices [2, 1].
        let product = matmul(&array(&[1, 2], &[1.0, 10.0]), &array(&[2, 2, 1], &[1.0, 2.0, 3.0, 4.0]));
        assert_eq!((product.dims, product.values), (vec![2, 1, 1], vec![21.0, 43.0]));
        let shares = softmax(&array(&[1, 2], &[0.0, 3_f64.ln()]), 1).values;
        assert!((shares[0] - 0.25).abs() < 1e-15 && (shares[1] - 0.75).abs() < 1e-15);
    }

    #[test]
    fn windows_move_as_they_should() {
        let how = |padding: i64| {
            [
                ("kernel_shape", Attribute::Ints(vec![2, 2])),
                ("strides", Attribute::Ints(vec![2, 2])),
                ("pads", Attribute::Ints(vec![padding; 4])),
            ]
        };
        let image = array(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let filter = array(&[1, 1, 2, 2], &[1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(conv(&node("Conv", &how(0)), &image, &filter, None).values, [4321.0]);
        // Padded, each of four windows meets one pixel, in the corner across.
        let padded = conv(&node("Conv", &how(1)), &image, &filter, Some(&array(&[1], &[0.5])));
        assert_eq!(padded.values, [1000.5, 200.5, 30.5, 4.5]);
        let spread = conv_transpose(&node("ConvTranspose", &how(1)), &image, &filter, None);
        assert_eq!((spread.dims, spread.values), (vec![1, 1, 2, 2], vec![1000.0, 200.0, 30.0, 4.0]));
        assert_eq!(pool(&node("MaxPool", &how(0)), &image, true).values, [4.0]);
        assert_eq!(pool(&node("AveragePool", &how(1)), &image, false).values, [0.25, 0.5, 0.75, 1.0]);
    }

    #[test]
    fn the_error_function_is_right_to_the_last_digits() {
        // Values of Abramowitz & Stegun, table 7.1, and the tail of mpmath.
        for (x, expected) in
            [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0), (3.5, 0.999_999_256_9)]
        {
            assert!((erf(x) - expected).abs() < 1e-10 && (erf(-x) + expected).abs() < 1e-10, "{x}: {}", erf(x));
        }
    }

    #[test]
    fn operators_that_are_not_written_are_refused_by_name() {
        assert!(operator(&node("Loop", &[]), &[]).unwrap_err().contains("Loop"));
    }
}
