//! What is done with networks that were saved.

mod export;
mod latency;
mod mask;
mod predict;
mod saved;
mod sparsest;
mod verify;

pub use export::Exportable;
pub use latency::{Milliseconds, OfFile, Timed};
pub use mask::SavedMask;
pub use predict::{Example, Found, Said, SaidOf};
pub use saved::Which;
pub use sparsest::Separable;
