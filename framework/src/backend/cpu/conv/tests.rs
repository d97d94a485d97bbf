//! Convolutions on slices against their definition.
//!
//! Longer than 300 lines because every form of a convolution is held against the one definition here.

use super::*;
use crate::backend::Precision::{self, F32};
use crate::backend::cpu::common::Grad;
use crate::backend::cpu::common::testing::*;
use crate::backend::{Act, Patches};

fn exact(act: Act, x: f64) -> f64 {
    match act {
        Act::None => x,
        Act::Relu => x.max(0.0),
        Act::Relu6 => x.clamp(0.0, 6.0),
        Act::Tanh => x.tanh(),
        Act::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Act::Gelu | Act::GeluExact => panic!("not for convolutions"),
    }
}

/// The layer in f64 by its definition.
pub(super) fn reference(c: &Conv<'_>, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
    let p = &c.patches;
    let (down, across) = p.windows();
    let (kh, kw) = p.kernel;
    let mut full = vec![0.0; c.batch * c.filters * down * across];
    for (i, out) in full.iter_mut().enumerate() {
        let (col, row, f) = (i % across, i / across % down, i / (across * down) % c.filters);
        let image = i / (across * down * c.filters);
        let mut sum = b[f];
        // The channels of this filter's group.
        let first = f / (c.filters / c.groups) * (p.channels / c.groups);
        for k in 0..c.depth() {
            let (channel, ky, kx) = (first + k / (kh * kw), k / kw % kh, k % kw);
            let (y, x_at) = (row * p.stride + ky, col * p.stride + kx);
            if (p.padding..p.height + p.padding).contains(&y) && (p.padding..p.width + p.padding).contains(&x_at) {
                let at = ((image * p.channels + channel) * p.height + y - p.padding) * p.width + x_at - p.padding;
                sum += x[at] * w[f * c.depth() + k] * c.mask.map_or(1.0, |m| f64::from(m[f * c.depth() + k]));
            }
        }
        *out = exact(c.act, sum);
    }
    if !c.pool {
        return full;
    }
    let (_, rows, cols) = c.output();
    let at = |i: usize| {
        let (col, row, plane) = (i % cols, i / cols % rows, i / (cols * rows));
        let get = |dy: usize, dx: usize| full[(plane * down + 2 * row + dy) * across + 2 * col + dx];
        get(0, 0).max(get(0, 1)).max(get(1, 0)).max(get(1, 1))
    };
    (0..c.batch * c.filters * rows * cols).map(at).collect()
}

struct Run {
    y: Vec<f32>,
    dx: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
}

fn run(c: &Conv<'_>, x: &[f32], dy: &[f32], add: bool) -> Run {
    let start = if add { 1.0 } else { f32::NAN };
    let mut r = Run {
        y: vec![f32::NAN; dy.len()],
        dx: vec![start; x.len()],
        dw: vec![start; c.weight.len()],
        db: vec![start; c.filters],
    };
    let mut argmax = vec![9; dy.len()];
    forward(c, x, &mut r.y, c.pool.then_some(&mut argmax[..]));
    let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
    let grads = ConvGrads { dx: grad(&mut r.dx), dw: grad(&mut r.dw), dense_dw: false, db: grad(&mut r.db) };
    backward(c, x, &r.y, c.pool.then_some(&argmax[..]), dy, grads);
    r
}

fn outputs(c: &Conv<'_>) -> usize {
    c.batch * c.output_len()
}

