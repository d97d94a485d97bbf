//! The same layer with a held mask, over the nonzeros of its weight alone.

use super::backward::{BANDS, backward_by_operation, sum_of_bands};
use super::layer::{Linear, LinearGrads};
use crate::backend::Act;
use crate::backend::cpu::activation::Saved;
use crate::backend::cpu::activation::rows::{backward_rows, finish_rows, finish_rows_keeping};
use crate::backend::cpu::common::scratch::aligned;
use crate::backend::cpu::common::sparse::{Nonzeros, Plan};
use crate::backend::cpu::common::{Accumulate, Grad, grad, par, reduce, scratch};

/// Largest share of a dense product's multiplications at which y and dx were faster over the nonzeros alone, for every
/// shape and vector level that was measured (`framework/benches/linear.rs`).
const PRODUCTS: f64 = 0.355;
/// The same for dw, where there are not many rows.
const CORRELATIONS: f64 = 0.25;

impl Nonzeros<'_> {
    /// Whether y and dx go over the nonzeros alone: by shape, pattern and vector level, as all that follows.
    pub(super) fn multiplies(&self, rows: usize) -> bool {
        self.always || Plan::of(self.pattern, rows).share() <= PRODUCTS
    }

    /// Whether dw does.
    pub(super) fn correlates(&self, rows: usize) -> bool {
        let plan = Plan::of(self.pattern, rows);
        let most = if plan.has_many_rows() { PRODUCTS } else { CORRELATIONS };
        self.always || plan.share() <= most
    }
}

/// As [`forward`](super::forward()).
pub(super) fn forward(
    layer: &Linear<'_>,
    nonzeros: Nonzeros<'_>,
    bias: &[f32],
    x: &[f32],
    residual: Option<&[f32]>,
    y: &mut [f32],
    pre: Option<&mut [f32]>,
) {
    let (&Linear { rows, inputs, outputs, act, .. }, pattern) = (layer, nonzeros.pattern);
    let (plan, tiles) = (Plan::of(pattern, rows), &pattern.direct);
    let (lanes, len, count) = (plan.lanes(), plan.piece() * outputs, rows.div_ceil(plan.piece()));
    let pieces = y.chunks_mut(len);
    let pieces = pieces.zip(par::chunks_mut_or_none(pre, len, count)).zip(par::chunks_or_none(residual, len, count));
    // Rows of `y`, the same of `pre`, and the same of the residual.
    type Piece<'a> = ((&'a mut [f32], Option<&'a mut [f32]>), Option<&'a [f32]>);
    let finish = |((y, pre), residual): Piece<'_>, panel: &[f32], lane| match pre {
        Some(pre) => {
            plan.unpack(pre, panel, lane, outputs);
            finish_rows_keeping(act, y, pre, bias, residual);
        }
        None => {
            plan.unpack(y, panel, lane, outputs);
            finish_rows(act, y, bias, residual);
        }
    };
    pattern.with_values(nonzeros.values, |values| {
        if plan.by_rows {
            return par::for_each(plan.work(tiles), pieces.zip(x.chunks(lanes * inputs)), |(piece, x)| {
                aligned(lanes * (inputs + outputs), |buffer| {
                    let (panel, out) = buffer.split_at_mut(lanes * inputs);
                    plan.pack(panel, x, inputs);
                    plan.multiply_panel(tiles, values, panel, out);
                    finish(piece, out, 0);
                });
            });
        }
        aligned(plan.panels() * lanes * (inputs + outputs), |buffer| {
            let (panels, outs) = buffer.split_at_mut(plan.panels() * lanes * inputs);
            plan.pack_all(panels, x, inputs);
            plan.multiply_all(tiles, values, panels, outs);
            plan.unpack_all(outs, outputs, pieces, finish);
        });
    });
}

/// As [`backward`](super::backward()), where the weight's gradient is wanted at its nonzeros alone, if at all.
pub(super) fn backward(
    layer: &Linear<'_>,
    nonzeros: Nonzeros<'_>,
    x: &[f32],
    saved: Saved<'_>,
    dy: &[f32],
    grads: LinearGrads<'_>,
) {
    if Plan::of(nonzeros.pattern, layer.rows).by_rows {
        backward_in_bands(layer, nonzeros, x, saved, dy, grads);
    } else {
        backward_by_operation(layer, x, saved, dy, grads);
    }
}

