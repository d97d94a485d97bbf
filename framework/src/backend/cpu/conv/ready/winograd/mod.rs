//! Convolution under windows of 3x3 at stride 1 with fewer products: Winograd's minimal filtering F(2x2, 3x3). Passes that
//! train turn the filters of each step anew.
//!
//! A tile of 2x2 outputs is Y = A^T [(G g G^T) * (B^T d B)] A of a filter g and the 4x4 pixels d that it sees: 16 products for
//! each channel in place of 36, summed over the channels before A (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2016, section 4.1). Filters are turned once, in double precision; turning pixels and results takes additions
//! alone, so that errors stay those of the sums. Larger tiles save more and lose digits.
//!
//! The sums are 16 products of matrices, filters by channels and channels by tiles, with the register tiles of the direct
//! form. A tile's place among the others does not change its sums.

mod pixels;
mod results;

use super::spread::{FEW, PIECE, Values, by_filters, of_filters};
use crate::backend::Patches;
use crate::backend::cpu::common::{par, scratch};
use crate::backend::cpu::conv::epilogue::finish_added;
use crate::backend::cpu::conv::layer::{Conv, effective};
use crate::backend::cpu::conv::tiles::{Rows, pack, product_from, product_tile, register};
use pixels::turn_pixels;
use results::turn_back;

/// Products of a tile and a channel, and the sides of what they are in.
const PRODUCTS: usize = SIDE * SIDE;
const SIDE: usize = 4;
/// Channels and filters from which turning pixels and results is little beside the products.
const FEWEST: usize = 16;
/// Turned pixels of a group of images at most: what stays in a core's caches.
const LARGEST: usize = 1 << 19;
/// Images of a group at most.
const MOST_IMAGES: usize = 48;
/// Filters whose results are turned back together.
const FILTERS: usize = 32;
/// Parts of all channels that are turned by a thread each.
const PARTS: usize = 8;
/// Tiles across an image below which pixels and results are copied image by image within, not row by row.
const SHORT: usize = 8;
/// Numbers in the widest register, and in a line of the cache.
const LINE: usize = 16;

/// A convolution that has this form.
pub(in crate::backend::cpu::conv) struct Winograd {
    /// For each product the filters, in the order in which register tiles read them.
    packed: Vec<f32>,
    /// Images of a group.
    images: usize,
}

/// How a group of images lies in working memory.
#[derive(Clone, Copy)]
struct Layout {
    images: usize,
    /// Tiles of an image down and across.
    down: usize,
    across: usize,
    /// Tiles of a row of all images: those of a group are in the order of their rows, then of the images.
    line: usize,
    /// Tiles, and the distance of rows of them: whole registers.
    tiles: usize,
    stride: usize,
    /// Distance of channels. A line more than their products, so that those of all channels do not share a few places of the
    /// cache.
    channel: usize,
}

impl Layout {
    fn of(p: &Patches, images: usize) -> Self {
        let (down, across) = tiles(p);
        let (line, width) = (images * across, register());
        let tiles = down * line;
        // A register that begins in the last row may reach beyond it.
        let reach = if line < width { tiles - line + width } else { tiles };
        let stride = reach.next_multiple_of(width);
        Self { images, down, across, line, tiles, stride, channel: PRODUCTS * stride + LINE }
    }

    /// Length of the pixels of a channel, by the rows and the columns in which tiles see them; a register more.
    fn dealt(&self) -> usize {
        (2 * self.down + 2) * SIDE * self.line + LINE
    }
}

/// Tiles down and across.
fn tiles(p: &Patches) -> (usize, usize) {
    let (down, across) = p.windows();
    (down.div_ceil(2), across.div_ceil(2))
}

impl Winograd {
    /// The form of a convolution that has it: windows of 3x3 at stride 1, one group, enough channels and filters, and images
    /// whose turned pixels stay in the cache.
    pub fn of(conv: &Conv<'_>) -> Option<Self> {
        let (images, channels) = (group(conv)?, conv.patches.channels);
        let weight = effective(conv.weight, conv.mask);
        let mut turned = vec![[0.0; PRODUCTS]; conv.filters * channels];
        let filters = turned.chunks_mut(channels).zip(weight.chunks(9 * channels));
        par::for_each(100 * weight.len(), filters, |(turned, filter)| {
            turned.iter_mut().zip(filter.as_chunks::<9>().0).for_each(|(turned, g)| *turned = turn_filter(g));
        });
        let packed = par::map(8 * PRODUCTS * turned.len(), 0..PRODUCTS, |at| {
            let mut packed = Vec::new();
            pack(conv.filters, channels, &mut packed, |f, c| turned[f * channels + c][at]);
            packed
        });
        Some(Self { packed: packed.concat(), images })
    }

