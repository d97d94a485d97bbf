//! The criteria that come with Secateur: each says what a weight or a unit is worth, and has its file.

mod activations;
mod baselines;
pub mod relevance;
mod weights;
