//! Every operation on CUDA against the same one on the CPU: on an emulated GPU, or with `SECATEUR_TEST_CUDA=real` on
//! the one of this machine.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[macro_use]
mod compare;
mod emulator;
mod failures;
mod memory;
mod operations;
