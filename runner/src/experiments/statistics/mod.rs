//! Statistics of comparisons; distributions are statrs's, and every number agrees with scipy and statsmodels (see
//! `golden.json` and `golden.py`, `bootstrap.json` and `bootstrap.py`).

mod bootstrap;
mod margin;
mod paired;
mod rounding;
mod sample;
mod wilcoxon;

pub use bootstrap::Bootstrap;
pub use margin::{Equivalence, Settled};
pub use paired::{Family, LEVEL, Paired};
pub use rounding::{mean, same};
pub use sample::{Interval, Sample, t_above, t_quantile, t_two_sided};

#[cfg(test)]
mod tests;
