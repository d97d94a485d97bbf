//! Attention as a map of its values: how much each token attends to another is held as it was in the pass.

use super::{Mapping, Operation, Part};
use crate::autograd::Tape;
use crate::backend::{Backend, Heads};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Notes an attention of `qkv [batch * tokens, 3 * heads * head_dim]`.
    pub(in crate::autograd) fn note_attention(
        &mut self,
        shape: Heads,
        qkv: &Tensor<B>,
        sizes: Option<&Tensor<B>>,
        y: &Tensor<B>,
    ) -> Result<()> {
        let Heads { tokens, heads, head_dim, scale, .. } = shape;
        let operands: Vec<&Tensor<B>> = std::iter::once(qkv).chain(sizes).collect();
        self.write_down(Operation::Attention { tokens, heads, head_dim, scale }, &operands, &[y]);
        let (width, rows, sizes) = (shape.width(), shape.batch * shape.tokens, sizes.cloned());
        let columns = |keep: &dyn Fn(usize) -> bool| {
            let row = (0..3 * width).map(|i| f32::from(u8::from(keep(i))));
            let rows = row.collect::<Vec<_>>().repeat(rows);
            Tensor::from_vec(qkv.device(), rows, qkv.shape())
        };
        let values = columns(&|i| i >= 2 * width)?;
        // Queries and keys as they were: the probabilities are those of the pass, whatever the values.
        let held = qkv.detach().mul(&columns(&|i| i < 2 * width)?)?;
        self.note(&[qkv], y, Mapping::Linear, move |tape, inputs, part| match part {
            Part::All | Part::Positive => {
                let values = tape.mul(&inputs[0], &values)?;
                let qkv = tape.add(&values, &held)?;
                tape.attention(shape, &qkv, sizes.as_ref()).map(Some)
            }
            Part::Negative | Part::Constant => Ok(None),
        });
        Ok(())
    }
}
