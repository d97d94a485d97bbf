//! Draws pictures: images in rows, and what the network makes of each one below it.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{ImageFormat, Rgba, RgbaImage};
use secateur::training::picture::{Picture, Shows};

/// Pixels between an image and what is made of it; three times as many between rows.
pub(super) const GAP: usize = 4;

/// The picture as a PNG file.
pub fn png(picture: &Picture) -> Vec<u8> {
    encoded(&draw(picture))
}

/// Pixels as a PNG file.
pub(super) fn encoded(pixels: &RgbaImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let written = pixels.write_to(&mut file, ImageFormat::Png);
    written.expect("memory takes every byte, and the picture has pixels");
    file.into_inner()
}

fn draw(picture: &Picture) -> RgbaImage {
    let [_, height, width] = picture.shape;
    let (side, columns) = match picture.shows {
        Shows::Reconstructions(_) => (64, 8),
        // Outlines must be told from the pixels.
        Shows::Groups { .. } => (256, 4),
    };
    let zoom = (side / height.max(width).max(1)).max(1);
    let (wide, high) = (width * zoom + GAP, height * zoom + GAP);
    let (columns, rows) = (picture.count().min(columns), picture.count().div_ceil(columns));
    let block = 2 * high + 2 * GAP;
    // What is between the images is transparent: a page behind them may be light or dark.
    let (across, down) = (columns * wide - GAP, rows * block - 3 * GAP);
    let mut canvas = RgbaImage::new(across.max(1) as u32, down.max(1) as u32);
    for i in 0..picture.count() {
        let (left, top) = (i % columns * wide, i / columns * block);
        let mut paint = |top: usize, colour: &dyn Fn(usize, usize) -> [u8; 3]| {
            for y in 0..height * zoom {
                for x in 0..width * zoom {
                    let [r, g, b] = colour(y, x);
                    canvas.put_pixel((left + x) as u32, (top + y) as u32, Rgba([r, g, b, 255]));
                }
            }
        };
        let original = Tile::new(&picture.images, i, picture.shape);
        paint(top, &|y, x| original.at(y / zoom, x / zoom).map(byte));
        match &picture.shows {
            Shows::Reconstructions(images) => {
                let tile = Tile::new(images, i, picture.shape);
                paint(top + high, &|y, x| tile.at(y / zoom, x / zoom).map(byte));
            }
            Shows::Groups { patch, holder } => {
                let tile = Grouped::new(&original, *patch, holder, i);
                paint(top + high, &|y, x| tile.at(y, x, zoom));
            }
        }
    }
    canvas
}

/// One image of several.
struct Tile<'a> {
    values: &'a [f32],
    shape: [usize; 3],
}

impl<'a> Tile<'a> {
    fn new(images: &'a [f32], index: usize, shape: [usize; 3]) -> Self {
        let item: usize = shape.iter().product();
        Self { values: &images[index * item..][..item], shape }
    }

    /// Red, green and blue in [0, 1].
    fn at(&self, y: usize, x: usize) -> [f32; 3] {
        let [channels, height, width] = self.shape;
        [0, 1, 2].map(|c| self.values[(c.min(channels - 1) * height + y) * width + x])
    }
}

/// An image whose merged patches have their common mean colour, and an outline in a colour of the group's own. Patches
/// that stand for themselves stay as they are.
struct Grouped<'a> {
    image: &'a Tile<'a>,
    patch: usize,
    holder: &'a [u32],
    merged: BTreeMap<u32, Look>,
}

struct Look {
    fill: [u8; 3],
    outline: [u8; 3],
}

impl<'a> Grouped<'a> {
    fn new(image: &'a Tile<'a>, patch: usize, holders: &'a [u32], index: usize) -> Self {
        let [_, height, width] = image.shape;
        let patches = height / patch * (width / patch);
        let holder = &holders[index * patches..][..patches];
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        holder.iter().enumerate().for_each(|(i, group)| groups.entry(*group).or_default().push(i));
        groups.retain(|_, patches| patches.len() > 1);
        let per_row = width / patch;
        let mean = |patches: &[usize]| {
            let pixels = patches.iter().flat_map(|p| {
                let (top, left) = (p / per_row * patch, p % per_row * patch);
                (0..patch * patch).map(move |i| (top + i / patch, left + i % patch))
            });
            let mut sum = [0.0; 3];
            pixels.for_each(|(y, x)| image.at(y, x).iter().zip(&mut sum).for_each(|(v, s)| *s += v));
            sum.map(|s| byte(s / (patches.len() * patch * patch) as f32))
        };
        let looks = groups.iter().enumerate();
        let merged = looks.map(|(i, (group, patches))| (*group, Look { fill: mean(patches), outline: hue(i) }));
        Self { image, patch, holder, merged: merged.collect() }
    }

