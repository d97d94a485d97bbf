//! Weights that share values: which weight has which, and how the values move together.

use super::kmeans;
use crate::autograd::Grads;
use crate::backend::{Backend, Update};
use crate::error::{Error, Result};
use crate::network::layout::ParamSpec;
use crate::network::params::ParamStore;
use crate::tensor::Tensor;
use std::collections::HashMap;

/// Bits in which the weights of a layer are told, before Huffman coding; each 1 to [`Bits::MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// Of a cluster's index. One of the 2^bits is zero, which fillers have; the others are shared values.
    pub index: u32,
    /// Of the number of zeros before a weight.
    pub offset: u32,
}

impl Bits {
    /// The most that either can be.
    pub const MOST: u32 = 12;

    /// Those of Han et al. 2015: 8 bits for the weights of a convolution, 5 for those of a linear layer.
    pub fn of_paper(spec: &ParamSpec) -> Self {
        let bits = if is_conv(spec) { 8 } else { 5 };
        Self { index: bits, offset: bits }
    }
}

/// Whether the weights are those of a convolution rather than of a linear layer.
pub fn is_conv(spec: &ParamSpec) -> bool {
    spec.shape.len() > 2
}

/// The weights of one layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedLayer {
    /// The parameter.
    pub name: String,
    pub bits: Bits,
    /// The shared values; those of clusters without members are left out.
    pub values: Vec<f32>,
    /// For every weight 0 where it is pruned, else 1 + its value's place.
    pub labels: Vec<u16>,
}

/// The prunable weights of a network, layer by layer, after each took the value of its cluster.
///
/// What may not be pruned (biases, norms, positions) shares nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedWeights {
    pub(super) layers: Vec<SharedLayer>,
}

impl SharedWeights {
    /// Clusters what is left of each layer's weights (Han et al. 2015, section 3), and gives every weight in `params`
    /// the value of its cluster. `bits` says how many clusters a layer has: 2^index - 1.
    ///
    /// # Errors
    /// Bits that are out of range; a weight that is not finite; if the device is out of memory.
    pub fn cluster<B: Backend>(params: &mut ParamStore<B>, bits: impl Fn(&ParamSpec) -> Bits) -> Result<Self> {
        let mut layers = vec![];
        for p in params.iter().filter(|p| p.spec().prunable) {
            let (name, bits) = (p.spec().name.clone(), bits(p.spec()));
            if let Some(odd) = [bits.index, bits.offset].iter().find(|n| !(1..=Bits::MOST).contains(*n)) {
                return Err(Error::Config(format!("`{name}` cannot have {odd} bits: 1 to {}", Bits::MOST)));
            }
            let weights = p.effective()?.to_vec();
            let kept = |i: usize| p.mask().is_none_or(|mask| mask.keep()[i]);
            let left: Vec<f32> = weights.iter().enumerate().filter(|(i, _)| kept(*i)).map(|(_, w)| *w).collect();
            let found = kmeans::cluster(&left, (1 << bits.index) - 1).map_err(|odd| {
                Error::Other(format!("a weight of `{name}` is {odd}: only finite ones can be shared"))
            })?;
            let mut own = found.labels.iter();
            let labels =
                (0..weights.len()).map(|i| if kept(i) { own.next().map_or(0, |k| k + 1) } else { 0 }).collect();
            layers.push(SharedLayer { name, bits, values: found.centroids, labels });
        }
        let shared = Self { layers };
        shared.write_to(params)?;
        Ok(shared)
    }

    /// One step of gradient descent on the shared values; nothing else moves. The gradient of a shared value is the sum
    /// of those of the weights that have it (Han et al. 2015, equation 3).
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn step<B: Backend>(&self, params: &mut ParamStore<B>, grads: &Grads<B>, lr: f32) -> Result<()> {
        let mut spread = HashMap::new();
        for layer in &self.layers {
            let p = params.get(&layer.name)?;
            let Some(grad) = p.gradient(|of| grads.get(of))? else { continue };
            let sums = layer.gradient(&grad.host());
            // Each weight moves by its value's gradient, so that those of one cluster stay equal.
            let each = layer.labels.iter().map(|label| sums[usize::from(*label)]).collect();
            spread.insert(p.value().id(), Tensor::from_vec(params.device(), each, p.spec().shape)?);
        }
        let rule = Update::Sgd { lr, momentum: 0.0, weight_decay: 0.0, nesterov: false };
        params.step(rule, None, |value| spread.get(&value.id()))
    }

    /// Takes the shared values from weights that moved, and makes the weights of each cluster equal to the last bit.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn read_from<B: Backend>(&mut self, params: &mut ParamStore<B>) -> Result<()> {
        for layer in &mut self.layers {
            let weights = params.get(&layer.name)?.value().host();
            for (label, weight) in layer.labels.iter().zip(weights.iter()).filter(|(label, _)| **label > 0) {
                layer.values[usize::from(*label) - 1] = *weight;
            }
        }
        self.write_to(params)
    }

    pub(super) fn write_to<B: Backend>(&self, params: &mut ParamStore<B>) -> Result<()> {
        let own = |name: &str| self.layers.iter().find(|layer| layer.name == name);
        let mut values = vec![];
        for p in params.iter() {
            values.push(match own(&p.spec().name) {
                Some(layer) => Tensor::from_vec(params.device(), layer.weights().collect(), p.spec().shape)?,
                None => p.value().clone(),
            });
        }
        params.set_values(values)
    }
}

impl SharedLayer {
    /// Every weight.
    fn weights(&self) -> impl Iterator<Item = f32> {
        self.labels.iter().map(|label| if *label == 0 { 0.0 } else { self.values[usize::from(*label) - 1] })
    }

    /// The gradient of every label's value; that of zero, which stays, is zero.
    fn gradient(&self, grad: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0_f64; self.values.len() + 1];
        for (label, grad) in self.labels.iter().zip(grad) {
            sums[usize::from(*label)] += f64::from(*grad);
        }
        sums[0] = 0.0;
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}
