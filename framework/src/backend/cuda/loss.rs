//! Losses of class ids.

use super::launch::extent;
use super::memory::{Ptr, ptr_or_null};
use super::{Context, Cuda, Ints};
use crate::backend::LossValue;
use crate::backend::cpu::kernels::loss::UnknownClass;
use crate::backend::tensor::Tensor;
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

pub(super) fn cross_entropy(logits: &T, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Cuda>> {
    let &[rows, columns] = &*logits.shape() else {
        return Err(Error::shape("cross-entropy", format!("logits {} must have two axes", logits.shape())));
    };
    if rows != classes.len() {
        return Err(Error::shape("cross-entropy", format!("{rows} rows of logits for {} examples", classes.len())));
    }
    if let Some((row, &class)) = classes.iter().enumerate().find(|(_, c)| **c as usize >= columns) {
        return Err(Error::Config(UnknownClass { row, class: class as usize, classes: columns }.to_string()));
    }
    let cx = Context::get()?;
    extent(logits.count())?;
    by_row(cx, logits, classes, grad, |ids, loss, hit, gradient| {
        const WARPS: usize = 8;
        let sizes = (extent(rows)?, extent(columns)?);
        let args = (sizes.0, sizes.1, smoothing, logits.ptr(), ids, loss, hit, gradient);
        cx.launch("cross_entropy", extent(rows.div_ceil(WARPS))?, 32 * WARPS as u32, 0, args)
    })
}

pub(super) fn binary_cross_entropy(logits: &T, classes: &[u32], grad: bool) -> Result<LossValue<Cuda>> {
    if logits.count() != classes.len() {
        let message = format!("logits {} for {} examples", logits.shape(), classes.len());
        return Err(Error::shape("binary cross-entropy", message));
    }
    let cx = Context::get()?;
    by_row(cx, logits, classes, grad, |ids, loss, hit, gradient| {
        let rows = classes.len();
        cx.launch_over("binary_cross_entropy", rows, (extent(rows)?, logits.ptr(), ids, loss, hit, gradient))
    })
}

/// Launches a kernel that writes loss and hit of every row, and where wanted the gradient; then their totals.
fn by_row(
    cx: &Context,
    logits: &T,
    classes: &[u32],
    grad: bool,
    launch: impl FnOnce(Ptr, Ptr, Ptr, Ptr) -> Result<()>,
) -> Result<LossValue<Cuda>> {
    let rows = classes.len();
    let ids = Ints::upload(cx, classes)?;
    let gradient = grad.then(|| cx.tensor(logits.shape())).transpose()?;
    let (loss, hit) = (cx.tensor([rows])?, cx.tensor([rows])?);
    launch(ids.ptr(), loss.ptr(), hit.ptr(), ptr_or_null(gradient.as_ref()))?;
    let figures = cx.tensor([2])?;
    cx.launch("loss_total", 1, 256, 0, (extent(rows)?, loss.ptr(), hit.ptr(), figures.ptr()))?;
    Ok(LossValue { figures, grad: gradient })
}
