//! Convolution and transposed convolution, with everything that is fused with them.

use crate::compare::{gpu, mask, random};
use secateur::backend::{Act, Backend, Conv2d, ConvTranspose2d, LayerGrads, Slot, Weight};
use secateur::tensor::Tensor;

/// Batch, channels, height and width; filters; kernel; stride and padding.
#[derive(Debug, Clone, Copy)]
struct Shape([usize; 4], usize, (usize, usize), (usize, usize));

/// No parameters, or all of them with gradients that are added to what is there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    Nothing,
    Bias,
    MaskBiasAndGradients,
}

fn weight<B: Backend>(device: &B, shape: [usize; 4], with: With) -> Weight<B> {
    let mask = (with == With::MaskBiasAndGradients).then(|| mask(device, shape, "mask"));
    Weight::masked(random(device, shape, "w"), mask)
}

/// What the gradients start from: nothing, or a tensor that they are added to.
fn slots<B: Backend>(device: &B, like: [&Tensor<B>; 3], with: With) -> [Slot<B>; 3] {
    like.map(|t| Slot((with == With::MaskBiasAndGradients).then(|| random(device, t.shape(), "before"))))
}

fn conv<B: Backend>(device: &B, shape: Shape, act: Act, pool: bool, with: With) -> Vec<Tensor<B>> {
    grouped(device, (shape, 1), act, pool, with)
}

fn grouped<B: Backend>(device: &B, of: (Shape, usize), act: Act, pool: bool, with: With) -> Vec<Tensor<B>> {
    let (Shape(x, filters, kernel, (stride, padding)), groups) = of;
    let op = Conv2d {
        x: random(device, x, "x"),
        w: weight(device, [filters, x[1] / groups, kernel.0, kernel.1], with),
        b: (with != With::Nothing).then(|| random(device, [filters], "b")),
        stride,
        padding,
        groups,
        act,
        pool,
    };
    let (y, saved) = B::conv2d(&op, true).unwrap();
    let (alone, none) = B::conv2d(&op, false).unwrap();
    assert!(none.is_none());
    let dy = random(device, y.shape(), "dy");
    let bias = op.b.clone().unwrap_or_else(|| random(device, [filters], "b"));
    let [mut x, mut w, mut b] = slots(device, [&op.x, &op.w.value, &bias], with);
    let wants_bias = op.b.is_some();
    let grads = LayerGrads { x: Some(&mut x), w: Some(&mut w), b: wants_bias.then_some(&mut b) };
    B::conv2d_backward(&op, &saved.unwrap(), &dy, grads).unwrap();
    [Some(y), Some(alone), x.0, w.0, b.0.filter(|_| wants_bias)].into_iter().flatten().collect()
}

fn transposed<B: Backend>(device: &B, shape: Shape, act: Act, with: With) -> Vec<Tensor<B>> {
    let Shape(x, outputs, kernel, (stride, padding)) = shape;
    let op = ConvTranspose2d {
        x: random(device, x, "x"),
        w: weight(device, [x[1], outputs, kernel.0, kernel.1], with),
        b: (with != With::Nothing).then(|| random(device, [outputs], "b")),
        stride,
        padding,
        act,
    };
    let y = B::conv_transpose2d(&op).unwrap();
    let dy = random(device, y.shape(), "dy");
    let bias = op.b.clone().unwrap_or_else(|| random(device, [outputs], "b"));
    let [mut x, mut w, mut b] = slots(device, [&op.x, &op.w.value, &bias], with);
    let wants_bias = op.b.is_some();
    let grads = LayerGrads { x: Some(&mut x), w: Some(&mut w), b: wants_bias.then_some(&mut b) };
    B::conv_transpose2d_backward(&op, &y, &dy, grads).unwrap();
    [Some(y), x.0, w.0, b.0.filter(|_| wants_bias)].into_iter().flatten().collect()
}

/// Every tile, with and without several shares of the sums, sizes that no tile divides, strides beyond the kernel.
const SHAPES: [Shape; 13] = [
    Shape([2, 3, 8, 8], 5, (3, 3), (1, 1)),
    Shape([1, 1, 1, 1], 1, (1, 1), (1, 0)),
    Shape([3, 2, 5, 7], 33, (3, 2), (1, 0)),
    Shape([2, 5, 9, 6], 4, (4, 4), (2, 1)),
    Shape([1, 3, 7, 7], 2, (2, 2), (3, 0)),
    Shape([2, 3, 4, 4], 3, (5, 5), (1, 2)),
    Shape([1, 2, 6, 5], 3, (1, 1), (2, 1)),
    Shape([3, 70, 4, 4], 130, (3, 3), (1, 1)),
    Shape([5, 66, 2, 2], 65, (3, 3), (1, 1)),
    Shape([2, 3, 12, 8], 6, (4, 4), (4, 0)),
    Shape([9, 33, 6, 6], 40, (3, 3), (2, 3)),
    Shape([2, 3, 8, 7], 4, (5, 4), (3, 1)),
    Shape([2, 2, 9, 9], 3, (2, 6), (4, 1)),
];

