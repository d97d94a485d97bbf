//! The sparsest network that a task allows, by search: every way to wire a small multilayer perceptron, fewest weights
//! first, each trained from several seeds (Zhang & Papyan 2024, "Sparsest Models Elude Pruning", arXiv 2407.04075).
//!
//! A [`Wiring`] is a mask without what cannot matter: every kept weight lies on a path from an input to the output, and
//! of the wirings that differ in the order of their hidden units alone there is one. A [`Shape`] enumerates and counts
//! them by their number of weights, [`Task`] and [`Training`] say what each of them learns and how, and a [`Search`]
//! trains them level by level until one separates the classes. Biases are free, as in the paper, and are not counted.
//!
//! What is found is a minimum over wirings, and as sure as the trainings: a wiring that separates the classes, but not
//! from any of the seeds that were tried, is missed.

mod enumerate;
mod kernel;
mod search;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod wiring;

pub use enumerate::Shape;
pub use search::{Mode, Search};
pub use state::{Found, Level, State};
pub use task::{Optimizer, Outcome, Task, Training};
pub use wiring::Wiring;
