//! How a convolution that was made ready is spread over the threads.

use crate::backend::Patches;
use crate::backend::cpu::common::{par, scratch};
use crate::backend::cpu::conv::epilogue::finish_added;
use crate::backend::cpu::conv::layer::Conv;
use crate::backend::cpu::conv::tiles::{product_tile, register};
use std::ops::Range;

/// Groups of images below which the filters are shared out to the threads, not the images.
pub(super) const FEW: usize = 4;
/// Operations of a piece where filters are shared out.
pub(super) const PIECE: usize = 1 << 18;

/// Sums that stay in the nearest cache.
const NEAR: usize = 1 << 13;

/// How a group of images is computed.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Images of a group.
    pub images: usize,
    /// Length of what their products are computed from; nothing where that is the images as they are.
    pub read: usize,
    /// Whether that is zero before anything is read into it.
    pub zeroed: bool,
    /// Distance of filters in the sums, and of an image's rows.
    pub stride: usize,
    pub pitch: usize,
    /// Distance of images in the sums of a filter.
    pub window: usize,
    /// Whether sums are those of positions that lie a row's distance apart, row by row, so that some rows are sums of their
    /// own: then there is an image in a group.
    pub by_rows: bool,
}

/// Images, what is added to their results, and these.
pub(super) type Values<'a> = (&'a [f32], Option<&'a [f32]>, &'a mut [f32]);

/// Results of some filters in an image, what is added to them, and where the places of their maxima go.
pub(super) type Part<'a> = (&'a mut [f32], (Option<&'a [f32]>, Option<&'a mut [u8]>));

/// Computes groups of images on several threads, or where there are few groups the filters of each. `read` puts a group's
/// images in order, the next in the place of the last; `multiply` sums the products of packed filters
/// with that, for so many positions from a first one on.
pub(super) fn spread(
    conv: &Conv<'_>,
    of: Sizes,
    packed: &[f32],
    (x, added, y): Values<'_>,
    read: impl Fn(&[f32], &mut [f32]) + Sync,
    multiply: impl Fn(&[f32], &[f32], Range<usize>, &mut [f32]) + Sync,
) {
    let (image, out, depth, tile) = (conv.patches.image(), conv.output_len(), conv.depth(), product_tile().0);
    let (groups, flops) = (conv.batch.div_ceil(of.images), conv.flops());
    if groups >= FEW {
        // Filters whose sums are finished while they are in the nearest cache, or as many as are worth reading images for.
        let block = (NEAR / of.stride).max(depth / 8).clamp(1, conv.filters).next_multiple_of(tile);
        // Groups a piece: enough work to be handed to another thread.
        let some = (groups * par::SERIAL_BELOW).div_ceil(flops.max(1)).clamp(1, groups);
        let (x, y) = (x.chunks(some * of.images * image), y.chunks_mut(some * of.images * out));
        let added = par::chunks_or_none(added, some * of.images * out, groups.div_ceil(some));
        par::for_each(flops, x.zip(y).zip(added), |((x, y), added)| {
            scratch::aligned(of.read, |filled| {
                if of.zeroed {
                    filled.fill(0.0);
                }
                scratch::aligned(block * of.stride, |raw| {
                    let added = par::chunks_or_none(added, of.images * out, groups);
                    for ((x, y), added) in x.chunks(of.images * image).zip(y.chunks_mut(of.images * out)).zip(added) {
                        let mut from = x;
                        if of.read > 0 {
                            read(x, filled);
                            from = filled;
                        }
                        let runs =
                            by_filters(conv, block, (added, None), y).into_iter().zip(packed.chunks(block * depth));
                        for (run, (images, packed)) in runs.enumerate() {
                            multiply(packed, from, 0..of.stride, &mut raw[..packed.len() / depth * of.stride]);
                            finish(&of_filters(conv, run * block, block), of, raw, images);
                        }
                    }
                });
            });
        });
        return;
    }
    let each = flops / conv.batch * of.images;
    let some = (conv.filters * PIECE).div_ceil(each.max(1)).min(conv.filters).next_multiple_of(tile);
    scratch::aligned(of.read, |filled| {
        if of.zeroed {
            filled.fill(0.0);
        }
        let added = par::chunks_or_none(added, of.images * out, groups);
        for ((x, y), added) in x.chunks(of.images * image).zip(y.chunks_mut(of.images * out)).zip(added) {
            let mut from = x;
            if of.read > 0 {
                read(x, filled);
                from = filled;
            }
            let rows = if of.by_rows { rows_of_a_piece(conv, of, some, each) } else { usize::MAX };
            if rows < conv.output().1 {
                let pieces = in_rows(conv, (some, rows), added, y).into_iter().zip(packed.chunks(some * depth));
                let pieces = pieces.enumerate().flat_map(|(i, (runs, packed))| {
                    runs.into_iter().enumerate().map(move |(run, filters)| (i * some, run * rows, filters, packed))
                });
                par::for_each(each, pieces, |(first, top, filters, packed)| {
                    let part = of_rows(&of_filters(conv, first, 1), filters[0].0.len());
                    let positions = part.patches.windows().0 * of.pitch;
                    let stride = positions.next_multiple_of(register());
                    let from_row = top * of.pitch * if conv.pool { 2 } else { 1 };
                    scratch::aligned(packed.len() / depth * stride, |raw| {
                        multiply(packed, from, from_row..from_row + positions, raw);
                        for (i, ((y, beside), raw)) in filters.into_iter().zip(raw.chunks(stride)).enumerate() {
                            let one = Conv { bias: conv.bias.map(|bias| &bias[first + i..][..1]), ..part };
                            finish_added(&one, raw, stride, of.pitch, y, beside);
                        }
                    });
                });
                continue;
            }
            let pieces =
                by_filters(conv, some, (added, None), y).into_iter().zip(packed.chunks(some * depth)).enumerate();
            par::for_each(each, pieces, |(i, (images, packed))| {
                scratch::aligned(packed.len() / depth * of.stride, |raw| {
                    multiply(packed, from, 0..of.stride, raw);
                    finish(&of_filters(conv, i * some, some), of, raw, images);
                });
            });
        }
    });
}

