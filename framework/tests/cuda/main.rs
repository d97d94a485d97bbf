//! Every operation on CUDA against the same one on the CPU: on an emulated GPU, or with `SECATEUR_TEST_CUDA=real` on the one of
//! this machine.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[macro_use]
mod compare;
mod attention;
mod contribution;
mod conv;
mod draw;
mod elementwise;
mod emulator;
mod failures;
mod images;
mod layer_norm;
mod linear;
mod loss;
mod memory;
mod merging;
mod optim;
mod ranking;
mod reduce;
mod tokens;
