//! dfdx's own operations on the tape.

use super::{Operation, Tape};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use dfdx::prelude::{
    Backward, HasShape, OwnedTape, PutTape, ReduceShapeTo, Shape as DfdxShape, SplitTape, SumTo, Tensor as DfdxTensor,
    Trace,
};

impl<B: Backend> Tape<B> {
    /// Runs operations of dfdx on `x`, seen as shape `shape`, and records their gradient.
    ///
    /// This is the way to any dfdx operation that has no fused form here; dfdx differentiates it with its own tape.
    ///
    /// ```
    /// use secateur::{autograd::Tape, backend::Cpu, dfdx::prelude::*, tensor::Tensor};
    /// let x = Tensor::from_vec(&Cpu::default(), vec![1.0, 4.0, 9.0], [3]).unwrap().tracked(true);
    /// let mut tape = Tape::recording();
    /// let y = tape.dfdx(&x, (3usize,), |x| x.sqrt()).unwrap();
    /// assert_eq!(y.to_vec(), [1.0, 2.0, 3.0]);
    /// let ones = Tensor::from_vec(&Cpu::default(), vec![1.0; 3], [3]).unwrap();
    /// let grads = tape.backward(&y, ones).unwrap();
    /// assert_eq!(grads.get(&x).unwrap().to_vec(), [0.5, 0.25, 1.0 / 6.0]);
    /// ```
    ///
    /// # Errors
    /// If `shape` does not fit, or dfdx reports an error in its backward pass.
    pub fn dfdx<S: DfdxShape, R: DfdxShape + ReduceShapeTo<(), R::AllAxes>>(
        &mut self,
        x: &Tensor<B>,
        shape: S,
        f: impl FnOnce(DfdxTensor<S, f32, B, OwnedTape<f32, B>>) -> DfdxTensor<R, f32, B, OwnedTape<f32, B>>,
    ) -> Result<Tensor<B>> {
        if shape.num_elements() != x.count() {
            return Err(Error::shape(
                "dfdx",
                format!("tensor {} does not have the {} elements asked for", x.shape(), shape.num_elements()),
            ));
        }
        let device = x.device().clone();
        let dfdx_x: DfdxTensor<S, f32, B> = device.tensor_from_vec(x.to_vec(), shape);
        let (out, tape) = f(dfdx_x.leaky_trace()).split_tape();
        let y = Tensor::from_dfdx(&device, &out)?;
        self.write_down(Operation::Other("an operation of dfdx".into()), &[x], &[&y]);
        if !self.wants(&[x]) {
            return Ok(y);
        }
        let x = x.clone();
        Ok(self.record(y, move |dy, grads| {
            let upstream: DfdxTensor<R, f32, B> = device.tensor_from_vec(dy.to_vec(), *out.shape());
            // dfdx starts from a scalar only; the gradient of sum(out * upstream) with respect to `out` is `upstream`.
            let scalar: DfdxTensor<(), f32, B, _> = (out.put_tape(tape) * upstream).sum();
            let dfdx_grads =
                scalar.try_backward().map_err(|e| Error::Other(format!("dfdx failed in its backward pass: {e:?}")))?;
            let dx = dfdx_grads.get(&dfdx_x);
            grads.add(&x, Tensor::from_dfdx(&device, &dx)?)
        }))
    }
}
