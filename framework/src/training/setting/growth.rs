//! What of `[grow]` cannot act in this run, or acts otherwise than one may think.

use super::Setting;
use crate::backend::Backend;
use crate::pruning::Remark;
use crate::seed::Seed;

impl<B: Backend> Setting<'_, B> {
    /// The randomness of the criterion by which weights grow: another than that of the one by which they go.
    pub fn growth_seed(&self) -> Seed {
        self.seeds.pruner.derive("grow", &[])
    }

    /// What is known of growth before the first step.
    pub(super) fn growth_notes(&self) -> Vec<Remark> {
        if !self.grow.is_on() {
            return vec![];
        }
        let (mut all, grow, timeline) = (vec![], &self.grow, &self.timeline);
        let grows = |step| grow.fraction_at(Some(step), &self.length) > 0.0;
        if !timeline.prunes.iter().any(|(step, _)| grows(*step)) {
            let text = format!(
                "grow.fraction = {} does nothing here: no pruning step comes between the first update and grow.until = \
                 {} of the run.",
                grow.fraction, grow.until
            );
            all.push(Remark::new(&["grow.fraction", "grow.until", "schedule.name"], text));
        }
        if let Some(start) = grow.start.as_ref().filter(|_| timeline.start.is_none()) {
            let text = format!(
                "grow.start = {} does nothing here: the schedule does not prune before the first update, as one does \
                 that begins at 0 of the run.",
                toml::Value::Table(start.0.clone())
            );
            all.push(Remark::new(&["grow.start", "schedule.name"], text));
        }
        if timeline.rewinds() {
            let text = "Weights that grow do not begin at zero here: the schedule rewinds, and they come back as they \
                        were at the step to which it goes.";
            all.push(Remark::new(&["grow.fraction", "schedule.name"], text));
        }
        all
    }
}
