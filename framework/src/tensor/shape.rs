//! Extents that are known when the program runs.

use crate::error::Result;
use std::fmt;
use std::ops::Deref;

/// Extent of every axis; up to five axes, row-major.
#[derive(Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub struct Shape {
    dims: [usize; Shape::MAX],
    rank: u8,
}

impl Shape {
    /// Most axes a tensor can have.
    pub const MAX: usize = 5;

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// The same shape with one axis of another extent.
    pub fn with(mut self, axis: usize, extent: usize) -> Self {
        self.dims[..self.rank as usize][axis] = extent;
        self
    }

    /// Elements before, along and after `axis`: the shape seen as `[outer, n, inner]`.
    pub fn around(&self, axis: usize) -> (usize, usize, usize) {
        (self[..axis].iter().product(), self[axis], self[axis + 1..].iter().product())
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }
}

impl From<&[usize]> for Shape {
    /// # Panics
    /// With more than [`Shape::MAX`] axes.
    fn from(axes: &[usize]) -> Self {
        let mut dims = [0; Self::MAX];
        dims[..axes.len()].copy_from_slice(axes);
        Self { dims, rank: axes.len() as u8 }
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = String;
    fn try_from(axes: Vec<usize>) -> Result<Self, String> {
        if axes.len() > Self::MAX {
            return Err(format!("{axes:?} has {} axes; a tensor has at most {}", axes.len(), Self::MAX));
        }
        Ok(Self::from(&axes[..]))
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        shape.to_vec()
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(axes: [usize; N]) -> Self {
        Self::from(&axes[..])
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self[..])
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self[..])
    }
}
