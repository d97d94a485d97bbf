//! Everything a plugin needs: `use secateur::prelude::*;`

pub use crate::autograd::{Call, Grads, Mapping, Operation, Part, Tape};
pub use crate::backend::{Act, Backend, Contribution, Cpu, Heads, Reduce};
pub use crate::choices;
pub use crate::data::{DataFiles, DataOrigin, DataSource, Examples, Folders, LoadProgress, Pool, TestExamples};
pub use crate::error::{Error, OptionError, Result};
pub use crate::network::compressor::{Compressor, NoCompression, Stage, Tokens};
pub use crate::network::forward::{ConvOptions, Forward, Needs, Norms, Trace};
pub use crate::network::init::Init;
pub use crate::network::layout::{Layout, LayoutBuilder, Member, ParamSpec, Role, Sizes, UnitGroup, Width};
pub use crate::network::model::{Batch, InputSpec, Model, Output};
pub use crate::network::params::Masking;
pub use crate::options;
pub use crate::options::{Checks, OneOrList, PluginSpec};
pub use crate::plugins::registry::{Rescore, Rescored, RescoredOptions};
pub use crate::pruning::Normalizer;
pub use crate::pruning::criterion::{
    Criterion, Cut, Objective, Observation, Probe, ProbeInput, ProbeMode, Question, Refit, Rounding, Scores, Setup,
    Target, Window,
};
pub use crate::pruning::measure::Indicators;
pub use crate::pruning::schedule::{Amount, Measured, RunLength, Schedule, Step};
pub use crate::register;
pub use crate::seed::{Seed, Seeds};
pub use crate::state::State;
pub use crate::tensor::{Shape, Tensor};
pub use serde::{Deserialize, Serialize};
