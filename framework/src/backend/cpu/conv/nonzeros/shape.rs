//! Where the nonzeros of a convolution's weight find what they are multiplied by.

use super::super::phases::Phases;
use super::kernel::WIDEST;
use crate::backend::Patches;
use crate::backend::cpu::common::Grad;
use crate::backend::cpu::common::sparse::Pattern;

/// For each row of a result the nonzeros that it adds up, and where each takes its row of vectors.
pub(super) struct Rows {
    /// Where each row ends among the nonzeros.
    pub ends: Vec<u32>,
    /// Where each nonzero's row of vectors begins.
    pub offsets: Vec<u32>,
    /// The largest of these.
    pub furthest: usize,
}

impl Rows {
    fn new(ends: Vec<u32>, offsets: Vec<u32>) -> Self {
        let furthest = offsets.iter().copied().max().unwrap_or(0) as usize;
        Self { ends, offsets, furthest }
    }

    /// Rows.
    pub fn count(&self) -> usize {
        self.ends.len()
    }
}

/// Distances and lengths: of an image with its channels dealt out into phases, and of what lies under its windows, a
/// plane for each filter, with zeros before it and between its rows.
pub(super) struct Shape {
    pub patches: Patches,
    pub phases: Phases,
    /// Filters of a convolution, channels of a transposed convolution's input.
    pub filters: usize,
    /// Positions of a plane from its first window to its last, those between rows included.
    pub positions: usize,
    /// Distance of filters in results.
    pub stride: usize,
    /// Distance of planes.
    pub plane: usize,
    /// Where in its plane the first window is.
    pub front: usize,
}

impl Shape {
    pub fn of(patches: &Patches, filters: usize) -> Self {
        let phases = Phases::of(patches);
        let (down, across) = patches.windows();
        let positions = (down * phases.pitch).saturating_sub(phases.pitch - across);
        let (stride, front) = (positions.next_multiple_of(WIDEST), phases.furthest());
        let plane = front + phases.len.max(stride);
        Self { patches: *patches, phases, filters, positions, stride, plane, front }
    }

    /// Length of a dealt out image, and room behind it for whole registers from the furthest element on.
    pub fn dealt(&self) -> usize {
        self.patches.channels * self.phases.count() * self.phases.len + self.front + self.stride
    }

    /// Length of all planes.
    pub fn planes(&self) -> usize {
        self.filters * self.plane
    }

    /// Deals all channels of an image out; `dealt` is zero where no pixel belongs.
    pub fn deal(&self, image: &[f32], dealt: &mut [f32]) {
        let (p, len) = (&self.patches, self.phases.count() * self.phases.len);
        let channels = image.chunks(p.height * p.width).zip(dealt.chunks_mut(len));
        channels.for_each(|(x, dealt)| self.phases.deal(p, x, dealt));
    }

    /// Puts all channels of an image together.
    pub fn gather(&self, dealt: &[f32], image: Grad<'_>) {
        let (p, len) = (&self.patches, self.phases.count() * self.phases.len);
        let channels = image.chunks(p.height * p.width).zip(dealt.chunks(len));
        channels.for_each(|(mut to, dealt)| self.phases.gather(p, dealt, &mut to));
    }

    /// What each filter adds up over its windows, out of dealt out images; nonzeros in rising order.
    pub fn rows(&self, pattern: &Pattern) -> Rows {
        let (depth, mut ends) = (self.patches.depth(), vec![0; self.filters]);
        let offsets = pattern.positions().iter().enumerate().map(|(nth, &at)| {
            ends[at as usize / depth] = nth as u32 + 1;
            let (row, at) = self.element(at as usize % depth);
            (row * self.phases.len + at) as u32
        });
        let offsets = offsets.collect();
        // A filter without nonzeros ends where the one before it does.
        for f in 1..self.filters {
            ends[f] = ends[f].max(ends[f - 1]);
        }
        Rows::new(ends, offsets)
    }

    /// What each phase of each channel adds up, out of planes; and which of the nonzeros in rising order each one is.
    pub fn turned(&self, pattern: &Pattern) -> (Rows, Vec<u32>) {
        let (depth, rows) = (self.patches.depth(), self.patches.channels * self.phases.count());
        let mut next = vec![0u32; rows + 1];
        pattern.positions().iter().for_each(|&at| next[self.element(at as usize % depth).0 + 1] += 1);
        (0..rows).for_each(|row| next[row + 1] += next[row]);
        let (mut offsets, mut order) = (vec![0; pattern.nonzeros()], vec![0; pattern.nonzeros()]);
        for (nth, &at) in pattern.positions().iter().enumerate() {
            let (filter, (row, at)) = (at as usize / depth, self.element(at as usize % depth));
            let place = &mut next[row];
            offsets[*place as usize] = (filter * self.plane + self.front - at) as u32;
            order[*place as usize] = nth as u32;
            *place += 1;
        }
        // Each row has moved on to its end.
        next.truncate(rows);
        (Rows::new(next, offsets), order)
    }

    /// The phase, counted over all channels, that an element of a window lies in, and where in it.
    fn element(&self, k: usize) -> (usize, usize) {
        let area = self.patches.kernel.0 * self.patches.kernel.1;
        let (phase, at) = self.phases.element(k % area);
        (k / area * self.phases.count() + phase, at)
    }
}
