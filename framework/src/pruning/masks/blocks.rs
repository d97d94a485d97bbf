//! Rectangular blocks of a weight, seen as a matrix of its first axis by all others.

use crate::backend::Backend;
use crate::error::Result;
use crate::tensor::{Shape, Tensor};

/// The blocks of one weight, row by row; those at an edge that the size does not divide are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pruning) struct Blocks {
    rows: usize,
    columns: usize,
    block: [usize; 2],
}

impl Blocks {
    /// The blocks of a weight of this shape, each of `block` rows and columns.
    pub fn new(shape: &Shape, block: [usize; 2]) -> Self {
        let rows = shape.first().copied().unwrap_or(1);
        Self { rows, columns: shape.count() / rows.max(1), block }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.block[0]) * self.in_a_row()
    }

    fn in_a_row(&self) -> usize {
        self.columns.div_ceil(self.block[1])
    }

    /// The block of a weight.
    pub fn of(&self, weight: usize) -> usize {
        let (row, column) = (weight / self.columns, weight % self.columns);
        row / self.block[0] * self.in_a_row() + column / self.block[1]
    }

    /// Which blocks a mask of weights keeps: those of which it keeps any.
    pub fn kept(&self, keep: &[bool]) -> Vec<bool> {
        let mut blocks = vec![false; self.count()];
        keep.iter().enumerate().filter(|(_, keep)| **keep).for_each(|(i, _)| blocks[self.of(i)] = true);
        blocks
    }

    /// One or zero for every weight, as its block stays or goes.
    pub fn marks<B: Backend>(&self, device: &B, keep: &[bool]) -> Result<Tensor<B>> {
        let n = self.rows * self.columns;
        Tensor::from_vec(device, (0..n).map(|i| f32::from(u8::from(keep[self.of(i)]))).collect(), [n])
    }
}

/// The most weights that so many blocks of a weight of this shape hold, by their number from none to all: those at an edge
/// come last.
pub(crate) fn weights_by_blocks(shape: &Shape, block: [usize; 2]) -> Vec<usize> {
    let blocks = Blocks::new(shape, block);
    let mut sizes = vec![0; blocks.count()];
    (0..shape.count()).for_each(|weight| sizes[blocks.of(weight)] += 1);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = 0;
    std::iter::once(0)
        .chain(sizes.into_iter().map(|size| {
            sum += size;
            sum
        }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;

    #[test]
    fn so_many_blocks_hold_so_many_weights_at_most() {
        // Blocks of 4, 4, 2 weights above and 2, 2, 1 below.
        assert_eq!(weights_by_blocks(&Shape::from([3, 5]), [2, 2]), [0, 4, 8, 10, 12, 14, 15]);
        assert_eq!(weights_by_blocks(&Shape::from([4, 4]), [2, 2]), [0, 4, 8, 12, 16]);
    }

    #[test]
    fn edges_that_do_not_divide_are_smaller_blocks() {
        let blocks = Blocks::new(&Shape::from([3, 5]), [2, 2]);
        let of: Vec<usize> = (0..15).map(|i| blocks.of(i)).collect();
        assert_eq!(of, [0, 0, 1, 1, 2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 5]);
        assert_eq!(blocks.count(), 6);
        let keep = [true, false, true, false, true, false];
        let marks = blocks.marks(&Cpu::default(), &keep).unwrap().to_vec();
        assert_eq!(marks, of.iter().map(|b| if keep[*b] { 1.0 } else { 0.0 }).collect::<Vec<_>>());
        assert_eq!(blocks.kept(&marks.iter().map(|m| *m != 0.0).collect::<Vec<_>>()), keep);
        assert_eq!(Blocks::new(&Shape::from([2, 3, 2, 2]), [1, 4]).count(), 6, "a convolution is out by all else");
    }
}
