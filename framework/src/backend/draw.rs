//! Batches of examples, drawn out of a pool.

use crate::error::Result;
use crate::tensor::{Device, Tensor};
use std::sync::Arc;

/// Values of all examples of a pool, one after the other; images stay bytes in memory.
#[derive(Debug, Clone)]
pub enum Values {
    /// Image bytes, channel after channel.
    U8(Arc<Vec<u8>>),
    /// Coordinates of points.
    F32(Arc<Vec<f32>>),
}

impl Values {
    /// Number of stored values.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One example of a batch and the random change it goes through: row y, column x of the result is row y + down, column
/// x + right of the stored image, outside is black; mirroring comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Pick {
    /// The example's position in the pool.
    pub index: u32,
    /// Rows that the window moves down.
    pub down: i32,
    /// Columns that the window moves right.
    pub right: i32,
    /// 1 where the window is mirrored, else 0.
    pub flip: u32,
}

/// A batch to be drawn out of a pool.
#[derive(Debug, Clone)]
pub struct Picks<'a> {
    /// The examples that are picked, in order.
    pub examples: Vec<Pick>,
    /// Shape of one example.
    pub shape: &'a [usize],
    /// Scale and shift of each channel: input = stored * scale + shift.
    pub channels: Vec<(f32, f32)>,
}

/// Drawing of batches on a device.
pub trait DrawOps: Device {
    /// A pool of examples on the device.
    type Examples: Clone + Send + Sync + 'static;

    /// What the device needs to draw batches of these examples itself; `None` where they are better drawn on the host.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn examples(&self, values: &Values) -> Result<Option<Self::Examples>>;
    /// The picked examples, normalised and changed: `[picks, shape...]`.
    fn draw(&self, from: &Self::Examples, picks: &Picks<'_>) -> Result<Tensor<Self>>;
}
