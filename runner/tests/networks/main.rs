//! Networks of finished runs: shown examples, verified, exported, timed, compressed and brought back, through the command
//! line.

#![allow(clippy::unwrap_used, reason = "tests")]

mod compress;
mod export;
mod information;
mod predict;
mod scene;
mod sparsest;