/// dx and dw where a task is no panel of rows; the output's gradient is turned once for both.
pub(super) fn products(
    layer: &Linear<'_>,
    nonzeros: Nonzeros<'_>,
    x: &[f32],
    dpre: &[f32],
    dx: Option<Grad<'_>>,
    dw: Option<Grad<'_>>,
) {
    let (&Linear { rows, inputs, outputs, .. }, pattern) = (layer, nonzeros.pattern);
    let plan = Plan::of(pattern, rows);
    let padded = plan.panels() * plan.lanes();
    aligned(padded * (inputs + outputs), |buffer| {
        let (xs, dys) = buffer.split_at_mut(padded * inputs);
        plan.pack_all(dys, dpre, outputs);
        if let Some(dx) = dx {
            pattern.with_turned_values(nonzeros.values, |values| plan.multiply_all(&pattern.turned, values, dys, xs));
            let pieces = dx.chunks(plan.piece() * inputs);
            plan.unpack_all(xs, inputs, pieces, |dx, panel, lane| put_rows(plan, dx, panel, lane, inputs));
        }
        if let Some(dw) = dw {
            plan.pack_all(xs, x, inputs);
            scratch::with(pattern.nonzeros(), |values| {
                plan.correlate_all(&pattern.direct, dys, xs, values);
                pattern.put(dw, values);
            });
        }
    });
}

/// Rows of a gradient out of a panel.
fn put_rows(plan: Plan, mut dx: Grad<'_>, panel: &[f32], lane: usize, inputs: usize) {
    if dx.mode == Accumulate::Overwrite {
        return plan.unpack(dx.out, panel, lane, inputs);
    }
    scratch::with(dx.out.len(), |rows| {
        plan.unpack(rows, panel, lane, inputs);
        dx.put(rows);
    });
}

/// Panels of rows go through all operations while they are in the cache, in bands with a weight gradient each; these
/// are added in order.
fn backward_in_bands(
    layer: &Linear<'_>,
    nonzeros: Nonzeros<'_>,
    x: &[f32],
    saved: Saved<'_>,
    dy: &[f32],
    grads: LinearGrads<'_>,
) {
    let &Linear { rows, inputs, outputs, act, .. } = layer;
    let LinearGrads { dx, dw, db, .. } = grads;
    let pattern = nonzeros.pattern;
    let (plan, weights) = (Plan::of(pattern, rows), if dw.is_some() { pattern.nonzeros() } else { 0 });
    let (lanes, wants_dx) = (plan.lanes(), dx.is_some());
    let band = rows.div_ceil(BANDS).next_multiple_of(lanes);
    let bands = rows.div_ceil(band);
    let run = |values: &[f32]| {
        scratch::with(bands * (weights + outputs), |partial| {
            let pieces = partial.chunks_mut(weights + outputs).zip(grad::chunks_or_none(dx, band * inputs, bands));
            par::for_each(2 * plan.work(&pattern.direct), pieces.enumerate(), |(i, (partial, dx))| {
                partial.fill(0.0);
                let (dw, db) = partial.split_at_mut(weights);
                let (first, end) = (i * band, rows.min((i + 1) * band));
                let count = (end - first).div_ceil(lanes);
                aligned(lanes * (inputs + 2 * outputs), |buffer| {
                    let (xs, rest) = buffer.split_at_mut(lanes * inputs);
                    let (dys, dpre) = rest.split_at_mut(lanes * outputs);
                    for (c, dx) in grad::chunks_or_none(dx, lanes * inputs, count).enumerate() {
                        let start = first + c * lanes;
                        let n = lanes.min(end - start);
                        let range = start * outputs..(start + n) * outputs;
                        let dy = &dy[range.clone()];
                        if act == Act::None {
                            reduce::add_column_sums(db, dy);
                            plan.pack(dys, dy, outputs);
                        } else {
                            let dpre = &mut dpre[..n * outputs];
                            backward_rows(act, dpre, dy, saved.slice(range), db);
                            plan.pack(dys, dpre, outputs);
                        }
                        if let Some(dx) = dx {
                            plan.multiply_panel(&pattern.turned, values, dys, xs);
                            put_rows(plan, dx, xs, 0, inputs);
                        }
                        if weights > 0 {
                            plan.pack(xs, &x[start * inputs..][..n * inputs], inputs);
                            plan.correlate_panel(&pattern.direct, dys, xs, dw);
                        }
                    }
                });
            });
            let (dw_total, db_total) = sum_of_bands(partial, weights + outputs).split_at(weights);
            if let Some(dw) = dw {
                pattern.put(dw, dw_total);
            }
            if let Some(mut db) = db {
                db.put(db_total);
            }
        });
    };
    if wants_dx { pattern.with_turned_values(nonzeros.values, run) } else { run(&[]) }
}

