//! The runs that the cells of a plan are.

use super::control::{Control, Facts};
use super::grid::Cell;
use super::plan::SweepPlan;
use crate::config::{Layer, Resolved};
use crate::engine::Workbench;
use crate::failure::Failure;

impl SweepPlan {
    /// The run that a cell is, or a control of it: its whole config, with `own` on top, on the data that is here.
    ///
    /// # Errors
    /// Values that contradict each other; data that cannot be read; in a frozen plan a cell that would be another run
    /// by now.
    pub fn run_of(
        &self,
        cell: &Cell,
        control: Option<(Control, &Layer)>,
        own: &Layer,
        workbench: &Workbench,
    ) -> Result<Resolved, Failure> {
        let stronger: Vec<&Layer> = control.iter().map(|(_, layer)| *layer).chain([own]).collect();
        let config = match control.is_some_and(|(control, _)| control.is_whole()) {
            true => self.resolve_whole(cell, &stronger, workbench)?,
            false => self.resolve(cell, &stronger, workbench)?,
        };
        // Without its criterion, a control may need no library: then it is the same run for all criteria, run once.
        let none_used = || workbench.plugins_of(&config.run).iter().all(|plugin| plugin.linked);
        let without = control.is_some_and(|(control, _)| control != Control::Shuffled) && none_used();
        let config = if without { config.without_libraries() } else { config };
        let config = workbench.identified(config, &mut |_| ())?;
        match &cell.folder {
            Some(planned) if control.is_none() && *planned != config.folder_name() => Err(Failure::Failed(format!(
                "the plan says that this cell is {planned}, and it would be {} now: the data or a library has changed \
                 since\n  fix: have it as it was, or plan and submit the sweep again",
                config.folder_name()
            ))),
            _ => Ok(config),
        }
    }

    /// The controls of a cell that is finished: each kind, what it changes, and the run that it is.
    ///
    /// # Errors
    /// The cell's folder is damaged; those of [`Self::run_of`].
    pub fn controls_of(
        &self,
        cell: usize,
        config: &Resolved,
        facts: &Facts,
        own: &Layer,
        workbench: &Workbench,
    ) -> Result<Vec<(Control, Layer, Resolved)>, Failure> {
        let mut all = Vec::new();
        for control in self.kinds_of(cell) {
            if let Some(layer) = control.layer(config, facts) {
                let run = self.run_of(&self.cells[cell], Some((*control, &layer)), own, workbench)?;
                all.push((*control, layer, run));
            }
        }
        Ok(all)
    }
}
