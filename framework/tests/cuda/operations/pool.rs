//! Pooling.

use crate::compare::{gpu, random};
use secateur::backend::{Backend, Cpu, Cuda, Device as _, Pool, PoolOps as _, Pooling, Slot};
use secateur::tensor::Tensor;

const POOLINGS: [(usize, usize, usize); 5] = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (4, 4, 2), (2, 3, 0)];

fn pooling<B: Backend>(device: &B, x: [usize; 4], pool: Pool, add: bool) -> Vec<Tensor<B>> {
    let x = random(device, x, "x");
    let (y, argmax) = B::pool(&x, pool).unwrap();
    let dy = random(device, y.shape(), "dy");
    let mut dx = Slot(add.then(|| random(device, x.shape(), "before")));
    B::pool_backward(&x, pool, argmax.as_ref(), &dy, &mut dx).unwrap();
    let places = argmax.map(|a| B::host_ints(&a).iter().map(|&i| i as f32).collect::<Vec<_>>());
    let places = places.map(|p| Tensor::from_vec(device, p, y.shape()).unwrap());
    [Some(y), dx.0, places].into_iter().flatten().collect()
}

#[test]
fn poolings_agree() {
    for x in [[2, 3, 8, 8], [1, 1, 5, 7], [3, 33, 4, 5]] {
        for (kernel, stride, padding) in POOLINGS {
            for kind in [Pooling::Max, Pooling::Mean] {
                let pool = Pool { kind, kernel, stride, padding };
                compare!(format!("{x:?}, {pool:?}"), |device| pooling(device, x, pool, false));
                compare!(format!("{x:?}, {pool:?}, added"), |device| pooling(device, x, pool, true));
            }
        }
    }
}

#[test]
fn the_first_of_equals_and_nan_win_a_pooling() {
    let values = vec![1.0, 2.0, 2.0, 0.0, 0.0, f32::NAN, 9.0, 1.0];
    let x = Tensor::from_vec(&gpu(), values, [1, 2, 2, 2]).unwrap();
    let pool = Pool { kind: Pooling::Max, kernel: 2, stride: 2, padding: 0 };
    let (y, argmax) = Cuda::pool(&x, pool).unwrap();
    assert_eq!(*Cuda::host_ints(&argmax.unwrap()), [1, 1]);
    assert!(y.host()[0] == 2.0 && y.host()[1].is_nan());
}

#[test]
fn operands_that_do_not_fit_are_refused_as_on_the_cpu() {
    fn error<B: Backend>(device: &B) -> String {
        let pool = Pool { kind: Pooling::Max, kernel: 4, stride: 1, padding: 0 };
        B::pool(&random(device, [1, 2, 3, 3], "x"), pool).unwrap_err().to_string()
    }
    assert_eq!(error(&gpu()), error(&Cpu::default()));
}
