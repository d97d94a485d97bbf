//! A convolution whose filters were packed beforehand, for networks that do nothing but answer.
//!
//! Packing goes over all weights, as a batch of one does itself. Each output is the same sum in the same order however many
//! threads there are, and whatever batch it stands in but for one of so few windows that they leave a register empty.

mod depthwise;
mod spread;
mod winograd;

use super::depthwise::Depthwise;
use super::direct::Direct;
use super::layer::{Conv, effective};
use super::panels::Panels;
use super::small;
use super::tiles::{Rows, pack, product, product_from, product_tile, register};
use crate::backend::cpu::common::{par, scratch};
use crate::backend::{Act, Patches, Precision};
use depthwise::Same;
use spread::{Sizes, spread};
use std::ops::Range;
pub(super) use winograd::Winograd;

/// Windows of a batch up to which its patches are rows, and the weight is read as it lies in memory.
const FEW_POSITIONS: usize = 8;
/// Rows of a panel that a thread fills at once.
const PANEL_ROWS: usize = 256;

/// What a convolution needs but its input.
pub(super) struct Ready {
    patches: Patches,
    filters: usize,
    groups: usize,
    act: Act,
    pool: bool,
    bias: Option<Vec<f32>>,
    /// For batches of enough windows, where it is the less work.
    winograd: Option<Winograd>,
    form: Form,
}

enum Form {
    Direct {
        direct: Direct,
        packed: Vec<f32>,
    },
    /// With the weight itself where images have few windows.
    Panels {
        panels: Panels,
        packed: Vec<f32>,
        weight: Option<Vec<f32>>,
    },
    Depthwise {
        depthwise: Depthwise,
        same: Option<Same>,
        weight: Vec<f32>,
    },
}

impl Ready {
    /// The convolution made ready, if it has such a form: f32, and one group or one channel a group.
    pub fn of(conv: &Conv<'_>) -> Option<Self> {
        if conv.precision != Precision::F32 || conv.depth() == 0 || conv.filters == 0 {
            return None;
        }
        let weight = effective(conv.weight, conv.mask);
        let form = match Depthwise::of(conv) {
            Some(depthwise) => Form::Depthwise { depthwise, same: Same::of(conv), weight: weight.into_owned() },
            None if conv.groups > 1 => return None,
            None => {
                let (depth, mut packed) = (conv.depth(), Vec::new());
                pack(conv.filters, depth, &mut packed, |f, k| weight[f * depth + k]);
                match Direct::of(conv).filter(|direct| pays(conv, direct)) {
                    Some(direct) => Form::Direct { direct, packed },
                    None => {
                        let weight = (conv.windows() <= FEW_POSITIONS).then(|| weight.into_owned());
                        Form::Panels { panels: Panels::of(conv), packed, weight }
                    }
                }
            }
        };
        let winograd = Winograd::of(conv);
        let Conv { patches, filters, groups, act, pool, .. } = *conv;
        Some(Self { patches, filters, groups, act, pool, bias: conv.bias.map(<[f32]>::to_vec), winograd, form })
    }