#[cfg(test)]
mod tests {
    use super::super::{backward, forward};
    use super::*;
    use crate::backend::cpu::common::sparse::Pattern;
    use crate::backend::cpu::common::testing::{
        assert_near, assert_same_bits, at_each_level, numeric_gradient, random,
    };

    /// A layer's operands; weights are zero where nothing is kept.
    struct Case {
        size: (usize, usize, usize),
        /// Whether products go over the nonzeros whatever that takes.
        always: bool,
        keep: Vec<bool>,
        x: Vec<f32>,
        weight: Vec<f32>,
        bias: Vec<f32>,
        residual: Vec<f32>,
        dy: Vec<f32>,
    }

    impl Case {
        fn new(size @ (rows, inputs, outputs): (usize, usize, usize), keep: Vec<bool>) -> Self {
            let weight =
                random(inputs * outputs, 2).iter().zip(&keep).map(|(w, k)| if *k { *w } else { 0.0 }).collect();
            let (x, bias) = (random(rows * inputs, 1), random(outputs, 3));
            let (residual, dy) = (random(rows * outputs, 4), random(rows * outputs, 5));
            Self { size, always: true, keep, x, weight, bias, residual, dy }
        }

        fn random(size: (usize, usize, usize), density: f32) -> Self {
            let keep = random(size.1 * size.2, 7).iter().map(|x| x + 1.0 < 2.0 * density).collect();
            Self::new(size, keep)
        }

        /// The weight's nonzeros.
        fn values(&self) -> Vec<f32> {
            self.weight.iter().zip(&self.keep).filter(|(_, keep)| **keep).map(|(w, _)| *w).collect()
        }

