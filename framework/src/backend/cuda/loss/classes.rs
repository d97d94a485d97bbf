//! Losses of class ids.

use crate::backend::LossValue;
use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Arg, Context, Ints, Ptr, extent, ptr_or_null};
use crate::backend::loss::{check_binary_cross_entropy, check_cross_entropy};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

pub(super) fn cross_entropy(logits: &T, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Cuda>> {
    let (rows, columns) = check_cross_entropy(logits, classes)?;
    let cx = Context::get()?;
    extent(logits.count())?;
    let sizes = (extent(rows)?, extent(columns)?);
    // A warp a row; one block where it is done soon enough.
    let small = rows * columns.next_multiple_of(32) <= 1 << 14;
    let (blocks, threads) = if small { (1, 1024) } else { (rows.div_ceil(8).min(16 * cx.processors as usize), 256) };
    by_blocks(cx, logits, rows, blocks, grad, |parts, metrics, gradient| {
        let logits = logits.ptr();
        if let Some(few) = Few::of(classes) {
            let args = (sizes.0, sizes.1, smoothing, logits, few, parts, metrics, gradient);
            return cx.launch("cross_entropy_few", extent(blocks)?, threads, 0, args);
        }
        let ids = Ints::upload(cx, classes)?;
        let args = (sizes.0, sizes.1, smoothing, logits, ids.ptr(), parts, metrics, gradient);
        cx.launch("cross_entropy", extent(blocks)?, threads, 0, args)
    })
}

pub(super) fn binary_cross_entropy(logits: &T, classes: &[u32], grad: bool) -> Result<LossValue<Cuda>> {
    let rows = check_binary_cross_entropy(logits, classes)?;
    let cx = Context::get()?;
    let blocks = rows.div_ceil(1024).clamp(1, 4 * cx.processors as usize);
    let ids = Ints::upload(cx, classes)?;
    by_blocks(cx, logits, rows, blocks, grad, |parts, metrics, gradient| {
        let args = (extent(rows)?, logits.ptr(), ids.ptr(), parts, metrics, gradient);
        cx.launch("binary_cross_entropy", extent(blocks)?, 256, 0, args)
    })
}

/// Class ids small in number enough to travel with a launch, without a copy of their own; laid out as in `classes.cu`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Few([u32; 256]);

impl Arg for Few {}

impl Few {
    fn of(classes: &[u32]) -> Option<Self> {
        let mut ids = [0; 256];
        ids.get_mut(..classes.len())?.copy_from_slice(classes);
        Some(Self(ids))
    }
}

/// Launches a kernel whose blocks leave the sums of their rows, and where wanted the gradient; then puts the sums of
/// several blocks together.
fn by_blocks(
    cx: &Context,
    logits: &T,
    rows: usize,
    blocks: usize,
    grad: bool,
    launch: impl FnOnce(Ptr, Ptr, Ptr) -> Result<()>,
) -> Result<LossValue<Cuda>> {
    let gradient = grad.then(|| cx.tensor(logits.shape())).transpose()?;
    let metrics = cx.tensor([2])?;
    // Two numbers of eight bytes for each block.
    let parts = (blocks > 1).then(|| cx.tensor([4 * blocks])).transpose()?;
    launch(ptr_or_null(parts.as_ref()), metrics.ptr(), ptr_or_null(gradient.as_ref()))?;
    if let Some(parts) = parts {
        cx.launch("loss_total", 1, 256, 0, (extent(blocks)?, extent(rows)?, parts.ptr(), metrics.ptr()))?;
    }
    Ok(LossValue { metrics, grad: gradient })
}