    /// Whether a convolution has this form, and it is worth it for an image alone, and so for any batch: results of an image
    /// then do not depend on those beside it.
    pub fn is_for_any_batch(conv: &Conv<'_>) -> bool {
        let (down, across) = tiles(&conv.patches);
        group(conv).is_some() && worth(down * across, conv.windows())
    }

    /// Whether a batch has tiles enough: registers are filled, and turned filters are more to read than filters are.
    pub fn pays(&self, conv: &Conv<'_>) -> bool {
        let (down, across) = tiles(&conv.patches);
        let images = conv.batch.min(self.images);
        worth(images * down * across, images * conv.windows())
    }

    /// The results of a batch, and the places of maxima where they are pooled and these are wanted; all of `y` is
    /// overwritten.
    pub fn forward(&self, conv: &Conv<'_>, (x, added, y): Values<'_>, argmax: Option<&mut [u8]>) {
        let (image, out) = (conv.patches.image(), conv.output_len());
        let images = self.images.min(conv.batch);
        let (groups, flops) = (conv.batch.div_ceil(images), conv.flops());
        let layout = Layout::of(&conv.patches, images);
        let pieces = x.chunks(images * image).zip(y.chunks_mut(images * out));
        let argmax = par::chunks_mut_or_none(argmax, images * out, groups);
        let pieces = pieces.zip(par::chunks_or_none(added, images * out, groups).zip(argmax));
        if groups >= FEW {
            par::for_each(flops, pieces, |(values, beside)| self.group(conv, layout, 0, values, beside));
        } else {
            pieces.for_each(|(values, beside)| self.group(conv, layout, flops / groups, values, beside));
        }
    }

    /// The results of a group of images, of so many operations if they are to be shared out to the threads.
    fn group(
        &self,
        conv: &Conv<'_>,
        layout: Layout,
        flops: usize,
        (x, y): (&[f32], &mut [f32]),
        beside: (Option<&[f32]>, Option<&mut [u8]>),
    ) {
        let (channels, across, window) = (conv.patches.channels, conv.patches.windows().1, conv.windows());
        // The last group may have fewer images than others; the rest of their tiles is not looked at.
        let tile = product_tile().0;
        let some = (conv.filters * PIECE).div_ceil(flops.max(1)).min(FILTERS).next_multiple_of(tile);
        let some = if flops == 0 { FILTERS } else { some };
        scratch::aligned(channels * layout.channel, |turned| {
            let few = if flops == 0 { channels } else { channels.div_ceil(PARTS) };
            par::for_each(flops, turned.chunks_mut(few * layout.channel).enumerate(), |(i, turned)| {
                turn_pixels(&conv.patches, layout, x, i * few, turned);
            });
            let (turned, offsets) = (&*turned, (0..channels).map(|c| c * layout.channel).collect::<Vec<_>>());
            let pieces = by_filters(conv, some, beside, y).into_iter().enumerate();
            par::for_each(flops, pieces, |(i, images)| {
                let part = of_filters(conv, i * some, some);
                let (rows, stride) = (part.filters.next_multiple_of(tile), layout.stride);
                scratch::aligned(PRODUCTS * rows * stride, |sums| {
                    let all = self.packed.chunks(self.packed.len() / PRODUCTS);
                    for (at, (sums, packed)) in sums.chunks_mut(rows * stride).zip(all).enumerate() {
                        let packed = &packed[i * some * channels..][..rows * channels];
                        let rows = Rows { data: sums, stride, first: 0 };
                        product_from(packed, &offsets, &turned[at * stride..], layout.tiles, rows);
                    }
                    let distance = layout.images * window;
                    scratch::aligned(part.filters * distance, |raw| {
                        turn_back(&conv.patches, layout, sums, rows, raw);
                        for (image, (y, beside)) in images.into_iter().enumerate() {
                            finish_added(&part, &raw[image * window..], distance, across, y, beside);
                        }
                    });
                });
            });
        });
    }
}

/// Images of a group, of a convolution that has the form.
fn group(conv: &Conv<'_>) -> Option<usize> {
    let p = &conv.patches;
    let ((down, across), channels) = (tiles(p), p.channels);
    let each = down * across;
    let shape = p.kernel == (3, 3) && p.stride == 1 && conv.groups == 1 && p.windows().0.min(p.windows().1) > 1;
    let most = LARGEST / (PRODUCTS * channels * each).max(1);
    if !shape || channels.min(conv.filters) < FEWEST || most == 0 {
        return None;
    }
    let (most, tile) = (most.min(MOST_IMAGES), product_tile().1);
    // The fewest images that fill register tiles, or else as many as may be up to a tile.
    let full = (1..=most).find(|images| (images * each).is_multiple_of(tile));
    Some(full.unwrap_or_else(|| most.min((tile / each).max(1))))
}

/// Whether the products of so many tiles, in whole registers, are enough fewer than those of their windows.
fn worth(tiles: usize, windows: usize) -> bool {
    5 * PRODUCTS * tiles.next_multiple_of(register()) <= 4 * 9 * windows
}

