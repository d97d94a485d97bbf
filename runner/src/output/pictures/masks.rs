//! What a pruning step left of the first layer that reads the images: which pixels it still looks at.

use image::{Rgba, RgbaImage};
use secateur::training::KeptWeights;

use super::draw::{GAP, encoded};

/// Filters that are drawn, and how many stand in a row.
const FILTERS: usize = 64;
const PER_ROW: usize = 16;
/// About how wide a picture of all pixels is, and that of one filter.
const SIDE: usize = 224;
const FILTER: usize = 36;

/// From no weight that is kept to the most: dark blue stands out from light and from dark pages less than its middle, so
/// that both ends are told from the page by the tiles' own frame.
const RAMP: [[f32; 3]; 3] = [[238.0, 240.0, 236.0], [74.0, 144.0, 217.0], [13.0, 32.0, 96.0]];

/// A picture of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// The file, as PNG.
    pub png: Vec<u8>,
    /// What it shows, in words.
    pub about: String,
}

/// Tiles of one size, each with a number from 0 to 1 for each of its cells.
struct Tiles {
    shape: [usize; 2],
    tiles: Vec<Vec<f32>>,
}

/// Draws the mask of one parameter, where it reads images of this shape (channels, height, width) itself: as a layer that
/// reads all pixels, as one that reads square patches, or as filters.
pub fn drawn(kept: &KeptWeights<'_>, image: &[usize]) -> Option<Mask> {
    let &[channels, height, width] = image else { return None };
    let KeptWeights { name, shape, keep } = kept;
    let dims = shape.to_vec();
    match dims[..] {
        [outputs, inputs] => {
            let patch = (2..=height.min(width)).find(|side| {
                inputs == channels * side * side && height.is_multiple_of(*side) && width.is_multiple_of(*side)
            });
            let tile = match patch {
                _ if inputs == channels * height * width => [height, width],
                Some(side) => [side, side],
                None => return None,
            };
            let mut counts = vec![0usize; inputs];
            keep.chunks(inputs)
                .for_each(|row| row.iter().zip(&mut counts).for_each(|(kept, n)| *n += usize::from(*kept)));
            let (least, most) = (counts.iter().min()?, counts.iter().max()?);
            let what = if tile == [height, width] { "pixel" } else { "pixel of a patch" };
            let of = if channels > 1 { ", each channel by itself" } else { "" };
            let about = format!("{name}: of each {what}{of}, from {least} to {most} of {outputs} weights are kept");
            let shares: Vec<f32> = counts.iter().map(|n| *n as f32 / (*most).max(1) as f32).collect();
            let tiles = shares.chunks(tile[0] * tile[1]).map(<[f32]>::to_vec).collect();
            Some(Mask { png: encoded(&Tiles { shape: tile, tiles }.draw(SIDE)), about })
        }
        [filters, inputs, rows, columns] if inputs == channels && rows * columns > 1 => {
            let plane = rows * columns;
            let share = |filter: &[bool], at: usize| {
                filter.chunks(plane).filter(|channel| channel[at]).count() as f32 / channels as f32
            };
            let tiles = keep.chunks(channels * plane).take(FILTERS);
            let tiles: Vec<Vec<f32>> = tiles.map(|filter| (0..plane).map(|at| share(filter, at)).collect()).collect();
            let left = keep.iter().filter(|kept| **kept).count();
            let shown =
                if filters > FILTERS { format!("the first {FILTERS} of {filters}") } else { format!("{filters}") };
            let about = format!("{name}: {shown} filters; {left} of {} weights are kept", keep.len());
            Some(Mask { png: encoded(&Tiles { shape: [rows, columns], tiles }.draw(FILTER)), about })
        }
        _ => None,
    }
}

