//! Fully connected layers, by name.

use super::{Forward, LayerOperation};
use crate::backend::{Act, Backend};
use crate::error::Result;
use crate::tensor::Tensor;

impl<B: Backend> Forward<'_, B> {
    /// Linear layer `name` with a fused activation: `x [rows, in]` -> `[rows, out]`.
    ///
    /// # Errors
    /// If the layer does not exist, or `x` does not fit it.
    pub fn linear(&mut self, name: &str, x: &Tensor<B>, act: Act) -> Result<Tensor<B>> {
        self.linear_residual(name, x, act, None)
    }

    /// [`Forward::linear`] plus `residual [rows, out]`, added after the activation.
    ///
    /// # Errors
    /// If the layer does not exist, or the shapes do not fit it.
    pub fn linear_residual(
        &mut self,
        name: &str,
        x: &Tensor<B>,
        act: Act,
        residual: Option<&Tensor<B>>,
    ) -> Result<Tensor<B>> {
        let weight_name = format!("{name}.weight");
        let weight = self.layer_weight(&weight_name)?;
        let kept = self.params.get(&weight_name)?.kept();
        self.count(&weight_name, x.shape().first().copied().unwrap_or(0), kept, weight.value.count());
        self.list(name, LayerOperation::Linear { act, residual: residual.is_some() });
        let bias = self.bias(name)?;
        self.taps.input(name, x);
        let act_apart = act != Act::None && self.taps.before_activation();
        let residual_apart = residual.filter(|_| self.taps.before_end());
        let fused = if act_apart { Act::None } else { act };
        let added = if residual_apart.is_some() { None } else { residual };
        let z = self.tape.linear(x, weight, bias, fused, added)?;
        // Where one of these is wanted, nothing was fused into `z`.
        self.tape.name_call(name, z.id());
        self.taps.product(name, &z);
        self.taps.preactivation(name, &z);
        let output = if act_apart { self.tape.act(&z, act)? } else { z };
        self.taps.output(name, &output, &mut self.tape);
        residual_apart.map_or(Ok(output.clone()), |r| self.tape.add(&output, r))
    }
}
