//! The criteria that come with Secateur: each says what a weight or a unit is worth, and has its file.

mod activations;
mod ascending;
mod axes;
mod baselines;
mod gathered;
mod gradients;
pub mod relevance;
mod units;
mod weights;

pub use gradients::autosparse;
