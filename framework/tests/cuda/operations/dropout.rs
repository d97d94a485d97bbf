//! Dropout.

use crate::compare::{gpu, random};
use secateur::backend::{Cpu, DropoutOps};

#[test]
fn the_same_elements_are_dropped() {
    for n in [1, 3, 33, 4096, 100_003] {
        for (p, seed) in [(0.0, 1), (0.1, 2), (0.5, u64::MAX), (0.9, 0x0123_4567_89ab_cdef), (1.0, 3)] {
            let on_cpu = Cpu::dropout(&random(&Cpu::default(), [n], "x"), p, seed).unwrap();
            let on_gpu = DropoutOps::dropout(&random(&gpu(), [n], "x"), p, seed).unwrap();
            assert!(on_gpu.host() == on_cpu.host(), "{n} elements, p = {p}, seed {seed}");
        }
    }
}
