//! A run that ends before a step, with a checkpoint.

use std::cell::Cell;

use secateur::options::Table;
use secateur::training::event::Event;
use secateur::training::picture::Picture;
use secateur::training::{Checkpoint, Evaluation, KeptWeights, Observer};

use crate::run::Recorder;

/// Records a run, and stops it before a step.
pub struct Until<'a> {
    recorder: Recorder<'a>,
    step: u64,
    /// The step before which it is asked next whether to stop.
    next: Cell<u64>,
    /// Whether it was stopped there.
    reached: Cell<bool>,
    /// The checkpoint of that step.
    pub taken: Option<Vec<u8>>,
}

impl<'a> Until<'a> {
    /// Stops before this step.
    pub fn new(recorder: Recorder<'a>, step: u64) -> Self {
        Self { recorder, step, next: Cell::new(0), reached: Cell::new(false), taken: None }
    }

    /// Shows how far loading the data has come.
    pub fn loading(&mut self, progress: Option<secateur::data::LoadProgress>) {
        self.recorder.loading(progress);
    }

    /// Takes the progress display off the screen.
    pub fn clear_screen(&self) {
        self.recorder.clear_screen();
    }
}

impl Observer for Until<'_> {
    fn event(&mut self, event: &Event) -> secateur::Result<()> {
        if let Event::Start { step, .. } = event {
            self.next.set(*step);
        }
        self.recorder.event(event)
    }

    /// It is asked once before each step, in order.
    fn should_stop(&self) -> bool {
        let next = self.next.get();
        self.next.set(next + 1);
        self.reached.set(next >= self.step);
        self.recorder.should_stop() || self.reached.get()
    }

    fn should_leave(&self) -> bool {
        self.recorder.should_stop()
    }

    fn wants_checkpoint(&self) -> bool {
        self.recorder.wants_checkpoint()
    }

    fn pictures(&self) -> usize {
        0
    }

    fn picture(&mut self, _picture: &Picture) -> secateur::Result<()> {
        Ok(())
    }

    fn pruned(&mut self, nth: usize, kept: &mut dyn Iterator<Item = KeptWeights<'_>>) -> secateur::Result<()> {
        self.recorder.pruned(nth, kept)
    }

    fn validated(
        &mut self,
        found: &Evaluation,
        network: &dyn Fn(Table) -> secateur::Result<Vec<u8>>,
    ) -> secateur::Result<()> {
        self.recorder.validated(found, network)
    }

    fn boundary<'a>(
        &mut self,
        stopping: bool,
        take: &dyn Fn(&str) -> secateur::Result<Checkpoint<'a>>,
    ) -> secateur::Result<()> {
        if stopping && self.reached.get() {
            self.taken = Some(take(self.recorder.name())?.to_bytes());
            return Ok(());
        }
        self.recorder.boundary(stopping, take)
    }
}
