//! One launch over many tensors: their common norm, and their values for the host.

use crate::backend::cuda::Cuda;
use crate::backend::cuda::runtime::{Arg, Context, Ptr, extent};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

/// One tensor, or what belongs to one parameter; laid out as in `multi_tensor.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in crate::backend::cuda) struct One {
    pub weight: Ptr,
    pub grad: Ptr,
    pub first_state: Ptr,
    pub second_state: Ptr,
    pub mask: Ptr,
    pub n: u32,
    pub size: f32,
    pub root: f32,
    pub decay: f32,
    pub shrink: f32,
}

/// No tensor.
pub(in crate::backend::cuda) const NOTHING: One = One {
    weight: Ptr::NULL,
    grad: Ptr::NULL,
    first_state: Ptr::NULL,
    second_state: Ptr::NULL,
    mask: Ptr::NULL,
    n: 0,
    size: 0.0,
    root: 0.0,
    decay: 0.0,
    shrink: 0.0,
};

/// As many as fit into the 4 KB of a kernel's parameters.
pub(in crate::backend::cuda) const AT_ONCE: usize = 56;

/// The tensors of one launch.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in crate::backend::cuda) struct Many([One; AT_ONCE]);

impl Arg for Many {}

impl Many {
    pub fn of(ones: &[One]) -> Self {
        let mut all = [NOTHING; AT_ONCE];
        all[..ones.len()].copy_from_slice(ones);
        Self(all)
    }
}

/// Threads of a block.
pub(in crate::backend::cuda) const THREADS: u32 = 256;

/// Blocks for the largest of some tensors: four elements a thread, and no more blocks than keep the GPU busy.
pub(in crate::backend::cuda) fn blocks(cx: &Context, ones: &[One]) -> u32 {
    let most = ones.iter().map(|o| o.n).max().unwrap_or(0);
    most.div_ceil(4 * THREADS).clamp(1, 16 * cx.processors)
}

/// The sum of the squares of all elements of some tensors: one number of eight bytes.
pub(super) fn norm_squared(cx: &Context, tensors: &[&T]) -> Result<T> {
    let (sums, count) = squares(cx, tensors)?;
    let total = cx.tensor([2])?;
    cx.launch("total", 1, THREADS, 0, (extent(count)?, sums.ptr(), total.ptr()))?;
    Ok(total)
}

/// Partial sums of the squares of all elements, numbers of eight bytes, and how many there are.
pub(in crate::backend::cuda) fn squares(cx: &Context, tensors: &[&T]) -> Result<(T, usize)> {
    let one = |t: &&T| Ok(One { grad: t.ptr(), n: extent(t.count())?, ..NOTHING });
    let ones = tensors.iter().map(one).collect::<Result<Vec<_>>>()?;
    let blocks = blocks(cx, &ones);
    let count = ones.len() * blocks as usize;
    let sums = cx.tensor([2 * count])?;
    for (i, ones) in ones.chunks(AT_ONCE).enumerate() {
        let to = sums.ptr().offset(8 * i * AT_ONCE * blocks as usize);
        cx.launch("squares", (blocks, extent(ones.len())?), THREADS, 0, (Many::of(ones), to))?;
    }
    Ok((sums, count))
}

/// Values of several tensors with one copy.
pub(super) fn host_all(tensors: &[&T]) -> Vec<Vec<f32>> {
    let gathered = gather(tensors).map(|t| t.to_vec());
    let mut rest = match gathered {
        Ok(values) => values.into_iter(),
        // As `host`: NaN now, and the next operation says why.
        Err(_) => vec![f32::NAN; tensors.iter().map(|t| t.count()).sum()].into_iter(),
    };
    tensors.iter().map(|t| rest.by_ref().take(t.count()).collect()).collect()
}

fn gather(tensors: &[&T]) -> Result<T> {
    let cx = Context::get()?;
    let all = cx.tensor([tensors.iter().map(|t| t.count()).sum()])?;
    let mut at = 0;
    let mut ones = vec![];
    for t in tensors {
        ones.push(One { weight: all.ptr().offset(4 * at), grad: t.ptr(), n: extent(t.count())?, ..NOTHING });
        at += t.count();
    }
    for ones in ones.chunks(AT_ONCE) {
        cx.launch("gather", (blocks(cx, ones), extent(ones.len())?), THREADS, 0, (Many::of(ones),))?;
    }
    Ok(all)
}
