//! What is said where there is no GPU, or not enough of it. Each case is a process of its own.

use super::{compare, emulator};
use secateur::backend::cuda;
use secateur::tensor::Tensor;
use std::process::Command;

/// The message of `ask` in a process with these variables.
fn message(ask: &str, variables: &[(&str, &str)]) -> String {
    if emulator::is_real() {
        return String::new();
    }
    emulator::folder();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "failures::child", "--ignored", "--nocapture"]).env("ASK", ask);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find_map(|l| l.split_once("MESSAGE ")).map(|(_, m)| m.to_owned());
    line.unwrap_or_else(|| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
#[ignore = "the other tests of this file start it"]
fn child() {
    let ask = std::env::var("ASK").unwrap();
    if ask != "without a driver" {
        emulator::open();
    }
    let found = match ask.as_str() {
        "memory" => cuda::cuda(0).and_then(|device| {
            let kept = Tensor::zeros(&device, [1 << 17])?;
            // Half of the memory, given back and asked for again in another size: the pool makes room.
            drop(Tensor::zeros(&device, [1 << 18])?);
            drop(Tensor::zeros(&device, [(1 << 18) + 1])?);
            Tensor::zeros(&device, [1 << 19]).map(|_| drop(kept))
        }),
        "ordinal" => cuda::cuda(3).map(drop),
        _ => cuda::cuda(0).map(drop),
    };
    println!("MESSAGE {}", found.unwrap_err());
}

#[test]
fn a_missing_driver_is_named() {
    if emulator::is_real() {
        return;
    }
    let said = message("without a driver", &[]);
    assert!(said.starts_with("cuda:0: the NVIDIA driver's library was not found (libcuda.so.1"), "{said}");
    assert!(said.contains("install the driver"), "{said}");
}

#[test]
fn a_machine_without_gpu_is_named() {
    let said = message("gpu", &[("EMULATED_CUDA_GPUS", "0")]);
    assert!(emulator::is_real() || said.starts_with("cuda:0: this machine has no GPU"), "{said}");
}

#[test]
fn a_wrong_number_lists_the_gpus() {
    let said = message("ordinal", &[("EMULATED_CUDA_GPUS", "2")]);
    let expected = "cuda:3: this machine has 2 GPUs: 0 (Emulated GPU), 1 (Emulated GPU)";
    assert!(emulator::is_real() || said == expected, "{said}");
}

#[test]
fn an_old_driver_is_named() {
    let said = message("gpu", &[("EMULATED_CUDA_VERSION", "10020")]);
    assert!(
        emulator::is_real() || said.contains("the NVIDIA driver knows CUDA 10.2, but this program needs"),
        "{said}"
    );
}

#[test]
fn memory_that_does_not_suffice_is_counted() {
    // 2 MiB and what dfdx takes for itself.
    let said = message("memory", &[("EMULATED_CUDA_MEMORY", "2097252")]);
    let expected =
        "cuda:0 is out of memory: 2.0 MiB more were asked for, 1.5 MiB of 2.0 MiB are free; lower train.batch_size";
    assert!(emulator::is_real() || said.starts_with(expected), "{said}");
}

#[test]
fn the_gpu_answers() {
    assert_eq!(Tensor::from_vec(&compare::gpu(), vec![1.0], [1]).unwrap().to_vec(), [1.0]);
}
