//! Convolutions over nonzeros against the definition and against the dense ones.

use super::super::transpose::ConvTranspose;
use super::super::{self as dense, tests::reference};
use super::*;
use crate::backend::cpu::common::testing::*;
use crate::backend::{Act, Precision};

/// A plain convolution, or a transposed one whose output the patches describe.
#[derive(Clone, Copy)]
struct Case<'a> {
    conv: Conv<'a>,
    transposed: bool,
}

/// Output, and the gradients of input, weight and bias.
type Found = [Vec<f32>; 4];

impl Case<'_> {
    fn transpose(&self) -> ConvTranspose<'_> {
        let Conv { batch, patches, filters: inputs, weight, bias, act, precision, .. } = self.conv;
        ConvTranspose { batch, patches, inputs, weight, mask: None, bias, act, precision }
    }

    /// Lengths of input and output.
    fn lengths(&self) -> (usize, usize) {
        let (image, out) = (self.conv.patches.image(), self.conv.output_len());
        let (x, y) = if self.transposed { (out, image) } else { (image, out) };
        (self.conv.batch * x, self.conv.batch * y)
    }

    /// Over the nonzeros of a pattern or densely; gradients begin at one where they are added to. The weight's gradient
    /// is zero where it is not wanted.
    fn run(&self, pattern: Option<(&Pattern, bool)>, dense_dw: bool, add: bool) -> Found {
        let (inputs, outputs) = self.lengths();
        let (x, dy) = (random(inputs, 1), random(outputs, 5));
        let start = if add { 1.0 } else { f32::NAN };
        let alone = pattern.filter(|_| !dense_dw).map(|(pattern, _)| pattern);
        let mut values = vec![0.0; pattern.map_or(0, |(pattern, _)| pattern.nonzeros())];
        if let Some((pattern, _)) = pattern {
            pattern.gather(&mut values, self.conv.weight);
        }
        let nonzeros = pattern.map(|(pattern, always)| Nonzeros { pattern, values: &values, always });
        let weights = alone.map_or(self.conv.weight.len(), Pattern::nonzeros);
        let (mut y, mut dx, mut dw) = (vec![f32::NAN; outputs], vec![start; inputs], vec![start; weights]);
        let biases = if self.transposed { self.conv.patches.channels } else { self.conv.filters };
        let mut db = vec![start; biases];
        let mut argmax = self.conv.pool.then(|| vec![9; outputs]);
        let over = nonzeros.filter(|nonzeros| nonzeros.convolves(&self.conv.patches));
        match (over, self.transposed) {
            (Some(over), false) => forward(&self.conv, over, &x, &mut y, argmax.as_deref_mut()),
            (Some(over), true) => transpose::forward(&self.transpose(), over, &x, &mut y),
            (None, false) => dense::forward(&self.conv, &x, &mut y, argmax.as_deref_mut()),
            (None, true) => dense::transpose::forward(&self.transpose(), &x, &mut y),
        }
        let grad = |out| Some(if add { Grad::add(out) } else { Grad::overwrite(out) });
        let grads = ConvGrads { dx: grad(&mut dx), dw: grad(&mut dw), dense_dw, db: grad(&mut db) };
        let argmax = argmax.as_deref();
        let dense = |grads: ConvGrads<'_>| match self.transposed {
            false => dense::backward(&self.conv, &x, &y, argmax, &dy, grads),
            true => dense::transpose::backward(&self.transpose(), &x, &y, &dy, grads),
        };
        match nonzeros {
            None => dense(grads),
            Some(nonzeros) => {
                let over = |grads: ConvGrads<'_>| match self.transposed {
                    false => backward(&self.conv, nonzeros, &x, (&y, argmax), &dy, grads),
                    true => transpose::backward(&self.transpose(), nonzeros, &x, &y, &dy, grads),
                };
                share_out(nonzeros, &self.conv.patches, grads, over, dense);
            }
        }
        if let Some(pattern) = alone {
            let mut whole = vec![if add { 1.0 } else { 0.0 }; self.conv.weight.len()];
            pattern.positions().iter().zip(&dw).for_each(|(&at, &dw)| whole[at as usize] = dw);
            dw = whole;
        }
        [y, dx, dw, db]
    }
}

type Sizes = (usize, usize, usize, (usize, usize), usize, usize, usize);

