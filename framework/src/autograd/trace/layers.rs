//! Layers with weights as maps: linear, convolutions, and a batch normalisation behind one.

use super::{Mapping, Operation, Part, of_sign};
use crate::autograd::Tape;
use crate::backend::{Backend, BatchNorm, Conv2d, ConvTranspose2d, Weight};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Tape<B> {
    /// Notes `x w^T + b = z`.
    pub(in crate::autograd) fn note_linear(
        &mut self,
        x: &Tensor<B>,
        w: &Weight<B>,
        b: Option<&Tensor<B>>,
        z: &Tensor<B>,
    ) -> Result<()> {
        self.write_layer(Operation::Linear, x, (w, b), z)?;
        let (w, b) = (effective(w)?, b.map(Tensor::detach));
        self.note(&[x], z, Mapping::Linear, move |tape, inputs, part| {
            if part != Part::Constant {
                let w = Weight::plain(of_sign(part, &w)?);
                return tape.linear(&inputs[0], w, None, crate::backend::Act::None, None).map(Some);
            }
            let Some(b) = &b else { return Ok(None) };
            // A weight of zeros for one input: what is left is the bias in every row.
            let rows = inputs[0].shape().around(0).1;
            let (x, w) = (Tensor::zeros(b.device(), [rows, 1])?, Tensor::zeros(b.device(), [b.count(), 1])?);
            tape.linear(&x, Weight::plain(w), Some(b.clone()), crate::backend::Act::None, None).map(Some)
        });
        Ok(())
    }

    /// Notes a convolution without activation or pooling.
    pub(in crate::autograd) fn note_conv2d(&mut self, op: &Conv2d<B>, z: &Tensor<B>) -> Result<()> {
        let Conv2d { stride, padding, groups, .. } = *op;
        self.write_layer(Operation::Conv2d { stride, padding, groups }, &op.x, (&op.w, op.b.as_ref()), z)?;
        let op = Conv2d { w: Weight::plain(effective(&op.w)?), b: op.b.as_ref().map(Tensor::detach), ..op.clone() };
        self.note(&[&op.x.clone()], z, Mapping::Linear, move |tape, inputs, part| {
            if part != Part::Constant {
                let w = Weight::plain(of_sign(part, &op.w.value)?);
                return tape.conv2d(Conv2d { x: inputs[0].clone(), w, b: None, ..op.clone() }).map(Some);
            }
            if op.b.is_none() {
                return Ok(None);
            }
            let (x, w) = (inputs[0].shape().with(1, 1), op.w.value.shape().with(1, 1));
            let (x, w) = (Tensor::zeros(inputs[0].device(), x)?, Tensor::zeros(inputs[0].device(), w)?);
            tape.conv2d(Conv2d { x, w: Weight::plain(w), groups: 1, ..op.clone() }).map(Some)
        });
        Ok(())
    }

    /// Notes a transposed convolution without activation.
    pub(in crate::autograd) fn note_conv_transpose2d(&mut self, op: &ConvTranspose2d<B>, z: &Tensor<B>) -> Result<()> {
        let ConvTranspose2d { stride, padding, .. } = *op;
        self.write_layer(Operation::ConvTranspose2d { stride, padding }, &op.x, (&op.w, op.b.as_ref()), z)?;
        let (w, b) = (Weight::plain(effective(&op.w)?), op.b.as_ref().map(Tensor::detach));
        let op = ConvTranspose2d { w, b, ..op.clone() };
        self.note(&[&op.x.clone()], z, Mapping::Linear, move |tape, inputs, part| {
            if part != Part::Constant {
                let w = Weight::plain(of_sign(part, &op.w.value)?);
                let op = ConvTranspose2d { x: inputs[0].clone(), w, b: None, ..op.clone() };
                return tape.conv_transpose2d(op).map(Some);
            }
            if op.b.is_none() {
                return Ok(None);
            }
            let (x, w) = (inputs[0].shape().with(1, 1), op.w.value.shape().with(0, 1));
            let (x, w) = (Tensor::zeros(inputs[0].device(), x)?, Tensor::zeros(inputs[0].device(), w)?);
            tape.conv_transpose2d(ConvTranspose2d { x, w: Weight::plain(w), ..op.clone() }).map(Some)
        });
        Ok(())
    }

    /// Writes a layer with a weight down.
    fn write_layer(
        &mut self,
        operation: Operation,
        x: &Tensor<B>,
        (w, b): (&Weight<B>, Option<&Tensor<B>>),
        z: &Tensor<B>,
    ) -> Result<()> {
        // A weight without a mask keeps its identity, by which its name is found.
        let w = if w.mask.is_some() { effective(w)? } else { w.value.clone() };
        let inputs: Vec<&Tensor<B>> = [x, &w].into_iter().chain(b).collect();
        self.write_down(operation, &inputs, &[z]);
        Ok(())
    }

    /// The convolution whose result nothing but the batch normalisation `norm` reads, and that normalisation, noted as
    /// the one convolution that they are with the statistics of this pass; `y` is its result.
    pub(crate) fn note_conv2d_norm(&mut self, conv: &Conv2d<B>, norm: &BatchNorm<B>, y: &Tensor<B>) -> Result<()> {
        let Some(trace) = &mut self.trace else { return Ok(()) };
        trace.retain(|call| call.output.id() != norm.x.id() && call.output.id() != y.id());
        let (scale, shift) = (norm.scale()?, norm.shift()?);
        let w = effective(&conv.w)?;
        // Filters are the channels of one example.
        let filters = w.shape().around(0);
        let as_channels = w.reshape([1, filters.1, filters.2])?;
        let w = B::batch_norm(&norm.scaling(&as_channels, &scale, None)?)?.reshape(w.shape())?;
        let b = match &conv.b {
            Some(b) => b.mul(&scale)?.add(&shift)?,
            None => shift,
        };
        let folded = Conv2d { w: Weight::plain(w), b: Some(b), ..conv.clone() };
        self.note_conv2d(&folded, y)
    }
}

/// A weight without what is masked out, as a value of its own.
fn effective<B: Backend>(w: &Weight<B>) -> Result<Tensor<B>> {
    w.mask.as_ref().map_or_else(|| Ok(w.value.detach()), |mask| w.value.mul(mask))
}
