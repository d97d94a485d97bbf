//! Statistics of comparisons; distributions are statrs's, and every number agrees with scipy and statsmodels (see
//! `golden.json` and `golden.py`).

mod margin;
mod paired;
mod rounding;
mod sample;
mod wilcoxon;

pub use margin::{Equivalence, Settled};
pub use paired::{Family, LEVEL, Paired};
pub use rounding::{mean, same};
pub use sample::{Interval, Sample};

#[cfg(test)]
mod tests;
