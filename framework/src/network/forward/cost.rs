//! Multiplications of a forward pass, counted as it runs.

/// Multiply-accumulate operations of one forward pass, over the whole batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// With every stored weight.
    pub macs: u64,
    /// Without the weights that are masked out.
    pub macs_kept: u64,
}

impl Cost {
    /// A layer whose `kept` of `weights` weights are each used `positions` times.
    pub(super) fn add(&mut self, positions: usize, kept: usize, weights: usize) {
        self.macs += (positions * weights) as u64;
        self.macs_kept += (positions * kept) as u64;
    }

    pub(super) fn extra(&mut self, macs: usize) {
        self.macs += macs as u64;
        self.macs_kept += macs as u64;
    }
}