    /// Its shape and what follows it, for a batch of this many images; without its weight.
    pub fn conv(&self, batch: usize) -> Conv<'_> {
        let Self { patches, filters, groups, act, pool, .. } = *self;
        let (bias, precision) = (self.bias.as_deref(), Precision::F32);
        Conv { batch, patches, filters, groups, weight: &[], mask: None, bias, act, pool, precision }
    }

    /// Computes `y` [batch, output] from `x` and from what is `added` before the activation; all of `y` is overwritten.
    pub fn forward(&self, x: &[f32], added: Option<&[f32]>, y: &mut [f32]) {
        let image = self.patches.image();
        let batch = x.len().checked_div(image).unwrap_or(0);
        let conv = self.conv(batch);
        let out = conv.output_len();
        assert_eq!((x.len(), y.len()), (batch * image, batch * out), "x and y of a convolution {:?}", self.patches);
        assert!(added.is_none_or(|a| a.len() == y.len() && !conv.pool), "what is added to {:?}", self.patches);
        if y.is_empty() {
            return;
        }
        if let Some(winograd) = self.winograd.as_ref().filter(|winograd| winograd.pays(&conv)) {
            return winograd.forward(&conv, (x, added, y), None);
        }
        match &self.form {
            Form::Depthwise { depthwise, same, weight } => {
                depthwise::forward(&conv, (depthwise, same.as_ref()), weight, (x, added, y));
            }
            Form::Direct { direct, packed } => {
                let read = |x: &[f32], padded: &mut [f32]| direct.pad_input(&conv, x, padded);
                let multiply = |packed: &[f32], padded: &[f32], at: Range<usize>, raw: &mut [f32]| {
                    let positions = at.len().min(direct.positions);
                    let stride = positions.next_multiple_of(register());
                    product(packed, &direct.x_offsets, &padded[at.start..], positions, raw, stride);
                };
                let stride = direct.positions.next_multiple_of(register());
                // Windows of a pixel that fill registers are the image itself.
                let itself = self.patches.kernel == (1, 1) && self.patches.padding == 0 && stride == conv.windows();
                let read_len = if itself { 0 } else { direct.x_len };
                let pitch = direct.pitch;
                let sizes = Sizes { images: 1, read: read_len, zeroed: true, stride, pitch, window: 0, by_rows: true };
                spread(&conv, sizes, packed, (x, added, y), read, multiply);
            }
            Form::Panels { weight: Some(weight), .. } if batch * conv.windows() <= FEW_POSITIONS => {
                small::forward(&conv, weight, x, added, y, None);
            }
            Form::Panels { panels, packed, .. } => {
                let (depth, group) = (conv.depth(), panels.images.min(batch));
                let stride = panels.positions(group);
                let read = |x: &[f32], filled: &mut [f32]| {
                    let (images, mut each, mut rest) = (x.len() / image, vec![], filled);
                    for at in panels.each(group) {
                        let (panel, behind) = rest.split_at_mut(depth * at.len());
                        rest = behind;
                        let rows = panel.chunks_mut(PANEL_ROWS * at.len()).enumerate();
                        each.extend(rows.map(|(i, panel)| (at.clone(), i * PANEL_ROWS, panel)));
                    }
                    let fill = |padded: &[f32]| {
                        // Copies, of which a few take as long as a product.
                        par::for_each(8 * depth * stride, each.into_iter(), |(at, first, panel)| {
                            panels.fill(padded, images, at, first, panel);
                        });
                    };
                    if self.patches.padding == 0 {
                        return fill(x);
                    }
                    scratch::with(panels.padded_len(images), |padded| {
                        panels.pad(&self.patches, x, padded);
                        fill(padded);
                    });
                };
                let multiply = |packed: &[f32], filled: &[f32], _: Range<usize>, raw: &mut [f32]| {
                    for at in panels.each(group) {
                        let panel = &filled[depth * at.start..depth * at.end];
                        let rows = Rows { data: &mut *raw, stride, first: at.start };
                        product_from(packed, panels.offsets(at.len()), panel, at.len(), rows);
                    }
                };
                let (pitch, window) = (self.patches.windows().1, conv.windows());
                let read_len = depth * stride;
                let sizes =
                    Sizes { images: group, read: read_len, zeroed: false, stride, pitch, window, by_rows: false };
                spread(&conv, sizes, packed, (x, added, y), read, multiply);
            }
        }
    }
}

/// Whether the positions that the direct form computes for nothing cost less than copying patches does.
fn pays(conv: &Conv<'_>, direct: &Direct) -> bool {
    let filters = conv.filters.next_multiple_of(product_tile().0);
    // In products of a position: a copy takes as long as a few, in short runs as many.
    let copy = 2 + 40 / conv.patches.windows().1;
    direct.positions.next_multiple_of(register()) * filters <= conv.windows() * (filters + copy)
}