impl Tiles {
    /// All tiles in rows, each about `side` pixels wide.
    fn draw(&self, side: usize) -> RgbaImage {
        let [rows, columns] = self.shape;
        let zoom = (side / rows.max(columns).max(1)).max(1);
        let (high, wide) = (rows * zoom + GAP, columns * zoom + GAP);
        let per_row = self.tiles.len().clamp(1, PER_ROW);
        let down = self.tiles.len().div_ceil(per_row).max(1);
        // What is between the tiles is transparent: a page behind them may be light or dark.
        let mut canvas = RgbaImage::new((per_row * wide - GAP) as u32, (down * high - GAP) as u32);
        for (number, tile) in self.tiles.iter().enumerate() {
            let (left, top) = (number % per_row * wide, number / per_row * high);
            for (y, x) in (0..rows * zoom).flat_map(|y| (0..columns * zoom).map(move |x| (y, x))) {
                let [r, g, b] = colour(tile[y / zoom * columns + x / zoom]);
                canvas.put_pixel((left + x) as u32, (top + y) as u32, Rgba([r, g, b, 255]));
            }
        }
        canvas
    }
}

fn colour(share: f32) -> [u8; 3] {
    let at = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f32;
    let (below, part) = ((at as usize).min(RAMP.len() - 2), at - (at as usize).min(RAMP.len() - 2) as f32);
    [0, 1, 2].map(|c| (RAMP[below][c] * (1.0 - part) + RAMP[below + 1][c] * part).round() as u8)
}

#[cfg(test)]
mod tests {
    use image::ImageFormat;

    use super::*;

    fn mask(shape: &[usize], keep: &[bool], image: &[usize]) -> Option<(RgbaImage, String)> {
        let shape = match *shape {
            [a, b] => [a, b].into(),
            [a, b, c, d] => [a, b, c, d].into(),
            _ => unreachable!(),
        };
        let Mask { png, about } = drawn(&KeptWeights { name: "first.weight", shape, keep }, image)?;
        Some((image::load_from_memory_with_format(&png, ImageFormat::Png).unwrap().to_rgba8(), about))
    }

    #[test]
    fn a_layer_that_reads_all_pixels_is_drawn_as_an_image_of_them() {
        // Two outputs on an image of 2x2: the first pixel has both, the last none.
        let keep = [true, true, false, false, true, false, true, false];
        let (picture, about) = mask(&[2, 4], &keep, &[1, 2, 2]).unwrap();
        assert_eq!(picture.dimensions(), (224, 224));
        let at = |x, y| picture.get_pixel(x, y).0[..3].to_vec();
        assert_eq!(
            [at(0, 0), at(223, 0), at(0, 223), at(223, 223)],
            [colour(1.0), colour(0.5), colour(0.5), colour(0.0)].map(|c| c.to_vec())
        );
        assert_eq!(about, "first.weight: of each pixel, from 0 to 2 of 2 weights are kept");
    }

    #[test]
    fn patches_and_filters_are_drawn_and_a_layer_that_reads_no_image_is_not() {
        let (picture, about) = mask(&[1, 12], &[true; 12], &[3, 4, 6]).unwrap();
        assert_eq!(picture.dimensions(), (3 * 228 - 4, 224), "three channels of a patch of 2x2");
        assert!(about.contains("of each pixel of a patch, each channel by itself, from 1 to 1 of 1"), "{about}");
        let keep: Vec<bool> = (0..70 * 9).map(|i| i % 9 == 4).collect();
        let (picture, about) = mask(&[70, 1, 3, 3], &keep, &[1, 8, 8]).unwrap();
        assert_eq!(picture.dimensions(), (16 * 40 - 4, 4 * 40 - 4));
        assert_eq!(picture.get_pixel(18, 18).0[..3], colour(1.0));
        assert_eq!(picture.get_pixel(0, 0).0[..3], colour(0.0));
        assert_eq!(about, "first.weight: the first 64 of 70 filters; 70 of 630 weights are kept");
        assert!(mask(&[2, 5], &[true; 10], &[1, 2, 2]).is_none());
        assert!(mask(&[2, 3, 1, 1], &[true; 6], &[3, 2, 2]).is_none(), "a filter of one pixel");
    }
}
