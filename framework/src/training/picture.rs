//! What a network makes of images, as numbers that can be drawn.

use crate::training::event::EvalAt;

/// A few held-out images, and what the network makes of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The step before it; 0 before the first one.
    pub step: u64,
    /// Its epoch, from 1.
    pub epoch: u64,
    /// Whether `step` is the last one of its epoch.
    pub epoch_over: bool,
    /// When.
    pub at: EvalAt,
    /// Channels (1 or 3), height and width of an image.
    pub shape: [usize; 3],
    /// The images one after the other, in [0, 1].
    pub images: Vec<f32>,
    /// What the network makes of them.
    pub shows: Shows,
}

/// What is seen beside the images.
#[derive(Debug, Clone, PartialEq)]
pub enum Shows {
    /// Every image as the network gives it back, in the same order and scale.
    Reconstructions(Vec<f32>),
    /// Which patches were merged.
    Groups {
        /// Side of a square patch, in pixels.
        patch: usize,
        /// For every patch of every image, row by row, the token that holds it.
        holder: Vec<u32>,
    },
}

impl Picture {
    /// Number of images.
    pub fn count(&self) -> usize {
        self.images.len() / self.shape.iter().product::<usize>().max(1)
    }
}
