//! The layers of a configuration, from the weakest to the strongest: read, merged and checked.

mod assign;
mod files;
mod groups;
mod layer;
mod merge;
mod refer;
mod stack;
mod switch;
mod words;

pub use groups::{Member, choices, groups};
pub use layer::Layer;
pub use merge::Merged;
pub use stack::Stack;
