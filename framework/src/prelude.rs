//! Everything a plugin needs: `use secateur::prelude::*;`

pub use crate::autograd::{Grads, Tape};
pub use crate::backend::{Act, Backend, Cpu, Reduce};
pub use crate::choices;
pub use crate::data::{DataFiles, DataOrigin, DataSource, Examples, Folders, LoadProgress, Pool, TestExamples};
pub use crate::error::{Error, OptionError, Result};
pub use crate::network::compressor::{Compressor, Stage, Tokens};
pub use crate::network::forward::Forward;
pub use crate::network::forward::Needs;
pub use crate::network::layout::{Layout, LayoutBuilder, Member, Role, Sizes, UnitGroup, Width};
pub use crate::network::model::{Batch, InputSpec, Model, Output};
pub use crate::options;
pub use crate::plugins::registry::PluginSpec;
pub use crate::pruning::criterion::{Criterion, Observation, Probe, Rounding, Scores, Setup, Target, Window};
pub use crate::pruning::schedule::{Amount, RunLength, Schedule, Sparsity, Step};
pub use crate::register;
pub use crate::seed::Seed;
pub use crate::state::State;
pub use crate::tensor::{Shape, Tensor};
pub use serde::{Deserialize, Serialize};