    /// Patches on which a point lies; none outside the image.
    fn group(&self, row: Option<usize>, column: Option<usize>) -> Option<u32> {
        let per_row = self.image.shape[2] / self.patch;
        let column = column.filter(|c| *c < per_row)?;
        self.holder.get(row? * per_row + column).copied()
    }

    fn at(&self, y: usize, x: usize, zoom: usize) -> [u8; 3] {
        let (side, line) = (self.patch * zoom, (self.patch * zoom / 16).max(1));
        let (row, column) = (y / side, x / side);
        let own = self.group(Some(row), Some(column));
        let Some(look) = own.and_then(|group| self.merged.get(&group)) else {
            return self.image.at(y / zoom, x / zoom).map(byte);
        };
        let before = |at: usize, index: usize| if at % side < line { index.checked_sub(1) } else { Some(index) };
        let after = |at: usize, index: usize| if at % side >= side - line { index + 1 } else { index };
        let rows = [before(y, row), Some(after(y, row))];
        let columns = [before(x, column), Some(after(x, column))];
        // Corners count too, so that an outline closes around a group that turns.
        let inside = rows.iter().all(|r| columns.iter().all(|c| self.group(*r, *c) == own));
        if inside { look.fill } else { look.outline }
    }
}

/// Colours far apart from one to the next: steps of the golden ratio around the circle.
fn hue(index: usize) -> [u8; 3] {
    let turn = (index as f32 * 0.618_034).fract();
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|offset| {
        let away = ((turn + offset).fract() * 6.0 - 3.0).abs() - 1.0;
        byte(0.1 + 0.9 * away.clamp(0.0, 1.0))
    })
}

fn byte(value: f32) -> u8 {
    (value * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::training::event::EvalAt;

    fn picture(count: usize, shows: Shows) -> Picture {
        let images = (0..count * 16).map(|i| i as f32 / (count * 16) as f32).collect();
        Picture { step: 0, epoch: 0, epoch_over: true, at: EvalAt::End, shape: [1, 4, 4], images, shows }
    }

    fn decoded(picture: &Picture) -> RgbaImage {
        image::load_from_memory_with_format(&png(picture), ImageFormat::Png).unwrap().to_rgba8()
    }

    #[test]
    fn reconstructions_stand_below_their_images_in_rows() {
        let found = decoded(&picture(9, Shows::Reconstructions(vec![1.0; 9 * 16])));
        assert_eq!(found.dimensions(), (8 * 68 - 4, 2 * 144 - 12));
        let gray = |x, y| found.get_pixel(x, y).0;
        let value = |i: usize| byte(i as f32 / 144.0);
        assert_eq!(gray(0, 0), [value(0), value(0), value(0), 255]);
        assert_eq!(gray(68 + 16, 16)[0], value(16 + 5), "row 1, column 1 of the second image");
        assert_eq!(gray(0, 68), [255; 4]);
        assert_eq!(gray(0, 144)[0], value(8 * 16), "the ninth begins a second row");
        assert_eq!(gray(64, 0)[3], 0, "between images there is nothing");
    }

    /// Four patches of 2x2; the left two are one token.
    #[test]
    fn merged_patches_have_their_mean_colour_and_one_outline_around_them() {
        let found = decoded(&picture(1, Shows::Groups { patch: 2, holder: vec![0, 1, 0, 2] }));
        assert_eq!(found.dimensions(), (256, 2 * 260 - 4));
        let at = |x: u32, y: u32| found.get_pixel(x, 260 + y).0;
        let mean = byte((0..4).flat_map(|r| [4 * r, 4 * r + 1]).sum::<usize>() as f32 / 8.0 / 16.0);
        assert_eq!(at(64, 64), [mean, mean, mean, 255]);
        assert_eq!(at(64, 128), at(64, 64), "no line between patches of one group");
        let outline = at(0, 64);
        assert_ne!(outline, at(64, 64));
        assert!([at(127, 64), at(64, 0), at(64, 255), at(127, 128)].iter().all(|p| *p == outline));
        assert_eq!(at(192, 64), found.get_pixel(192, 64).0, "what is not merged stays as it is");
        assert_eq!(at(128, 64), found.get_pixel(128, 64).0);
    }

    #[test]
    fn patches_that_touch_the_border_and_turn_a_corner_are_outlined() {
        let found = decoded(&picture(1, Shows::Groups { patch: 2, holder: vec![0, 0, 0, 1] }));
        let at = |x: u32, y: u32| found.get_pixel(x, 260 + y).0;
        assert_eq!(at(127, 127), at(0, 0), "the inner corner belongs to the outline");
        assert_ne!(at(64, 127), at(0, 0));
    }
}
