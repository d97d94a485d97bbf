//! Squared gradients of single examples, of many examples in one pass.

use super::asked::Asked;
use super::difference::Gradients;
use crate::autograd::Call;
use crate::backend::Backend;
use crate::error::Result;
use crate::network::forward::{Forward, Needs};
use crate::network::model::{Batch, Output};
use crate::tensor::Reduce;
use std::collections::BTreeMap;

impl<B: Backend> Asked<'_, B> {
    /// The sums over a batch of the squared gradients of each example's loss, by parameter name, in evaluation mode.
    ///
    /// Where a fully connected layer reads one row an example, the gradient of an example is the product of what entered
    /// and what came back, and its square that of their squares (Goodfellow 2015, "Efficient Per-Example Gradient
    /// Computations"). `None` where a parameter stands elsewhere: its gradients have to be asked for one by one.
    pub fn squared_gradients(&self, batch: &Batch<B>) -> Result<Option<Gradients<B>>> {
        let examples = batch.classes.len();
        let mut cx = Forward::evaluation(self.params).with_gradients().with_needs(Needs::TRACE);
        let Output::Logits(logits) = self.model.forward(&mut cx, batch)? else { return Ok(None) };
        let layers: Vec<Call<B>> = cx.tape().take_trace().into_iter().filter(|call| !call.layer.is_empty()).collect();
        if !self.are_all(&layers, examples) {
            return Ok(None);
        }
        layers.iter().for_each(|layer| cx.tape().keep(&layer.output));
        let (tape, ..) = cx.finish();
        let found = self.loss.of(&logits, batch, self.smoothing, true)?;
        let Some(seed) = found.grad else { return Ok(None) };
        // The loss is a mean: each example's own is as many times as large.
        let grads = tape.backward(&logits, seed.scale(examples as f32)?)?;
        let mut squares = BTreeMap::new();
        for layer in &layers {
            let Some(back) = grads.get(&layer.output) else { continue };
            let back = back.square()?;
            let of = |what| format!("{}.{what}", layer.layer);
            squares.insert(of("weight"), back.matmul(true, &layer.inputs[0].square()?, false)?);
            if self.params.get(&of("bias")).is_ok() {
                squares.insert(of("bias"), back.reduce(Reduce::Sum, 0)?);
            }
        }
        Ok(Some(squares))
    }

    /// Whether these layers have all parameters that are trained, each once, and read a row an example.
    fn are_all(&self, layers: &[Call<B>], examples: usize) -> bool {
        let reads_rows = |call: &Call<B>| {
            let one = call.inputs.iter().all(|x| x.shape().len() == 2 && x.shape()[0] == examples);
            one && call.output.shape().len() == 2 && call.output.shape()[0] == examples
        };
        let mut named: Vec<String> =
            layers.iter().flat_map(|call| ["weight", "bias"].map(|what| format!("{}.{what}", call.layer))).collect();
        named.retain(|name| self.params.get(name).is_ok());
        let mut trained: Vec<String> =
            self.params.iter().filter(|p| !p.spec().buffer).map(|p| p.spec().name.clone()).collect();
        named.sort_unstable();
        trained.sort_unstable();
        named == trained && layers.iter().all(reads_rows)
    }
}