/// G g G^T, row by row.
fn turn_filter(g: &[f32; 9]) -> [f32; PRODUCTS] {
    let turn = |[a, b, c]: [f64; 3]| [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c];
    let columns: [[f64; SIDE]; 3] = std::array::from_fn(|c| turn(std::array::from_fn(|r| f64::from(g[3 * r + c]))));
    let rows: [[f64; SIDE]; SIDE] = std::array::from_fn(|r| turn(std::array::from_fn(|c| columns[c][r])));
    std::array::from_fn(|at| rows[at / SIDE][at % SIDE] as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::common::testing::{assert_near, assert_same_bits, at_each_level, random, wide};
    use crate::backend::cpu::conv::tests::reference;
    use crate::backend::{Act, Precision};

    fn conv<'a>(patches: Patches, filters: usize, pool: bool, weight: &'a [f32], bias: &'a [f32]) -> Conv<'a> {
        let (bias, mask, precision) = (Some(bias), None, Precision::F32);
        Conv { batch: 1, patches, filters, groups: 1, weight, mask, bias, act: Act::None, pool, precision }
    }

    fn patches(channels: usize, (height, width): (usize, usize), padding: usize) -> Patches {
        Patches { channels, height, width, kernel: (3, 3), stride: 1, padding }
    }

    #[test]
    fn results_agree_with_the_definition() {
        // Sides even, odd and unequal, rows of many tiles and of one, without padding and with more than usual.
        let shapes = [
            (16, (8, 8), 1, 16),
            (17, (7, 9), 1, 21),
            (19, (4, 4), 1, 33),
            (16, (2, 2), 1, 33),
            (16, (3, 33), 1, 16),
            (16, (5, 4), 0, 18),
            (16, (5, 18), 2, 17),
            (16, (3, 2), 1, 16),
        ];
        at_each_level(|| {
            for (i, (channels, sides, padding, filters)) in shapes.into_iter().enumerate() {
                let patches = patches(channels, sides, padding);
                let (weight, bias) = (random(filters * patches.depth(), 1), random(filters, 2));
                for (batch, pool) in [(1, false), (2, false), (3, true), (14, false)] {
                    let conv = Conv { batch, ..conv(patches, filters, pool, &weight, &bias) };
                    // On this thread alone, which has the level.
                    if conv.flops() >= par::SERIAL_BELOW {
                        continue;
                    }
                    let winograd = Winograd::of(&conv).unwrap();
                    let x = random(batch * patches.image(), 3);
                    let mut expected = reference(&conv, &wide(&x), &wide(&weight), &wide(&bias));
                    let added = random(expected.len(), 4);
                    let added = (!pool).then_some(&added[..]);
                    expected.iter_mut().zip(added.into_iter().flatten()).for_each(|(y, a)| *y += f64::from(*a));
                    let mut y = vec![f32::NAN; expected.len()];
                    winograd.forward(&conv, (&x, added, &mut y), None);
                    assert_near(&y, &expected, 5e-6, &format!("shape {i} in a batch of {batch}"));
                }
            }
        });
    }

    #[test]
    fn an_image_has_the_same_result_alone_and_among_others_on_any_threads() {
        for (sides, batch) in [((8, 8), 40), ((4, 4), 30), ((12, 10), 3)] {
            let patches = patches(20, sides, 1);
            let (weight, bias) = (random(40 * patches.depth(), 1), random(40, 2));
            let one = conv(patches, 40, false, &weight, &bias);
            let (all, winograd) = (Conv { batch, ..one }, Winograd::of(&one).unwrap());
            let x = random(batch * patches.image(), 3);
            assert_same_bits(|| {
                let mut y = vec![f32::NAN; batch * one.output_len()];
                winograd.forward(&all, (&x, None, &mut y), None);
                let mut last = vec![f32::NAN; one.output_len()];
                winograd.forward(&one, (&x[x.len() - patches.image()..], None, &mut last), None);
                assert_eq!(y[y.len() - last.len()..], last);
                y
            });
        }
    }

    #[test]
    fn only_batches_that_fill_registers_are_worth_it() {
        let (weight, bias) = (random(16 * 16 * 9, 1), random(16, 2));
        let of = |side| conv(patches(16, (side, side), 1), 16, false, &weight, &bias);
        let pays = |batch, side| Winograd::of(&of(side)).unwrap().pays(&Conv { batch, ..of(side) });
        at_each_level(|| assert!(pays(1, 32) && !pays(1, 2)));
        // Other shapes have no such form.
        let shape = patches(16, (8, 8), 1);
        for shape in [Patches { stride: 2, ..shape }, Patches { kernel: (1, 9), padding: 4, ..shape }] {
            assert!(Winograd::of(&conv(shape, 16, false, &weight, &bias)).is_none());
        }
    }
}
