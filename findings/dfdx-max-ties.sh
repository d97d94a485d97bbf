#!/bin/bash
# dfdx 0.13.0: max() and min() over an axis hand the whole gradient to each of several equal values.
#
# Where values tie, the gradient of a maximum is shared out (torch.amax, JAX) or goes to one of them (torch.max over an axis): it sums
# to 1. Here each of them gets 1, so three equal values get 3 between them, and a row of zeros, which is what pruned or dead units
# give, gets as much gradient as it is long. The same crate's maximum() of two tensors does share: a half each.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/src"
cat >"$dir/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"

[dependencies]
dfdx = "=0.13.0"

[workspace]
TOML
cat >"$dir/src/main.rs" <<'RUST'
use dfdx::prelude::*;

fn main() {
    let dev = Cpu::default();
    let x: Tensor<Rank2<2, 4>, f32, _> = dev.tensor([[1., 3., 3., 3.], [0., 0., 0., 0.]]);
    let over_axis = x.leaky_trace().max::<Rank1<2>, _>().sum().backward().get(&x).array();
    println!("max over 1 3 3 3 and 0 0 0 0: {over_axis:?}");
    let least = x.leaky_trace().min::<Rank1<2>, _>().sum().backward().get(&x).array();
    println!("min over the same:            {least:?}");

    let (a, b): (Tensor<Rank0, f32, _>, Tensor<Rank0, f32, _>) = (dev.tensor(2.), dev.tensor(2.));
    let g = a.leaky_trace().maximum(b.leaky_trace()).backward();
    let of_two = (g.get(&a).array(), g.get(&b).array());
    println!("maximum of 2 and 2:           {of_two:?}");

    assert_eq!(over_axis, [[0., 1., 1., 1.], [1., 1., 1., 1.]], "the behaviour has changed");
    assert_eq!(least, [[1., 0., 0., 0.], [1., 1., 1., 1.]], "the behaviour has changed");
    assert_eq!(of_two, (0.5, 0.5), "the behaviour has changed");
}
RUST
CARGO_TARGET_DIR="$dir/target" cargo run --quiet --manifest-path "$dir/Cargo.toml"
# Seen on 2026-11-28, with rustc 1.95.0:
#   max over 1 3 3 3 and 0 0 0 0: [[0.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
#   min over the same:            [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
#   maximum of 2 and 2:           (0.5, 0.5)
