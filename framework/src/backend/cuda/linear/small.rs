//! Layers that are too small for cuBLAS: their time is that of the launches, so they have one forward and one backward.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::activation::code;
use crate::backend::cuda::runtime::{Context, Dest, Ptr, extent, ptr_or_null};
use crate::backend::{Act, Linear};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

/// Multiplications of a product up to which one launch of our own takes no longer than cuBLAS and what surrounds it.
const MOST: usize = 1 << 23;
/// Rows and columns of a block's results; as in `small.cu`.
const SIDE: usize = 16;

/// Where the gradients of a small layer go.
pub(super) struct Dests {
    pub dx: Option<Dest>,
    pub dw: Option<Dest>,
    pub db: Option<Dest>,
}

pub(super) fn fits(op: &Linear<Cuda>) -> bool {
    let (rows, inputs, outputs) = op.sizes();
    rows.saturating_mul(inputs).saturating_mul(outputs) <= MOST && rows.max(inputs).max(outputs) <= MOST
}

/// Blocks of a product with so many results.
fn blocks(rows: usize, cols: usize) -> usize {
    rows.div_ceil(SIDE) * cols.div_ceil(SIDE)
}

pub(super) fn forward(cx: &Context, op: &Linear<Cuda>, y: &T, pre: Option<&T>) -> Result<()> {
    let (rows, inputs, outputs) = op.sizes();
    let sizes = (extent(rows)?, extent(inputs)?, extent(outputs)?);
    let (mask, bias) = (ptr_or_null(op.w.mask.as_ref()), ptr_or_null(op.b.as_ref()));
    let (x, w, residual, pre) = (op.x.ptr(), op.w.value.ptr(), ptr_or_null(op.residual.as_ref()), ptr_or_null(pre));
    let args = (code(op.act), sizes.0, sizes.1, sizes.2, x, w, mask, bias, residual, y.ptr(), pre);
    cx.launch("small_linear", extent(blocks(rows, outputs))?, 256, 0, args)
}

pub(super) fn backward(cx: &Context, op: &Linear<Cuda>, kept: &T, dy: &T, to: Dests) -> Result<()> {
    let (rows, inputs, outputs) = op.sizes();
    let sizes = (extent(rows)?, extent(inputs)?, extent(outputs)?);
    let (act, pre) = (code(op.act), u32::from(op.act.needs_pre(op.residual.is_some())));
    let kept = if op.act == Act::None { Ptr::NULL } else { kept.ptr() };
    let weights = blocks(outputs, inputs + usize::from(to.db.is_some()));
    let inputs = if to.dx.is_some() { blocks(rows, inputs) } else { 0 };
    let [(dx, add_x), (dw, add_w), (db, add_b)] =
        [to.dx, to.dw, to.db].map(|d| d.map_or((Ptr::NULL, 0), |d| (d.ptr, d.add)));
    let (x, w, mask) = (op.x.ptr(), op.w.value.ptr(), ptr_or_null(op.w.mask.as_ref()));
    let args = (
        act,
        pre,
        sizes.0,
        sizes.1,
        sizes.2,
        extent(weights)?,
        x,
        w,
        mask,
        dy.ptr(),
        kept,
        dx,
        add_x,
        dw,
        add_w,
        db,
        add_b,
    );
    cx.launch("small_linear_backward", extent(weights + inputs)?, 256, 0, args)
}