#[test]
fn output_and_gradients_agree_with_the_definition() {
    let shapes = [
        // channels, height, width, kernel, stride, padding, filters, groups
        (2, 5, 7, (3, 3), 1, 1, 3, 1),
        (3, 4, 4, (3, 3), 1, 0, 9, 1),
        (1, 6, 5, (5, 3), 1, 1, 2, 1),
        (2, 4, 5, (1, 1), 1, 0, 5, 1),
        (2, 6, 6, (4, 4), 2, 1, 3, 1),
        (2, 5, 5, (2, 2), 1, 2, 2, 1),
        (1, 3, 3, (3, 3), 1, 0, 2, 1),
        // Depthwise, also with several filters for a channel, strides of more than one and beyond the kernel.
        (2, 4, 5, (3, 3), 1, 1, 2, 2),
        (2, 5, 4, (3, 3), 2, 1, 4, 2),
        (2, 6, 5, (2, 3), 3, 2, 2, 2),
        (2, 5, 5, (1, 1), 2, 0, 2, 2),
        (2, 6, 5, (2, 2), 4, 1, 2, 2),
        (2, 3, 4, (5, 5), 1, 2, 2, 2),
        // Groups of several channels.
        (4, 4, 3, (3, 2), 1, 1, 4, 2),
        (4, 5, 4, (2, 2), 2, 1, 2, 2),
    ];
    at_each_level(|| {
        for (i, &(channels, height, width, kernel, stride, padding, filters, groups)) in shapes.iter().enumerate() {
            let patches = Patches { channels, height, width, kernel, stride, padding };
            for (act, pool, masked) in [
                (Act::None, false, true),
                (Act::Relu, true, false),
                (Act::Tanh, true, true),
                (Act::Relu6, false, true),
                (Act::Sigmoid, false, false),
            ] {
                let n = filters * patches.depth() / groups;
                let (w, b, mask) = (random(n, 2), random(filters, 3), random_mask(n, 4));
                let mask = masked.then_some(&mask[..]);
                let c = Conv {
                    batch: 3,
                    patches,
                    filters,
                    groups,
                    weight: &w,
                    mask,
                    bias: Some(&b),
                    act,
                    pool,
                    precision: F32,
                };
                let (x, dy) = (random(3 * patches.image(), 1), random(outputs(&c), 5));
                // What follows a convolution is the same behind one in groups.
                if dy.is_empty() || groups > 1 && matches!(act, Act::Tanh | Act::Sigmoid) {
                    continue;
                }
                let (xw, ww, bw) = (wide(&x), wide(&w), wide(&b));
                let what = format!("shape {i} {act:?} pool {pool}");
                let by = |x: &[f64], w: &[f64], b: &[f64]| dot(&reference(&c, x, w, b), &dy);
                for add in [false, true] {
                    let r = run(&c, &x, &dy, add);
                    let plus = |g: Vec<f64>| g.iter().map(|g| g + f64::from(u8::from(add))).collect::<Vec<_>>();
                    assert_close(&r.y, &reference(&c, &xw, &ww, &bw), 1e-5, &what);
                    assert_close(&r.dx, &plus(numeric_gradient(&xw, |x| by(x, &ww, &bw))), 1e-4, &what);
                    assert_close(&r.dw, &plus(numeric_gradient(&ww, |w| by(&xw, w, &bw))), 1e-4, &what);
                    assert_close(&r.db, &plus(numeric_gradient(&bw, |b| by(&xw, &ww, b))), 1e-4, &what);
                }
            }
        }
    });
}

#[test]
fn equal_values_pool_to_the_first() {
    let patches = Patches { channels: 1, height: 2, width: 2, kernel: (1, 1), stride: 1, padding: 0 };
    let (weight, act) = (&[1.0], Act::None);
    let c = Conv {
        batch: 1,
        patches,
        filters: 1,
        groups: 1,
        weight,
        mask: None,
        bias: None,
        act,
        pool: true,
        precision: F32,
    };
    let mut place = [9];
    forward(&c, &[1.0, 2.0, 2.0, 2.0], &mut [0.0], Some(&mut place));
    assert_eq!(place, [1]);
}

#[test]
fn threads_do_not_change_bits() {
    for (stride, pool, groups) in
        [(1, true, 1), (1, false, 1), (2, false, 1), (1, true, 6), (2, false, 6), (1, false, 3)]
    {
        let patches = Patches { channels: 6, height: 17, width: 15, kernel: (3, 3), stride, padding: 1 };
        let (w, b) = (random(12 * patches.depth() / groups, 1), random(12, 2));
        let (weight, bias) = (&w, Some(&b[..]));
        let c = Conv {
            batch: 37,
            patches,
            filters: 12,
            groups,
            weight,
            mask: None,
            bias,
            act: Act::Relu,
            pool,
            precision: F32,
        };
        let (x, dy) = (random(37 * patches.image(), 3), random(outputs(&c), 4));
        assert_same_bits(|| {
            let r = run(&c, &x, &dy, false);
            [r.y, r.dx, r.dw, r.db].concat()
        });
    }
}

