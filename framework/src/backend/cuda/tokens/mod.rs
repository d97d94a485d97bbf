//! Tokens.

mod merge;
mod sequence;

use super::Cuda;
use crate::backend::{LayerGrads, Merge, Slot, TokenOps};
use crate::error::Result;
use crate::tensor::Tensor;

type T = Tensor<Cuda>;

impl TokenOps for Cuda {
    fn patches(x: &T, side: usize) -> Result<T> {
        sequence::patches(x, side)
    }
    fn embed(x: &T, class: Option<&T>, position: Option<&T>) -> Result<T> {
        sequence::embed(x, class, position)
    }
    fn embed_backward(
        x: &T,
        class: Option<&T>,
        position: Option<&T>,
        dy: &T,
        grads: LayerGrads<'_, Self>,
    ) -> Result<()> {
        sequence::embed_backward(x, class, position, dy, grads)
    }
    fn mean_tokens(x: &T, sizes: Option<&T>) -> Result<T> {
        sequence::mean(x, sizes)
    }
    fn mean_tokens_backward(x: &T, sizes: Option<&T>, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        sequence::mean_backward(x, sizes, dy, dx)
    }
    fn take_token(x: &T, index: usize) -> Result<T> {
        sequence::take(x, index)
    }
    fn take_token_backward(x: &T, index: usize, dy: &T, dx: &mut Slot<Self>) -> Result<()> {
        sequence::take_backward(x, index, dy, dx)
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
