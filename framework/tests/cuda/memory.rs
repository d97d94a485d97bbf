//! Tensors in device memory.

use super::compare::{gpu, random};
use super::emulator;
use secateur::backend::{Cuda, Device as _, cuda};
use secateur::tensor::Tensor;

#[test]
fn values_come_back_as_they_went() {
    let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let mut t = Tensor::from_vec(&gpu(), values.clone(), [10, 100]).unwrap();
    assert_eq!(t.to_vec(), values);
    let before = t.clone();
    Cuda::write(&mut t, &vec![7.0; 1000]).unwrap();
    assert_eq!(t.to_vec(), [7.0; 1000]);
    assert_eq!(before.to_vec(), values, "a clone keeps its values");
    assert_eq!(Tensor::zeros(&gpu(), [3]).unwrap().to_vec(), [0.0; 3]);
}

#[test]
fn a_tensor_is_a_dfdx_tensor() {
    let t = Tensor::from_vec(&gpu(), vec![1.0, 2.0, 3.0], [3]).unwrap();
    let lent = t.dfdx();
    assert_eq!(lent.as_vec(), [1.0, 2.0, 3.0]);
    let mut t = t;
    Cuda::write(&mut t, &[9.0; 3]).unwrap();
    assert_eq!(lent.as_vec(), [1.0, 2.0, 3.0], "writing does not reach what dfdx was lent");
    assert_eq!(t.to_vec(), [9.0; 3]);
}

#[test]
fn memory_is_used_again_without_the_driver() {
    if emulator::is_real() {
        return;
    }
    // A size that no other test uses.
    let step = || drop(random(&gpu(), [12_347], "x").abs().unwrap());
    step();
    let before = emulator::counter("allocations");
    (0..10).for_each(|_| step());
    assert_eq!(emulator::counter("allocations"), before);
}

/// Alone in its process: other tests allocate at the same time.
#[test]
fn memory_is_counted_and_sizes_that_do_not_come_back_are_given_up() {
    if emulator::is_real() {
        return;
    }
    if std::env::var_os("SECATEUR_TEST_ALONE").is_none() {
        let name = "memory::memory_is_counted_and_sizes_that_do_not_come_back_are_given_up";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.env("SECATEUR_TEST_ALONE", "1").args(["--exact", name]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let device = gpu();
    let start = cuda::memory().unwrap();
    let big = random(&device, [10_000], "x");
    let lent = random(&device, [1_000], "x");
    drop(lent.dfdx());
    let now = cuda::memory().unwrap();
    assert_eq!((now.in_use - start.in_use, now.reserved - start.reserved), (44_000, 44_000));
    assert!(now.peak >= now.in_use);
    drop((big, lent));
    let now = cuda::memory().unwrap();
    assert_eq!(now.in_use, start.in_use, "what dfdx was lent is not ours any more");
    assert_eq!(now.reserved - start.reserved, 40_000, "the rest is kept");
    // A step that uses other sizes: after a while the first one is given up, while the step's own memory stays.
    let step = || drop((random(&device, [8], "x"), random(&device, [8], "y"), random(&device, [9], "x")));
    step();
    let before = emulator::counter("allocations");
    (0..6_000).for_each(|_| step());
    assert_eq!(emulator::counter("allocations"), before);
    assert_eq!(cuda::memory().unwrap().reserved - start.reserved, 4 * (8 + 8 + 9));
    // More sizes than memory: never more than twice what was in use at once is kept.
    for count in 20_000..20_100 {
        drop(random(&device, [count], "x"));
        let now = cuda::memory().unwrap();
        assert!(now.reserved <= 2 * now.peak, "{now:?}");
    }
    cuda::trim().unwrap();
    let now = cuda::memory().unwrap();
    assert_eq!(now.reserved, now.in_use);
}

#[test]
fn any_thread_may_work() {
    let x = random(&gpu(), [100], "x");
    let there = std::thread::spawn(move || x.abs().unwrap()).join().unwrap();
    assert_eq!(there.to_vec(), random(&gpu(), [100], "x").abs().unwrap().to_vec());
}

#[test]
fn another_gpu_in_the_same_process_is_refused() {
    drop(gpu());
    let error = cuda::cuda(1).unwrap_err();
    assert!(error.is_usage(), "{error}");
    let error = error.to_string();
    assert_eq!(error, "cuda:1: this process already uses cuda:0; run one process for each GPU");
}