/// Sixteenths, which bf16 holds exactly, and whose products f32 adds up exactly.
fn sixteenths(n: usize, seed: u64) -> Vec<f32> {
    random(n, seed).iter().map(|x| (x * 16.0).round() / 16.0).collect()
}

#[test]
fn in_bf16_numbers_that_it_holds_give_what_they_give_in_f32() {
    for (kernel, stride, padding, pool) in [((3, 3), 1, 1, true), ((4, 4), 2, 1, false), ((2, 3), 3, 2, false)] {
        let patches = Patches { channels: 3, height: 9, width: 10, kernel, stride, padding };
        let (w, b) = (sixteenths(5 * patches.depth(), 1), sixteenths(5, 2));
        let mask = random_mask(w.len(), 3);
        let layer = |precision: Precision| {
            let (mask, bias) = (Some(&mask[..]), Some(&b[..]));
            Conv { batch: 3, patches, filters: 5, groups: 1, weight: &w, mask, bias, act: Act::Relu, pool, precision }
        };
        let (x, dy) = (sixteenths(3 * patches.image(), 4), sixteenths(outputs(&layer(F32)), 5));
        let of = |precision| {
            let Run { y, dx, dw, db } = run(&layer(precision), &x, &dy, false);
            [y, dx, dw, db].concat()
        };
        assert_eq!(of(Precision::Bf16), of(F32), "{patches:?}");
        assert_same_bits(|| of(Precision::Bf16));
    }
}

#[test]
fn an_image_has_the_same_output_alone_and_among_others_on_any_threads() {
    // Images under few windows, with more of them than fit a run, and one whose filters are shared out.
    for (side, channels, filters, kernel, stride, pool) in [
        (4, 37, 21, 3, 1, true),
        (2, 20, 9, 3, 1, false),
        (7, 5, 6, 3, 2, false),
        (5, 3, 4, 2, 1, true),
        (24, 30, 21, 3, 1, true),
    ] {
        let patches = Patches { channels, height: side, width: side, kernel: (kernel, kernel), stride, padding: 1 };
        let (weight, bias) = (random(filters * patches.depth(), 1), random(filters, 2));
        let of = |batch: usize| Conv {
            batch,
            patches,
            filters,
            groups: 1,
            weight: &weight,
            mask: None,
            bias: Some(&bias),
            act: Act::Relu,
            pool,
            precision: F32,
        };
        let (all, image) = (of(70), patches.image());
        let x = random(70 * image, 3);
        assert_same_bits(|| {
            let mut together = vec![f32::NAN; outputs(&all)];
            forward(&all, &x, &mut together, None);
            for (i, own) in together.chunks(all.output_len()).enumerate().step_by(23) {
                let (mut alone, mut places) = (vec![f32::NAN; own.len()], vec![9; own.len()]);
                forward(&of(1), &x[i * image..][..image], &mut alone, pool.then_some(&mut places[..]));
                assert_eq!(alone, own, "image {i} of {side}x{side}");
                assert!(!pool || places.iter().all(|&place| place < 4));
            }
            together
        });
    }
}