        fn layer<'a>(&'a self, act: Act, nonzeros: Option<(&'a Pattern, &'a [f32])>) -> Linear<'a> {
            let (rows, inputs, outputs) = self.size;
            let nonzeros = nonzeros.map(|(pattern, values)| Nonzeros { pattern, values, always: self.always });
            Linear { rows, inputs, outputs, weight: &self.weight, mask: None, bias: Some(&self.bias), act, nonzeros }
        }

        fn pattern(&self) -> Pattern {
            Pattern::new(&self.keep, self.size.2, self.size.1)
        }

        /// y, dx, dw, db; gradients begin at one where they are added to, and dw is spread where it is that of nonzeros.
        fn run(&self, act: Act, pattern: Option<&Pattern>, dense_dw: bool, add: bool) -> [Vec<f32>; 4] {
            let values = self.values();
            let layer = self.layer(act, pattern.map(|pattern| (pattern, &values[..])));
            let alone = pattern.filter(|_| !dense_dw);
            let start = if add { 1.0 } else { f32::NAN };
            let (mut y, mut pre) = (vec![f32::NAN; self.dy.len()], vec![f32::NAN; self.dy.len()]);
            let needs_pre = act.needs_pre(true);
            forward(&layer, &self.x, Some(&self.residual), &mut y, needs_pre.then_some(&mut pre[..]));
            let saved = if needs_pre { Saved::Pre(&pre) } else { Saved::Out(&y) };
            let (mut dx, mut dw) =
                (vec![start; self.x.len()], vec![start; alone.map_or(self.weight.len(), Pattern::nonzeros)]);
            let mut db = vec![start; self.bias.len()];
            let grad = |out| if add { Grad::add(out) } else { Grad::overwrite(out) };
            let (dx_grad, dw_grad, db) = (Some(grad(&mut dx)), Some(grad(&mut dw)), &mut db);
            let grads = LinearGrads { dx: dx_grad, dw: dw_grad, dense_dw, db: Some(grad(db)), dresidual: None };
            backward(&layer, &self.x, saved, &self.dy, grads);
            if let Some(pattern) = alone {
                let mut whole = vec![if add { 1.0 } else { 0.0 }; self.weight.len()];
                pattern.positions().iter().zip(&dw).for_each(|(&at, &dw)| whole[at as usize] = dw);
                dw = whole;
            }
            [y, dx, dw, db.clone()]
        }

        /// y, dx and dw of the layer without activation in plain loops.
        fn plain(&self) -> [Vec<f64>; 3] {
            let (rows, inputs, outputs) = self.size;
            let at = |v: &[f32], i: usize| f64::from(v[i]);
            let kept = |o: usize, i: usize| self.keep[o * inputs + i];
            let (mut y, mut dx) = (vec![0.0; rows * outputs], vec![0.0; rows * inputs]);
            let mut dw = vec![0.0; inputs * outputs];
            for r in 0..rows {
                for o in 0..outputs {
                    y[r * outputs + o] = at(&self.bias, o) + at(&self.residual, r * outputs + o);
                    for i in (0..inputs).filter(|i| kept(o, *i)) {
                        let (w, x, d) = (o * inputs + i, r * inputs + i, r * outputs + o);
                        y[d] += at(&self.x, x) * at(&self.weight, w);
                        dx[x] += at(&self.dy, d) * at(&self.weight, w);
                        dw[w] += at(&self.dy, d) * at(&self.x, x);
                    }
                }
            }
            [y, dx, dw]
        }
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|&x| f64::from(x)).collect()
    }

    /// Odd sizes, one row, few rows, many rows, and a weight that is cut into groups.
    const SIZES: [(usize, usize, usize); 6] =
        [(1, 5, 3), (70, 33, 50), (129, 100, 64), (1100, 19, 7), (9, 1, 1), (67, 700, 391)];

    #[test]
    fn products_are_those_of_plain_loops_at_every_density() {
        at_each_level(|| {
            for size in SIZES {
                for density in [0.0, 0.05, 0.2, 1.0] {
                    let case = Case::random(size, density);
                    let pattern = case.pattern();
                    let [y, dx, dw, _] = case.run(Act::None, Some(&pattern), false, false);
                    let [plain_y, plain_dx, plain_dw] = case.plain();
                    assert_near(&y, &plain_y, 1e-5, "y");
                    assert_near(&dx, &plain_dx, 1e-5, "dx");
                    assert_near(&dw, &plain_dw, 1e-5, "dw");
                    assert!(dw.iter().zip(&case.keep).all(|(dw, keep)| *keep || *dw == 0.0));
                }
            }
        });
    }

    #[test]
    fn empty_rows_and_columns_and_single_nonzeros_are_no_special_case() {
        let (rows, inputs, outputs) = (70, 40, 30);
        let masks: [&dyn Fn(usize, usize) -> bool; 5] = [
            &|o, _| o % 3 == 0,
            &|_, i| i == 7 || i == 39,
            &|o, i| (o, i) == (29, 39),
            &|o, i| (o, i) == (0, 0),
            &|o, i| i < o,
        ];
        at_each_level(|| {
            for mask in masks {
                let keep = (0..inputs * outputs).map(|e| mask(e / inputs, e % inputs)).collect();
                let case = Case::new((rows, inputs, outputs), keep);
                let [y, dx, dw, _] = case.run(Act::None, Some(&case.pattern()), false, false);
                let [plain_y, plain_dx, plain_dw] = case.plain();
                assert_near(&y, &plain_y, 1e-5, "y");
                assert_near(&dx, &plain_dx, 1e-5, "dx");
                assert_near(&dw, &plain_dw, 1e-5, "dw");
            }
        });
    }

    #[test]
    fn activations_residuals_and_sums_are_those_of_the_dense_layer() {
        at_each_level(|| {
            for (size, act) in SIZES.into_iter().zip([Act::Relu, Act::Gelu, Act::Tanh].into_iter().cycle()) {
                let case = Case::random(size, 0.2);
                let pattern = case.pattern();
                for (dense_dw, add) in [(false, false), (false, true), (true, false), (true, true)] {
                    let sparse = case.run(act, Some(&pattern), dense_dw, add);
                    let mut dense = case.run(act, None, true, add);
                    if !dense_dw {
                        let masked = dense[2].iter_mut().zip(&case.keep).filter(|(_, keep)| !**keep);
                        masked.for_each(|(dw, _)| *dw = if add { 1.0 } else { 0.0 });
                    }
                    for ((found, expected), what) in sparse.iter().zip(&dense).zip(["y", "dx", "dw", "db"]) {
                        assert_near(found, &wide(expected), 1e-5, what);
                    }
                }
            }
        });
    }

    #[test]
    fn products_that_would_take_longer_are_dense_and_leave_zeros_where_the_weight_is() {
        // All over nonzeros; dw dense; all dense, for one row in a panel.
        for (size, density, expected) in
            [((128, 90, 70), 0.2, (true, true)), ((64, 90, 70), 0.3, (true, false)), ((1, 90, 70), 0.3, (false, false))]
        {
            let case = Case { always: false, ..Case::random(size, density) };
            let pattern = case.pattern();
            at_each_level(|| {
                let nonzeros = Nonzeros { pattern: &pattern, values: &[], always: false };
                assert_eq!((nonzeros.multiplies(size.0), nonzeros.correlates(size.0)), expected, "{size:?}");
            });
            for (dense_dw, add) in [(false, false), (false, true), (true, false)] {
                let found = case.run(Act::Gelu, Some(&pattern), dense_dw, add);
                let mut dense = case.run(Act::Gelu, None, true, add);
                if !dense_dw {
                    let masked = dense[2].iter_mut().zip(&case.keep).filter(|(_, keep)| !**keep);
                    masked.for_each(|(dw, _)| *dw = if add { 1.0 } else { 0.0 });
                }
                for ((found, expected), what) in found.iter().zip(&dense).zip(["y", "dx", "dw", "db"]) {
                    assert_near(found, &wide(expected), 1e-5, what);
                }
            }
            assert_same_bits(|| case.run(Act::Relu, Some(&pattern), false, false).concat());
        }
    }

    #[test]
    fn gradients_are_the_slopes_of_the_output() {
        let case = Case::random((7, 9, 6), 0.4);
        let pattern = case.pattern();
        let [_, dx, dw, _] = case.run(Act::Tanh, Some(&pattern), false, false);
        let by = |x: &[f64], w: &[f64]| -> f64 {
            let (rows, inputs, outputs) = case.size;
            let mut sum = 0.0;
            for (e, dy) in case.dy.iter().enumerate().take(rows * outputs) {
                let (r, o) = (e / outputs, e % outputs);
                let pre: f64 = (0..inputs).map(|i| x[r * inputs + i] * w[o * inputs + i]).sum();
                sum += f64::from(*dy) * (pre + f64::from(case.bias[o])).tanh();
            }
            sum
        };
        let (x, w) = (wide(&case.x), wide(&case.weight));
        assert_near(&dx, &numeric_gradient(&x, |x| by(x, &w)), 1e-4, "dx");
        let mut slopes = numeric_gradient(&w, |w| by(&x, w));
        slopes.iter_mut().zip(&case.keep).filter(|(_, keep)| !**keep).for_each(|(slope, _)| *slope = 0.0);
        assert_near(&dw, &slopes, 1e-4, "dw");
    }

    #[test]
    fn threads_do_not_change_bits() {
        for (size, density) in [((128, 300, 100), 0.1), ((1500, 96, 70), 0.05), ((80, 700, 400), 0.03)] {
            let case = Case::random(size, density);
            let pattern = case.pattern();
            for dense_dw in [false, true] {
                assert_same_bits(|| case.run(Act::Gelu, Some(&pattern), dense_dw, false).concat());
            }
        }
    }
}
