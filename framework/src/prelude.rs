//! Everything a plugin needs: `use secateur::prelude::*;`

pub use crate::autograd::{Grads, Tape};
pub use crate::backend::vision::Heads;
pub use crate::backend::{Act, Backend, Contribution, Cpu, Reduce};
pub use crate::choices;
pub use crate::compressor::{Compressor, Stage, Tokens};
pub use crate::criterion::{
    Criterion, Needs, Observation, Probe, Rescore, Rescored, RescoredOptions, Rounding, Scores, Setup, State, Target,
    Window,
};
pub use crate::error::{Error, OptionError, Result};
pub use crate::forward::{Forward, Windows};
pub use crate::model::{Batch, InputSpec, Model, Output};
pub use crate::options;
pub use crate::options::Checks;
pub use crate::register;
pub use crate::registry::PluginSpec;
pub use crate::schedule::{Amount, RunLength, Schedule, Step};
pub use crate::seed::Seed;
pub use crate::structure::{Init, Layout, LayoutBuilder, Member, ParamSpec, Role, Sizes, UnitGroup, Width};
pub use crate::tensor::{Shape, Tensor};
pub use serde::{Deserialize, Serialize};
