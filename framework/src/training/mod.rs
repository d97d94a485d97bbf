//! Training: data, forward, backward, observe, update, prune. [`Run::execute`] is the loop; it knows no plugin by name.

mod checkpoint;
mod config;
mod evaluate;
pub mod event;
mod observer;
pub mod picture;
mod pictures;
pub(crate) mod probe;
mod prune_step;
mod reporter;
mod run;
mod setting;
mod step;
mod summary;
mod timeline;

pub use crate::state::Checkpoint;
pub use checkpoint::{Kept, checkpoint_name, checkpoint_step};
pub use config::{Loss, LrSchedule, Optimizer, TrainConfig};
pub use evaluate::{Answer, Evaluation, Fit, Prediction, Predictor, Task, evaluate};
pub use observer::{KeptWeights, Observer, Silent};
pub use run::{Outcome, Run};
pub(crate) use step::Pass;
pub use step::next_batch;
pub use summary::{Inference, Summary};
pub use timeline::Timeline;
