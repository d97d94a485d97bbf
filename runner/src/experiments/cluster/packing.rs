//! How many cells make a task: one that is over in a second costs a scheduler more than it is worth.

/// What is known of the cells, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Packing {
    /// Cells that are to run.
    pub cells: usize,
    /// Seconds that one took, where some have run.
    pub seconds: Option<f64>,
    /// Cells that a task runs side by side.
    pub at_a_time: usize,
    /// Minutes that a task should be worth.
    pub chunk: f64,
    /// Tasks that may run side by side.
    pub parallel: Option<usize>,
    /// Tasks that the site takes.
    pub room: usize,
}

/// Where nobody knows how long a cell takes, this many tasks are many enough to run side by side, and few enough for a
/// scheduler.
const UNKNOWN: usize = 100;
/// As many tasks as these are made where they are still worth a minute, so that they can run side by side.
const SIDE_BY_SIDE: usize = 16;

impl Packing {
    /// How many tasks to make: at least one, and no more than cells.
    pub fn tasks(&self) -> usize {
        let wanted = match self.seconds {
            None => UNKNOWN,
            Some(seconds) => {
                let total = seconds * self.cells as f64 / self.at_a_time.max(1) as f64;
                let worth = |seconds: f64| (total / seconds).ceil() as usize;
                worth(self.chunk * 60.0).max(worth(60.0).min(self.parallel.unwrap_or(SIDE_BY_SIDE)))
            }
        };
        // What runs side by side in a task belongs together.
        let wanted = wanted.min(self.cells.div_ceil(self.at_a_time.max(1)));
        // The last tasks have fewer cells, and never none.
        let each = self.cells.div_ceil(wanted.clamp(1, self.cells.max(1)).min(self.room.max(1)));
        self.cells.div_ceil(each.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_worth_minutes_and_fit_the_site() {
        let packing =
            Packing { cells: 1000, seconds: Some(1.0), at_a_time: 1, chunk: 10.0, parallel: None, room: 10_000 };
        assert_eq!(packing.tasks(), 16, "a minute each");
        assert_eq!(Packing { parallel: Some(4), ..packing }.tasks(), 4);
        assert_eq!(Packing { seconds: Some(60.0), ..packing }.tasks(), 100, "ten minutes each");
        assert_eq!(Packing { seconds: Some(3600.0), ..packing }.tasks(), 1000, "one cell each");
        assert_eq!(Packing { seconds: Some(3600.0), room: 300, ..packing }.tasks(), 250, "four each");
        assert_eq!(Packing { seconds: None, ..packing }.tasks(), 100);
        assert_eq!(Packing { cells: 3, seconds: None, ..packing }.tasks(), 3);
        assert_eq!(Packing { cells: 20, ..packing }.tasks(), 1);
        assert_eq!(Packing { seconds: Some(60.0), at_a_time: 4, ..packing }.tasks(), 25);
    }
}
