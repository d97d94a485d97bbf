//! Who is told what happens in a run.

use crate::error::Result;
use crate::event::Event;

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

    /// A point from which the run can go on: after every epoch but the last, and where it stops because it was asked to.
    /// `take` makes the bytes of a checkpoint for [`Run::resume`](super::Run::resume), under the name that identifies the run.
    ///
    /// # Errors
    /// Ends the run.
    fn boundary(&mut self, _stopping: bool, _take: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<()> {
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
