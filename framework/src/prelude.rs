//! Everything a plugin needs: `use secateur::prelude::*;`

pub use crate::autograd::{Grads, Tape};
pub use crate::backend::{Act, Backend, Cpu, Reduce};
pub use crate::choices;
pub use crate::compressor::{Compressor, Stage, Tokens};
pub use crate::criterion::{Criterion, Needs, Observation, Probe, Rounding, Scores, Setup, State, Target, Window};
pub use crate::error::{Error, OptionError, Result};
pub use crate::forward::Forward;
pub use crate::model::{Batch, InputSpec, Model, Output};
pub use crate::options;
pub use crate::register;
pub use crate::registry::PluginSpec;
pub use crate::schedule::{Amount, RunLength, Schedule, Sparsity, Step};
pub use crate::seed::Seed;
pub use crate::structure::{Layout, LayoutBuilder, Member, Role, Sizes, UnitGroup, Width};
pub use crate::tensor::{Shape, Tensor};
pub use serde::{Deserialize, Serialize};
