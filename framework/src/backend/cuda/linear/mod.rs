//! Fully connected layers: matrix products, and what surrounds them.

mod small;

use super::Cuda;
use super::activation::code;
use super::runtime::{Context, Dest, Gemm, Ptr, extent, ptr_or_null, wanted};
use super::tensor::elementwise;
use super::tensor::reduce::column_sums;
use crate::backend::{Act, Binary, Linear, LinearGrads, LinearOps, LinearSaved, Slot, Weight};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};

type T = Tensor<Cuda>;

impl LinearOps for Cuda {
    const SPARSE: bool = false;

    fn sparse_pays() -> bool {
        false
    }

    fn lacks_bf16() -> Option<String> {
        Some("products on NVIDIA GPUs are computed in f32".into())
    }

    fn lacks_portable_bits() -> Option<String> {
        Some("products on NVIDIA GPUs add in the order of their libraries".into())
    }

    fn pattern(_keep: &[bool], _outputs: usize, _inputs: usize) -> Option<Self::Pattern> {
        None
    }

    fn gather(_whole: &T, pattern: &Self::Pattern) -> Result<T> {
        match *pattern {}
    }

    fn spread(_values: &T, pattern: &Self::Pattern, _shape: Shape) -> T {
        match *pattern {}
    }

    fn places(pattern: &Self::Pattern) -> &[u32] {
        match *pattern {}
    }

    fn linear(op: &Linear<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)> {
        forward(op, save)
    }

    fn linear_backward(
        op: &Linear<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        grads: LinearGrads<'_, Self>,
    ) -> Result<()> {
        backward(op, &saved, &dy, grads)
    }
}

/// Rows whose column sums one block adds up.
const PIECE: usize = 256;

fn forward(op: &Linear<Cuda>, save: bool) -> Result<(T, LinearSaved<Cuda>)> {
    let cx = Context::get()?;
    let (rows, inputs, outputs) = op.sizes();
    let needs_pre = save && op.act.needs_pre(op.residual.is_some());
    let y = cx.tensor([rows, outputs])?;
    let pre = needs_pre.then(|| cx.tensor([rows, outputs])).transpose()?;
    let kept = |y: &T, pre: Option<T>| if needs_pre { pre } else { save.then(|| y.clone()) };
    if small::fits(op) {
        small::forward(cx, op, &y, pre.as_ref())?;
        let kept = kept(&y, pre);
        return Ok((y, LinearSaved { kept, masked: None }));
    }
    let weight = effective(&op.w)?;
    let (a, b) = ((op.x.ptr(), false), (weight.ptr(), true));
    cx.gemm(Gemm { m: rows, n: outputs, k: inputs, a, b, c: y.ptr(), add: false })?;
    if op.act != Act::None || op.b.is_some() || op.residual.is_some() {
        let (n, bias, residual) = (rows * outputs, ptr_or_null(op.b.as_ref()), ptr_or_null(op.residual.as_ref()));
        let args = (code(op.act), extent(n)?, extent(outputs)?, y.ptr(), bias, residual, ptr_or_null(pre.as_ref()));
        cx.launch_over("linear_finish", n, args)?;
    }
    let kept = kept(&y, pre);
    Ok((y, LinearSaved { kept, masked: None }))
}

fn backward(op: &Linear<Cuda>, saved: &LinearSaved<Cuda>, dy: &T, grads: LinearGrads<'_, Cuda>) -> Result<()> {
    let cx = Context::get()?;
    let (rows, inputs, outputs) = op.sizes();
    let kept = saved.kept.as_ref().ok_or_else(|| Error::Other("linear: the forward pass saved nothing".into()))?;
    if let Some(residual) = grads.residual {
        pass_on(residual, dy)?;
    }
    let db = wanted(cx, grads.b, op.b.as_ref())?;
    if small::fits(op) && grads.w.is_some() {
        let dw = wanted(cx, grads.w, Some(&op.w.value))?;
        let dx = wanted(cx, grads.x, Some(&op.x))?;
        return small::backward(cx, op, kept, dy, small::Dests { dx, dw, db });
    }
    let own = match op.act {
        Act::None => None,
        _ => Some(cx.tensor([rows, outputs])?),
    };
    if own.is_some() || db.is_some() {
        let pre = u32::from(op.act.needs_pre(op.residual.is_some()));
        let kept = own.as_ref().map(|_| (code(op.act), pre, kept.ptr()));
        slopes_and_sums(cx, (rows, outputs), dy, kept, ptr_or_null(own.as_ref()), db)?;
    }
    let dpre = own.as_ref().unwrap_or(dy).ptr();
    if let Some(dx) = wanted(cx, grads.x, Some(&op.x))? {
        let weight = effective(&op.w)?;
        let (a, b) = ((dpre, false), (weight.ptr(), false));
        cx.gemm(Gemm { m: rows, n: inputs, k: outputs, a, b, c: dx.ptr, add: dx.add == 1 })?;
    }
    if let Some(dw) = wanted(cx, grads.w, Some(&op.w.value))? {
        let (a, b) = ((dpre, true), (op.x.ptr(), false));
        cx.gemm(Gemm { m: outputs, n: inputs, k: rows, a, b, c: dw.ptr, add: dw.add == 1 })?;
    }
    Ok(())
}

/// `dpre [rows, cols] = dy act'(kept)` where there is an activation (its number, whether its input was kept, what was
/// kept), and the column sums of that where they are wanted.
fn slopes_and_sums(
    cx: &Context,
    (rows, cols): (usize, usize),
    dy: &T,
    kept: Option<(u32, u32, Ptr)>,
    dpre: Ptr,
    sums: Option<Dest>,
) -> Result<()> {
    let (act, pre, kept) = kept.unwrap_or((0, 0, Ptr::NULL));
    // At most 256 partial sums a column: the second kernel stays short.
    let piece = PIECE.max(rows.div_ceil(PIECE));
    let pieces = rows.div_ceil(piece);
    let partial = match &sums {
        Some(_) if pieces != 1 => Some(cx.tensor([pieces, cols])?),
        _ => None,
    };
    let (to, add) = match (&partial, &sums) {
        (Some(partial), _) => (partial.ptr(), 0),
        (None, Some(sums)) => (sums.ptr, sums.add),
        (None, None) => (Ptr::NULL, 0),
    };
    extent(rows * cols)?;
    let (tiles, sizes) = (extent(cols.div_ceil(32))?, (extent(rows)?, extent(cols)?, extent(piece)?));
    let args = (act, pre, sizes.0, sizes.1, sizes.2, dy.ptr(), kept, dpre, to, add);
    cx.launch("linear_backward", (tiles, extent(pieces)?), (32, 8), 0, args)?;
    match (partial, sums) {
        (Some(partial), Some(sums)) => column_sums(cx, (pieces, cols), partial.ptr(), &sums),
        _ => Ok(()),
    }
}

/// The weight that takes part: itself, or its product with its mask.
fn effective(w: &Weight<Cuda>) -> Result<T> {
    match &w.mask {
        Some(mask) => elementwise::binary(Binary::Mul, &w.value, mask),
        None => Ok(w.value.clone()),
    }
}

/// A gradient that flows through unchanged; shared where nothing is there yet.
fn pass_on(slot: &mut Slot<Cuda>, dy: &T) -> Result<()> {
    match &mut slot.0 {
        Some(there) => elementwise::accumulate(there, dy),
        none => {
            *none = Some(dy.detach());
            Ok(())
        }
    }
}