/// Channels, height, width, kernel, stride, padding, filters: odd sizes, strides of more than one and beyond the kernel,
/// pixels that no window reaches, more padding than the kernel reaches over, one pixel.
const SHAPES: [Sizes; 10] = [
    (3, 8, 8, (3, 3), 1, 1, 5),
    (2, 5, 7, (3, 2), 1, 0, 9),
    (4, 10, 6, (4, 4), 2, 1, 3),
    (2, 9, 8, (3, 3), 2, 1, 4),
    (3, 7, 7, (2, 2), 3, 0, 2),
    (2, 6, 5, (1, 1), 2, 0, 5),
    (7, 4, 5, (1, 1), 1, 0, 6),
    (2, 5, 5, (2, 2), 1, 2, 2),
    (1, 1, 1, (1, 1), 1, 0, 1),
    (2, 17, 23, (5, 3), 1, 1, 3),
];

/// Runs `f` on every shape, plain and transposed where something is left, with weights of this density.
fn each_case(density: f32, f: impl Fn(Case<'_>, &Pattern, &[bool])) {
    for (i, (channels, height, width, kernel, stride, padding, filters)) in SHAPES.into_iter().enumerate() {
        for transposed in [false, true] {
            let patches = if transposed {
                Patches::of_transposed(channels, (height, width), kernel, stride, padding)
            } else {
                Some(Patches { channels, height, width, kernel, stride, padding })
            };
            let Some(patches) = patches else { continue };
            let count = filters * patches.depth();
            let keep: Vec<bool> = random(count, 7 + i as u64).iter().map(|x| x + 1.0 < 2.0 * density).collect();
            let weight = random(count, 2).into_iter().zip(&keep).map(|(w, k)| if *k { w } else { 0.0 });
            let (weight, bias) = (weight.collect::<Vec<_>>(), random(if transposed { channels } else { filters }, 3));
            let (act, pool) = [(Act::None, false), (Act::Relu, true), (Act::Tanh, false), (Act::Relu, false)][i % 4];
            let (down, across) = patches.windows();
            let pool = pool && !transposed && down.min(across) > 1;
            let (bias, precision) = (Some(&bias[..]), Precision::F32);
            let conv =
                Conv { batch: 3, patches, filters, groups: 1, weight: &weight, mask: None, bias, act, pool, precision };
            f(Case { conv, transposed }, &Pattern::new(&keep, filters, patches.depth()), &keep);
        }
    }
}

#[test]
fn products_are_those_of_the_dense_convolution_at_every_density() {
    at_each_level(|| {
        for density in [0.0, 0.1, 0.5, 1.0] {
            each_case(density, |case, pattern, keep| {
                for (dense_dw, add) in [(false, false), (false, true), (true, false), (true, true)] {
                    let found = case.run(Some((pattern, true)), dense_dw, add);
                    let mut expected = case.run(None, true, add);
                    if !dense_dw {
                        let masked = expected[2].iter_mut().zip(keep).filter(|(_, keep)| !**keep);
                        masked.for_each(|(dw, _)| *dw = if add { 1.0 } else { 0.0 });
                    }
                    for ((found, expected), what) in found.iter().zip(&expected).zip(["y", "dx", "dw", "db"]) {
                        let what = format!("{what} of {:?}, transposed {}", case.conv.patches, case.transposed);
                        assert_near(found, &wide(expected), 1e-5, &what);
                    }
                }
            });
        }
    });
}

#[test]
fn single_nonzeros_and_empty_filters_are_no_special_case() {
    let patches = Patches { channels: 4, height: 9, width: 7, kernel: (3, 3), stride: 2, padding: 1 };
    let (filters, depth) = (5, 36);
    let masks: [&dyn Fn(usize, usize) -> bool; 4] =
        [&|f, k| (f, k) == (4, 35), &|f, k| (f, k) == (0, 0), &|f, _| f == 2, &|_, k| k / 9 == 1];
    at_each_level(|| {
        for mask in masks {
            let keep: Vec<bool> = (0..filters * depth).map(|e| mask(e / depth, e % depth)).collect();
            let weight = random(keep.len(), 2).into_iter().zip(&keep).map(|(w, k)| if *k { w } else { 0.0 });
            let (weight, act, precision) = (weight.collect::<Vec<_>>(), Act::None, Precision::F32);
            let (bias, pool) = (None, false);
            let conv =
                Conv { batch: 2, patches, filters, groups: 1, weight: &weight, mask: None, bias, act, pool, precision };
            for transposed in [false, true] {
                let case = Case { conv, transposed };
                let found = case.run(Some((&Pattern::new(&keep, filters, depth), true)), false, false);
                let mut expected = case.run(None, true, false);
                expected[2].iter_mut().zip(&keep).filter(|(_, keep)| !**keep).for_each(|(dw, _)| *dw = 0.0);
                for (found, expected) in found.iter().zip(&expected) {
                    assert_near(found, &wide(expected), 1e-5, "one of y, dx, dw, db");
                }
            }
        }
    });
}

#[test]
fn gradients_are_the_slopes_of_the_output() {
    each_case(0.4, |case, pattern, keep| {
        let (inputs, outputs) = case.lengths();
        // The definition of the plain convolution is at hand; the transposed one is held against its dense form.
        if case.transposed || case.conv.act == Act::Relu || inputs > 300 {
            return;
        }
        let (x, dy, w) = (wide(&random(inputs, 1)), random(outputs, 5), wide(case.conv.weight));
        let b = wide(case.conv.bias.unwrap_or_default());
        let [y, dx, dw, db] = case.run(Some((pattern, true)), false, false);
        let by = |x: &[f64], w: &[f64], b: &[f64]| dot(&reference(&case.conv, x, w, b), &dy);
        assert_near(&y, &reference(&case.conv, &x, &w, &b), 1e-5, "y");
        assert_near(&dx, &numeric_gradient(&x, |x| by(x, &w, &b)), 1e-4, "dx");
        let mut slopes = numeric_gradient(&w, |w| by(&x, w, &b));
        slopes.iter_mut().zip(keep).filter(|(_, keep)| !**keep).for_each(|(slope, _)| *slope = 0.0);
        assert_near(&dw, &slopes, 1e-4, "dw");
        assert_near(&db, &numeric_gradient(&b, |b| by(&x, &w, b)), 1e-4, "db");
    });
}

#[test]
fn products_that_would_take_longer_are_dense_and_leave_zeros_where_the_weight_is() {
    // All over nonzeros; the weight's gradient dense; all dense.
    for (density, expected) in [(0.02, (true, true)), (0.1, (true, false)), (0.5, (false, false))] {
        let patches = Patches { channels: 20, height: 4, width: 4, kernel: (3, 3), stride: 1, padding: 1 };
        let keep: Vec<bool> = random(10 * patches.depth(), 7).iter().map(|x| x + 1.0 < 2.0 * density).collect();
        let weight = random(keep.len(), 2).into_iter().zip(&keep).map(|(w, k)| if *k { w } else { 0.0 });
        let (weight, pattern) = (weight.collect::<Vec<_>>(), Pattern::new(&keep, 10, patches.depth()));
        let (act, pool, precision) = (Act::None, false, Precision::F32);
        let conv = Conv {
            batch: 2,
            patches,
            filters: 10,
            groups: 1,
            weight: &weight,
            mask: None,
            bias: None,
            act,
            pool,
            precision,
        };
        let nonzeros = Nonzeros { pattern: &pattern, values: &[], always: false };
        assert_eq!((nonzeros.convolves(&patches), nonzeros.correlates_windows(&patches)), expected, "{density}");
        for transposed in [false, true] {
            let case = Case { conv, transposed };
            for (dense_dw, add) in [(false, false), (false, true), (true, false)] {
                let found = case.run(Some((&pattern, false)), dense_dw, add);
                let mut expected = case.run(None, true, add);
                if !dense_dw {
                    let masked = expected[2].iter_mut().zip(&keep).filter(|(_, keep)| !**keep);
                    masked.for_each(|(dw, _)| *dw = if add { 1.0 } else { 0.0 });
                }
                for ((found, expected), what) in found.iter().zip(&expected).zip(["y", "dx", "dw", "db"]) {
                    assert_near(found, &wide(expected), 1e-5, what);
                }
            }
        }
    }
}

#[test]
fn threads_do_not_change_bits() {
    let patches = Patches { channels: 8, height: 16, width: 16, kernel: (4, 4), stride: 2, padding: 1 };
    let keep: Vec<bool> = random(12 * patches.depth(), 3).iter().map(|x| *x < -0.8).collect();
    let weight =
        random(keep.len(), 2).into_iter().zip(&keep).map(|(w, k)| if *k { w } else { 0.0 }).collect::<Vec<_>>();
    let pattern = Pattern::new(&keep, 12, patches.depth());
    let (bias, act, pool, precision) = (None, Act::Relu, false, Precision::F32);
    let conv =
        Conv { batch: 37, patches, filters: 12, groups: 1, weight: &weight, mask: None, bias, act, pool, precision };
    for transposed in [false, true] {
        for dense_dw in [false, true] {
            assert_same_bits(|| Case { conv, transposed }.run(Some((&pattern, true)), dense_dw, false).concat());
        }
    }
}
