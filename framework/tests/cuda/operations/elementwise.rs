//! Functions of single elements or pairs.

use crate::compare::{SIZES, gpu, random};
use crate::emulator;
use secateur::backend::{Act, ActivationOps, Cuda, Device as _, TensorOps};
use secateur::tensor::Tensor;

const ACTS: [Act; 7] = [Act::None, Act::Relu, Act::Relu6, Act::Gelu, Act::GeluExact, Act::Tanh, Act::Sigmoid];

#[test]
fn functions_of_one_tensor_agree() {
    for n in SIZES.into_iter().chain([100_003]) {
        compare!(format!("{n} elements"), |device| {
            let x = random(device, [n], "x");
            vec![x.abs().unwrap(), x.square().unwrap(), x.signum().unwrap(), x.scale(-2.5).unwrap()]
        });
    }
}

#[test]
fn functions_of_two_tensors_agree() {
    for n in SIZES.into_iter().chain([100_003]) {
        compare!(format!("{n} elements"), |device| {
            let (a, b) = (random(device, [n], "a"), random(device, [n], "b"));
            let mut sum = a.clone();
            TensorOps::accumulate(&mut sum, &b).unwrap();
            let pairs = [a.add(&b), a.sub(&b), a.mul(&b), a.max(&b), a.div(&b)].map(Result::unwrap);
            pairs.into_iter().chain([sum, a]).collect::<Vec<_>>()
        });
    }
}

#[test]
fn activations_agree() {
    for act in ACTS {
        compare!(format!("{act:?}"), |device| {
            let (x, dy) = (random(device, [7, 53], "x").scale(8.0).unwrap(), random(device, [7, 53], "dy"));
            vec![ActivationOps::activation(act, &x).unwrap(), ActivationOps::activation_backward(act, &x, &dy).unwrap()]
        });
    }
}

#[test]
fn indices_are_selected_along_any_axis() {
    let keep = [4, 0, 2, 3, 3];
    for axis in 0..3 {
        compare!(format!("axis {axis}"), |device| [random(device, [5, 6, 7], "x").select(axis, &keep).unwrap()]);
    }
    let error = random(&gpu(), [5, 6], "x").select(0, &[5]).unwrap_err().to_string();
    assert!(error.contains("index 5 of axis 0"), "{error}");
}

#[test]
fn signs_of_zero_and_nan_are_those_of_the_cpu() {
    let values = vec![0.0, -0.0, f32::NAN, f32::INFINITY, -2.0];
    let t = Tensor::from_vec(&gpu(), values, [5]).unwrap().signum().unwrap().to_vec();
    assert_eq!((t[0], t[1], t[2].is_nan(), t[3], t[4]), (0.0, 0.0, true, 1.0, -1.0));
}

#[test]
fn tensors_of_different_shapes_are_refused() {
    let device = gpu();
    let (a, b) = (random(&device, [3], "a"), random(&device, [4], "b"));
    assert!(a.add(&b).unwrap_err().to_string().contains("[3] and [4] differ"));
}

#[test]
fn no_elements_are_no_work() {
    compare!("empty", |device| {
        let x = random(device, [0, 3], "x");
        vec![x.abs().unwrap(), x.add(&x).unwrap(), x.select(1, &[1]).unwrap()]
    });
}

#[test]
fn transposes_and_scaling_by_a_tensor_agree() {
    for shape in [vec![1, 1], vec![33, 70], vec![3, 5, 64], vec![2, 3, 100, 31]] {
        compare!(format!("{shape:?}"), |device| {
            let x = random(device, &shape[..], "x");
            let factor = random(device, [1], "factor");
            vec![x.transpose().unwrap(), TensorOps::scale_by(x, &factor).unwrap()]
        });
    }
    assert!(random(&gpu(), [3], "x").transpose().is_err());
}

#[test]
fn several_tensors_are_read_with_one_copy() {
    let tensors: Vec<_> = (0..70).map(|n| random(&gpu(), [n % 5], &format!("{n}"))).collect();
    let copies = || if emulator::is_real() { 0 } else { emulator::counter("copies_to_host") };
    let before = copies();
    let found = Cuda::host_all(&tensors.iter().collect::<Vec<_>>());
    if !emulator::is_real() {
        assert_eq!(copies(), before + 1);
    }
    assert_eq!(found, tensors.iter().map(Tensor::to_vec).collect::<Vec<_>>());
}