/// Rows of results in a piece, where so many filters are one and an image takes so many operations: all of them where the
/// filters make pieces enough. Their positions fill registers, for behind an image that is read as it lies there are none.
fn rows_of_a_piece(conv: &Conv<'_>, of: Sizes, some: usize, flops: usize) -> usize {
    let (_, rows, _) = conv.output();
    let runs = (flops / PIECE / conv.filters.div_ceil(some)).clamp(1, rows.max(1));
    let positions = |rows: usize| rows * of.pitch * if conv.pool { 2 } else { 1 };
    (rows.div_ceil(runs)..rows).find(|&few| positions(few).is_multiple_of(register())).unwrap_or(rows)
}

/// The convolution of the first rows of an image, so many that each filter has this many results.
fn of_rows<'a>(conv: &Conv<'a>, results: usize) -> Conv<'a> {
    let (p, (_, _, cols)) = (conv.patches, conv.output());
    let down = results / cols * if conv.pool { 2 } else { 1 };
    // As many windows over an image that has no border.
    let (height, width) = (down + p.kernel.0 - 1, p.windows().1 + p.kernel.1 - 1);
    Conv { patches: Patches { height, width, stride: 1, padding: 0, ..p }, ..*conv }
}

/// For each run of filters, and in it for each run of rows, the results of each filter in an image, and what is added to
/// them.
fn in_rows<'a>(
    conv: &Conv<'_>,
    (some, rows): (usize, usize),
    added: Option<&'a [f32]>,
    y: &'a mut [f32],
) -> Vec<Vec<Vec<Part<'a>>>> {
    let (_, all, cols) = conv.output();
    let runs = all.div_ceil(rows);
    let mut pieces: Vec<Vec<Vec<_>>> = vec![];
    for (f, (y, added)) in
        y.chunks_mut(all * cols).zip(par::chunks_or_none(added, all * cols, conv.filters)).enumerate()
    {
        if f % some == 0 {
            pieces.push((0..runs).map(|_| Vec::with_capacity(some)).collect());
        }
        let each = y.chunks_mut(rows * cols).zip(par::chunks_or_none(added, rows * cols, runs));
        pieces
            .last_mut()
            .into_iter()
            .flatten()
            .zip(each)
            .for_each(|(piece, (y, added))| piece.push((y, (added, None))));
    }
    pieces
}

/// Makes results of the sums of some filters, image by image.
fn finish(part: &Conv<'_>, of: Sizes, raw: &[f32], images: Vec<Part<'_>>) {
    for (i, (y, beside)) in images.into_iter().enumerate() {
        finish_added(part, &raw[i * of.window..], of.stride, of.pitch, y, beside);
    }
}

/// The convolution of so many filters from `first` on, or as many as there are.
pub(super) fn of_filters<'a>(conv: &Conv<'a>, first: usize, filters: usize) -> Conv<'a> {
    let filters = filters.min(conv.filters - first);
    Conv { filters, bias: conv.bias.map(|bias| &bias[first..][..filters]), ..*conv }
}

/// For each run of filters its results in each image, with what is added to them and the places of their maxima.
pub(super) fn by_filters<'a>(
    conv: &Conv<'_>,
    some: usize,
    (added, argmax): (Option<&'a [f32]>, Option<&'a mut [u8]>),
    y: &'a mut [f32],
) -> Vec<Vec<Part<'a>>> {
    let (out, parts) = (conv.output_len(), conv.filters.div_ceil(some));
    let (len, images) = (out / conv.filters * some, y.len() / out);
    let mut runs: Vec<Vec<_>> = (0..parts).map(|_| Vec::with_capacity(images)).collect();
    let beside = par::chunks_or_none(added, out, images).zip(par::chunks_mut_or_none(argmax, out, images));
    for (y, (added, argmax)) in y.chunks_mut(out).zip(beside) {
        let beside = par::chunks_or_none(added, len, parts).zip(par::chunks_mut_or_none(argmax, len, parts));
        let each = y.chunks_mut(len).zip(beside);
        runs.iter_mut().zip(each).for_each(|(run, part)| run.push(part));
    }
    runs
}
