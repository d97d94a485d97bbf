//! What a file in ONNX computes: its operators as plain loops over doubles, by the text of their definitions alone. Made
//! to check files that were written, not to be fast.

mod axes;
mod windows;

use std::collections::HashMap;

use axes::{arg_max, concat, cumulated, gather, one_hot, reduce, reshape, softmax, top_k, transpose};
use windows::{conv, conv_transpose, pool};

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
        ("Clip", [x, least, most]) => {
            let (least, most) = (least.values[0], most.values[0]);
            one(Array::with(x.dims.clone(), x.values.iter().map(|v| v.clamp(least, most)).collect()))
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
        // Two channels, each with a filter of its own.
        let two = array(&[1, 2, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        let grouped =
            [&how(0)[1..], &[("kernel_shape", Attribute::Ints(vec![1, 2])), ("group", Attribute::Int(2))]].concat();
        let found = conv(&node("Conv", &grouped), &two, &array(&[2, 1, 1, 2], &[1.0, 10.0, 100.0, 1000.0]), None);
        assert_eq!((found.dims, found.values), (vec![1, 2, 1, 1], vec![21.0, 4300.0]));
        let clipped = operator(&node("Clip", &[]), &[&two, &array(&[], &[2.0]), &array(&[], &[3.0])]).unwrap();
        assert_eq!(clipped[0].values, [2.0, 2.0, 3.0, 3.0]);
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
