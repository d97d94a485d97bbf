//! Operations of image networks; each family in a file of its own.

mod attention;
mod conv;
mod layer_norm;
mod merge;
mod tiles;
mod tokens;

use super::memory::Ptr;
use super::{Cuda, Dest};
use crate::backend::Slot;
use crate::backend::tensor::Tensor;
use crate::backend::vision::{Conv2d, Conv2dSaved, Heads, LayerGrads, Merge, VisionOps};
use crate::error::{Error, Result};

type T = Tensor<Cuda>;

impl VisionOps for Cuda {
    fn conv2d(op: &Conv2d<Self>, save: bool) -> Result<(T, Option<Conv2dSaved<Self>>)> {
        conv::forward(op, save)
    }
    fn conv2d_backward(
        op: &Conv2d<Self>,
        saved: &Conv2dSaved<Self>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        conv::backward(op, saved, dy, grads)
    }
    fn layer_norm(x: &T, gamma: &T, beta: &T, eps: f32) -> Result<(T, T)> {
        layer_norm::forward(x, gamma, beta, eps)
    }
    fn layer_norm_backward(x: &T, gamma: &T, stats: &T, dy: &T, grads: LayerGrads<'_, Self>) -> Result<()> {
        layer_norm::backward(x, gamma, stats, dy, grads)
    }
    fn attention(shape: Heads, qkv: &T, sizes: Option<&T>, save: bool) -> Result<(T, Option<T>)> {
        attention::forward(shape, qkv, sizes, save)
    }
    fn attention_backward(shape: Heads, qkv: &T, probabilities: &T, dy: &T, dqkv: &mut Slot<Self>) -> Result<()> {
        attention::backward(shape, qkv, probabilities, dy, dqkv)
    }
    fn patches(x: &T, side: usize) -> Result<T> {
        tokens::patches(x, side)
    }
    fn embed(x: &T, class: Option<&T>, position: Option<&T>) -> Result<T> {
        tokens::embed(x, class, position)
    }
    fn embed_backward(
        x: &T,
        class: Option<&T>,
        position: Option<&T>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        tokens::embed_backward(x, class, position, dy, grads)
    }
    fn mean_tokens(x: &T, sizes: Option<&T>) -> Result<T> {
        tokens::mean(x, sizes)
    }
    fn mean_tokens_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        tokens::mean_backward(x, sizes, dy, dx)
    }
    fn take_token(x: &T, index: usize) -> Result<T> {
        tokens::take(x, index)
    }
    fn take_token_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        tokens::take_backward(x, index, dy, dx)
    }
    fn dropout(x: &T, p: f32, seed: u64) -> Result<T> {
        tokens::dropout(x, p, seed)
    }
    fn match_tokens(metric: &T, r: usize, protected: usize) -> Result<Merge<Cuda>> {
        merge::matching(metric, r, protected)
    }
    fn merge_tokens(merge: &Merge<Cuda>, x: &T, sizes: &T) -> Result<(T, T)> {
        merge::forward(merge, x, sizes)
    }
    fn merge_tokens_backward(
        merge: &Merge<Cuda>,
        x: &T,
        dy: &T,
        sizes: &T,
        kept: &T,
        dx: &mut Slot<Self>,
    ) -> Result<()> {
        merge::backward(merge, x, dy, sizes, kept, dx)
    }
}

/// Warps of a block where each works alone.
const WARPS: usize = 8;

/// Makes sure that a kernel finds as many elements as it reads.
fn same(what: &str, t: &T, count: usize) -> Result<()> {
    if t.count() == count {
        return Ok(());
    }
    Err(Error::shape(what, format!("{} has {} elements, {count} are needed", t.shape(), t.count())))
}

/// A destination as kernels take it, and whether they add to it.
fn dest_or_null(dest: Option<Dest>) -> (Ptr, u32) {
    dest.map_or((Ptr::NULL, 0), |d| (d.ptr, d.add))
}
