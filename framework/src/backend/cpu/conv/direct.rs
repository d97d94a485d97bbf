//! How padded images stand in memory for the direct convolution.

use super::layer::Conv;
use super::panels::copy_row;
use super::tiles::{SLACK, product_tile};
use crate::backend::Precision;
use crate::backend::cpu::common::simd::LANES;

/// Distances and lengths of padded images.
pub(super) struct Direct {
    /// Distance of rows, of images as of gradients.
    pub pitch: usize,
    /// Outputs of a filter, those between the rows included.
    pub positions: usize,
    /// Length of a padded image.
    pub x_len: usize,
    /// Distance of a padded image's channels.
    pub x_plane: usize,
    /// Length of a padded output gradient.
    pub dy_len: usize,
    /// Distance of a padded output gradient's filters.
    pub dy_plane: usize,
    /// Where a padded output gradient has its first element.
    pub dy_first: usize,
    /// Where in a padded image each element of the first window is.
    pub x_offsets: Vec<usize>,
    /// Where in a padded output gradient each element of the first window is.
    pub dy_offsets: Vec<usize>,
}

impl Direct {
    /// The direct form of a convolution, if it has one: f32, one group, stride 1, and a padding that does not reach
    /// beyond the kernel; rows not much shorter than the kernel.
    pub(super) fn of(conv: &Conv<'_>) -> Option<Direct> {
        if conv.groups > 1 {
            return None;
        }
        let p = &conv.patches;
        let (kh, kw) = p.kernel;
        let (down, across) = p.windows();
        let (above, left) = ((kh - 1).checked_sub(p.padding)?, (kw - 1).checked_sub(p.padding)?);
        let pitch = (p.width + 2 * p.padding).max(across + 2 * left);
        if conv.precision != Precision::F32 || p.stride != 1 || pitch > 2 * across {
            return None;
        }
        let (x_plane, dy_plane) = ((p.height + 2 * p.padding) * pitch, (down + 2 * above) * pitch + left + LANES);
        let offsets = |channels: usize, plane: usize| {
            (0..channels * kh * kw).map(|k| k / (kh * kw) * plane + k / kw % kh * pitch + k % kw).collect()
        };
        Some(Direct {
            pitch,
            positions: down * pitch,
            x_len: p.channels * x_plane + kw + SLACK,
            x_plane,
            dy_len: conv.filters * dy_plane + kw + SLACK,
            dy_plane,
            dy_first: above * pitch + left,
            x_offsets: offsets(p.channels, x_plane),
            dy_offsets: offsets(conv.filters, dy_plane),
        })
    }

    /// Distance of filters in the sums of the tiles.
    pub(super) fn raw_stride(&self, positions: usize) -> usize {
        positions.next_multiple_of(product_tile().1)
    }

    /// Length of the sums of the tiles.
    pub(super) fn raw_len(&self, channels: usize, positions: usize) -> usize {
        channels * self.raw_stride(positions)
    }

    /// Copies an image into the middle of `padded`, whose border is zero.
    pub(super) fn pad_input(&self, conv: &Conv<'_>, x: &[f32], padded: &mut [f32]) {
        let p = &conv.patches;
        for (x, plane) in x.chunks(p.height * p.width).zip(padded.chunks_mut(self.x_plane)) {
            let rows = plane[p.padding * self.pitch + p.padding..].chunks_mut(self.pitch);
            for (x, row) in x.chunks(p.width).zip(rows) {
                copy_row(&mut row[..p.width], x);
            }
        }
    }
}