#[test]
fn a_convolution_made_ready_agrees_with_the_definition() {
    let shapes = [
        // channels, side, kernel, stride, padding, filters, groups: direct, in panels with several images to one, of strides,
        // of a pixel, of a single window, and depthwise.
        (3, 20, 3, 1, 1, 5, 1),
        (1, 16, 3, 1, 1, 17, 1),
        (5, 8, 3, 1, 1, 17, 1),
        (6, 4, 3, 1, 1, 9, 1),
        (7, 2, 3, 1, 1, 8, 1),
        (3, 9, 3, 2, 1, 6, 1),
        (5, 6, 1, 1, 0, 7, 1),
        (5, 7, 1, 2, 0, 7, 1),
        (9, 3, 3, 1, 0, 4, 1),
        (6, 9, 3, 2, 1, 12, 6),
        (6, 5, 3, 1, 1, 6, 6),
    ];
    at_each_level(|| {
        for (channels, side, kernel, stride, padding, filters, groups) in shapes {
            let patches = Patches { channels, height: side, width: side, kernel: (kernel, kernel), stride, padding };
            let (weight, bias) = (random(filters * patches.depth() / groups, 1), random(filters, 2));
            // On this thread alone, which has the level.
            let most = if side < 8 { 30 } else { 7 };
            for (batch, pool, adds) in [(1, false, true), (2, true, false), (most, false, true), (most, true, false)] {
                let (weight, act) = (&weight[..], Act::None);
                let (mask, bias) = (None, Some(&bias[..]));
                let c = Conv { batch, patches, filters, groups, weight, mask, bias, act, pool, precision: F32 };
                let (x, added) = (random(batch * patches.image(), 3), random(outputs(&c), 4));
                let mut expected = reference(&c, &wide(&x), &wide(weight), &wide(c.bias.unwrap()));
                expected.iter_mut().zip(&added).filter(|_| adds).for_each(|(y, a)| *y += f64::from(*a));
                expected.iter_mut().for_each(|y| *y = exact(Act::Relu6, *y));
                let ready = Ready::of(&Conv { act: Act::Relu6, ..c }).unwrap();
                let mut y = vec![f32::NAN; outputs(&c)];
                ready.forward(&x, adds.then_some(&added[..]), &mut y);
                assert_close(&y, &expected, 1e-5, &format!("{patches:?} in a batch of {batch}"));
            }
        }
    });
}

#[test]
fn a_convolution_made_ready_is_the_same_on_any_threads() {
    for (batch, channels, side, filters, groups) in [
        (5, 16, 16, 32, 1),
        (1, 33, 16, 40, 1),
        (1, 8, 34, 8, 1),
        (20, 32, 4, 40, 1),
        (1, 64, 2, 72, 1),
        (9, 24, 12, 24, 24),
    ] {
        let patches = Patches { channels, height: side, width: side, kernel: (3, 3), stride: 1, padding: 1 };
        let (weight, bias) = (random(filters * patches.depth() / groups, 1), random(filters, 2));
        let (weight, bias, mask) = (&weight[..], Some(&bias[..]), None);
        let act = Act::Relu;
        let c = Conv { batch, patches, filters, groups, weight, mask, bias, act, pool: false, precision: F32 };
        let x = random(batch * patches.image(), 3);
        let mut expected = vec![f32::NAN; outputs(&c)];
        forward(&c, &x, &mut expected, None);
        assert_same_bits(|| {
            let mut y = vec![f32::NAN; outputs(&c)];
            Ready::of(&c).unwrap().forward(&x, None, &mut y);
            assert_close(&y, &wide(&expected), 1e-5, &format!("{patches:?}"));
            y
        });
    }
}

#[test]
fn rows_of_an_image_that_are_shared_out_are_those_of_the_whole() {
    // channels, side, kernel, padding, filters, pooled: few filters for many positions, so that rows make the pieces, on this
    // thread alone; rows that fill registers and not, and an image that is read as it lies.
    let shapes = [
        (8, 24, 3, 1, 8, false),
        (8, 25, 3, 1, 7, true),
        (8, 23, 3, 2, 8, false),
        (60, 32, 1, 0, 8, false),
        (100, 24, 1, 0, 7, true),
    ];
    at_each_level(|| {
        for (channels, side, kernel, padding, filters, pool) in shapes {
            let patches = Patches { channels, height: side, width: side, kernel: (kernel, kernel), stride: 1, padding };
            let (weight, bias) = (random(filters * patches.depth(), 1), random(filters, 2));
            let (weight, bias, mask, act) = (&weight[..], Some(&bias[..]), None, Act::None);
            let c = Conv { batch: 1, patches, filters, groups: 1, weight, mask, bias, act, pool, precision: F32 };
            assert!((1 << 19..1 << 20).contains(&c.flops()), "{}", c.flops());
            let (x, added) = (random(patches.image(), 3), random(outputs(&c), 4));
            let mut expected = reference(&c, &wide(&x), &wide(weight), &wide(c.bias.unwrap()));
            expected.iter_mut().zip(&added).filter(|_| !pool).for_each(|(y, a)| *y += f64::from(*a));
            let mut y = vec![f32::NAN; outputs(&c)];
            Ready::of(&c).unwrap().forward(&x, (!pool).then_some(&added[..]), &mut y);
            assert_close(&y, &expected, 1e-5, &format!("{patches:?}"));
        }
    });
}
