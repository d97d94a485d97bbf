//! The layers of a configuration, from the weakest to the strongest: read, merged and checked.

mod assign;
mod files;
mod layer;
mod merge;
mod stack;
mod switch;

pub use layer::Layer;
pub use merge::Merged;
pub use stack::Stack;
