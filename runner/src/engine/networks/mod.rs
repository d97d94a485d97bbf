//! What is done with networks that were saved.

mod export;
mod latency;
mod predict;
mod saved;
mod verify;

pub use export::Exportable;
pub use latency::{Milliseconds, OfFile, Timed};
pub use predict::{Example, Found, Said};
pub use saved::Which;
