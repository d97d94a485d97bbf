//! Who is told what happens in a run.

use super::Evaluation;
use crate::error::Result;
use crate::options::Table;
use crate::state::Checkpoint;
use crate::tensor::Shape;
use crate::training::event::Event;
use crate::training::picture::Picture;

/// Which of a parameter's weights a pruning step left.
#[derive(Debug, Clone, Copy)]
pub struct KeptWeights<'a> {
    /// The parameter.
    pub name: &'a str,
    /// Its shape.
    pub shape: Shape,
    /// Whether each weight is kept, in row-major order.
    pub keep: &'a [bool],
}

/// Takes a run's events, and may ask it to stop.
pub trait Observer {
    /// One fact.
    ///
    /// # Errors
    /// Ends the run: a log that cannot be written must not go on unnoticed.
    fn event(&mut self, event: &Event) -> Result<()>;

    /// Whether to stop before the next step.
    fn should_stop(&self) -> bool {
        false
    }

    /// Whether to leave an evaluation under way, asked between its batches; the run then stops, and does again what it was
    /// at. For one that stops at a step of its own choice, which is none within a step.
    fn should_leave(&self) -> bool {
        self.should_stop()
    }

    /// How many held-out examples it wants to see in pictures; none cost nothing. Pictures change no bit of a run.
    fn pictures(&self) -> usize {
        0
    }

    /// One picture: before the first step, right before and right after a pruning step where the network is evaluated
    /// there too, and at the end, of a network and data that have something to show.
    ///
    /// # Errors
    /// Ends the run.
    fn picture(&mut self, _picture: &Picture) -> Result<()> {
        Ok(())
    }

    /// What a pruning step left, of every parameter that has a mask; `nth` counts pruning steps from 0. Who does not look
    /// at it has no cost.
    ///
    /// # Errors
    /// Ends the run.
    fn pruned(&mut self, _nth: usize, _kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> Result<()> {
        Ok(())
    }

    /// Whether it wants a checkpoint before the next step; asked before every one.
    fn wants_checkpoint(&self) -> bool {
        false
    }

    /// The network was measured on the validation split at the end of an epoch, where there is such a split. `network`
    /// makes its file, see [`ModelFile`](crate::network::model_file::ModelFile), with the sections of a config that it is
    /// given: `model`, and where one takes part `compressor`.
    ///
    /// # Errors
    /// Ends the run.
    fn validated(&mut self, _found: &Evaluation, _network: &dyn Fn(Table) -> Result<Vec<u8>>) -> Result<()> {
        Ok(())
    }

    /// A point from which the run can go on: after every epoch but the last, before a step where one is wanted, and
    /// where it stops because it was asked to. `take` makes a checkpoint for
    /// [`Run::resume`](super::Run::resume), under the name that identifies the run.
    ///
    /// # Errors
    /// Ends the run.
    fn boundary<'a>(&mut self, _stopping: bool, _take: &dyn Fn(&str) -> Result<Checkpoint<'a>>) -> Result<()> {
        Ok(())
    }
}

/// Lets everything pass.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _event: &Event) -> Result<()> {
        Ok(())
    }
}