#[test]
fn convolutions_agree() {
    for shape in SHAPES {
        for (act, with) in
            [(Act::None, With::Nothing), (Act::Relu, With::Bias), (Act::Sigmoid, With::MaskBiasAndGradients)]
        {
            compare!(format!("{shape:?}, {act:?}, {with:?}"), |device| conv(device, shape, act, false, with));
        }
    }
}

#[test]
fn convolutions_with_pooling_agree() {
    for shape in SHAPES {
        for (act, with) in
            [(Act::None, With::Nothing), (Act::Relu, With::Bias), (Act::Tanh, With::MaskBiasAndGradients)]
        {
            if shape.0[2].min(shape.0[3]) > 1 {
                compare!(format!("{shape:?}, {act:?}, {with:?}"), |device| conv(device, shape, act, true, with));
            }
        }
    }
}

#[test]
fn transposed_convolutions_agree() {
    for shape in SHAPES {
        for (act, with) in
            [(Act::None, With::Nothing), (Act::Sigmoid, With::Bias), (Act::Relu, With::MaskBiasAndGradients)]
        {
            let Shape(x, _, kernel, (stride, padding)) = shape;
            if (x[2] - 1) * stride + kernel.0 > 2 * padding && (x[3] - 1) * stride + kernel.1 > 2 * padding {
                compare!(format!("{shape:?}, {act:?}, {with:?}"), |device| transposed(device, shape, act, with));
            }
        }
    }
}

/// One channel a group with one filter and with several, groups of several channels; strides beyond the kernel; more
/// windows than a block has threads.
const GROUPED: [(Shape, usize); 7] = [
    (Shape([2, 6, 8, 7], 6, (3, 3), (1, 1)), 6),
    (Shape([3, 5, 7, 7], 5, (3, 3), (2, 1)), 5),
    (Shape([2, 3, 6, 5], 9, (5, 4), (1, 2)), 3),
    (Shape([1, 4, 9, 9], 4, (2, 2), (3, 0)), 4),
    (Shape([2, 8, 5, 6], 12, (3, 3), (1, 1)), 4),
    (Shape([2, 6, 9, 9], 4, (3, 2), (2, 2)), 2),
    (Shape([3, 2, 16, 15], 2, (3, 3), (1, 1)), 2),
];

#[test]
fn grouped_convolutions_agree() {
    for of in GROUPED {
        for (act, with) in
            [(Act::None, With::Nothing), (Act::Relu6, With::Bias), (Act::Sigmoid, With::MaskBiasAndGradients)]
        {
            for pool in [false, true] {
                compare!(format!("{of:?}, {act:?}, {with:?}, {pool}"), |device| grouped(device, of, act, pool, with));
            }
        }
    }
    let none = (Shape([0, 4, 4, 4], 4, (3, 3), (1, 1)), 4);
    compare!("no images", |device| grouped(device, none, Act::Relu6, false, With::Bias));
}

#[test]
fn gradients_before_the_activation_may_be_made_in_rounds() {
    // More images than one round takes: 2^22 / (16 * 64 * 64) = 64.
    let shape = Shape([65, 1, 64, 64], 16, (1, 1), (1, 0));
    compare!("rounds", |device| conv(device, shape, Act::Relu, true, With::Bias));
}

#[test]
fn no_images_are_no_work() {
    let shape = Shape([0, 2, 4, 4], 3, (3, 3), (1, 1));
    compare!("convolution", |device| conv(device, shape, Act::Relu, true, With::Bias));
    compare!("transposed", |device| transposed(device, shape, Act::Relu, With::Bias));
}

#[test]
fn operands_that_do_not_fit_are_refused_as_on_the_cpu() {
    fn errors<B: Backend>(device: &B) -> Vec<String> {
        let op = Conv2d {
            x: random(device, [1, 2, 3, 3], "x"),
            w: Weight::plain(random(device, [4, 2, 3, 3], "w")),
            b: None,
            stride: 1,
            padding: 0,
            groups: 1,
            act: Act::None,
            pool: false,
        };
        let refused = |op: &Conv2d<B>| B::conv2d(op, false).unwrap_err().to_string();
        vec![
            refused(&Conv2d { x: random(device, [1, 3, 3, 3], "x"), ..op.clone() }),
            refused(&Conv2d { x: random(device, [1, 2, 2, 2], "x"), ..op.clone() }),
            refused(&Conv2d { act: Act::Gelu, ..op.clone() }),
            refused(&Conv2d { groups: 2, ..op.clone() }),
            refused(&Conv2d { b: Some(random(device, [3], "b")), ..op }),
        ]
    }
    assert_eq!(errors(&gpu()), errors(&secateur::backend::Cpu::default()));
}
