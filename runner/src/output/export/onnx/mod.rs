//! Networks in ONNX.

mod lower;
mod model;
mod run;
mod tokens;

pub use lower::lower;
pub use model::OnnxModel;
pub use run::{Array, run};
