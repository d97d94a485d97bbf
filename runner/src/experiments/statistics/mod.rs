//! Statistics of comparisons; distributions are statrs's, and every number agrees with scipy (see `golden.json` and
//! `golden.py`).

mod paired;
mod sample;
mod wilcoxon;

pub use paired::{Paired, holm};
pub use sample::Sample;

#[cfg(test)]
mod tests;
