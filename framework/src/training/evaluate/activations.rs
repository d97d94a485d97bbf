//! What the activations of a network's neurons tell of the test examples (`train.eval_activations`).

use super::Task;
use crate::backend::{Act, Backend};
use crate::data::{Dataset, Order, SplitName};
use crate::error::Result;
use crate::network::forward::{Forward, LayerOperation, LayerRecord, Needs};
use crate::network::params::ParamStore;
use crate::pruning::measure::{Activations, LayerActivations};
use crate::training::next_batch;
use crate::training::setting::at_least_one;
use std::collections::BTreeMap;

/// The layers whose units are neurons, in the order of their calls: those that end in an activation, batch normalisation
/// between the two or not, but for the last layer of all, whose outputs are the network's.
pub(in crate::training) fn layers_of_neurons(calls: &[LayerRecord]) -> Vec<&str> {
    let mut layers: Vec<(&str, bool)> = vec![];
    let mut norm = None;
    for LayerRecord { name, operation } in calls {
        match operation {
            LayerOperation::Linear { act, .. }
            | LayerOperation::Conv2d { act, .. }
            | LayerOperation::ConvTranspose2d { act, .. } => {
                norm = None;
                layers.push((name.as_str(), *act != Act::None));
            }
            LayerOperation::BatchNorm { .. } => norm = Some(name),
            // A convolution's own, which goes by the name of its norm.
            LayerOperation::Activation { .. } if norm == Some(name) => {
                if let Some(layer) = layers.last_mut() {
                    layer.1 = true;
                }
            }
            _ => {}
        }
    }
    layers.pop();
    let mut seen = vec![];
    for (name, activated) in layers {
        if activated && !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

impl<B: Backend> Task<'_, B> {
    /// Looks at the first `examples` examples of the test split, or at all where there are fewer, in batches of
    /// `batch_size`: how many these were, and what each neuron told of them, layer by layer in the order of their calls. Layers
    /// whose output is neither rows nor images for each example are left out, as are all where no example was there.
    ///
    /// # Errors
    /// What the model reports.
    pub fn activations(
        &self,
        params: &ParamStore<B>,
        data: &Dataset,
        (examples, batch_size): (usize, usize),
    ) -> Result<(usize, Vec<LayerActivations>)> {
        let mut batches = data.batches(SplitName::Test, at_least_one(batch_size.min(examples)), Order::Stored);
        let (mut names, mut found): (Vec<String>, BTreeMap<String, Option<Activations>>) = (vec![], BTreeMap::new());
        let mut classes = vec![];
        while classes.len() < examples
            && let Some(batch) = next_batch(params.device(), data, &mut batches)?
        {
            let cx = Forward::evaluation(params).with_compressor(self.compressor).over_nonzeros(false);
            let mut cx = cx.with_needs(Needs::OUTPUTS).listing_layers();
            self.model.forward(&mut cx, &batch)?;
            if classes.is_empty() {
                names = layers_of_neurons(cx.layers()).into_iter().map(str::to_owned).collect();
            }
            let (_, taps, _) = cx.finish();
            for name in &names {
                let layer = found.entry(name.clone()).or_insert_with(|| Some(Activations::default()));
                let added = layer
                    .as_mut()
                    .zip(taps.outputs.get(name))
                    .is_some_and(|(layer, output)| layer.add(&output.host(), &output.shape(), batch.len()));
                if !added {
                    *layer = None;
                }
            }
            classes.extend_from_slice(&batch.classes);
        }
        classes.truncate(examples);
        let told = (!data.test.is_regression()).then_some(classes.as_slice());
        let tell = |name: &String| Some(found.get(name)?.as_ref()?.tell(name, classes.len(), told));
        Ok((classes.len(), names.iter().filter_map(tell).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neurons_are_what_an_activation_follows_but_for_the_last_layer() {
        let call = |name: &str, operation| LayerRecord { name: name.into(), operation };
        let conv =
            |name: &str, act| call(name, LayerOperation::Conv2d { stride: 1, padding: 1, groups: 1, act, pool: false });
        let linear = |name: &str, act| call(name, LayerOperation::Linear { act, residual: false });
        let norm = |name: &str| call(name, LayerOperation::BatchNorm { eps: 1e-5 });
        let relu = |name: &str| call(name, LayerOperation::Activation { act: Act::Relu });
        let calls = [
            conv("plain", Act::Relu),
            conv("normed", Act::None),
            norm("normed_norm"),
            relu("normed_norm"),
            conv("residual", Act::None),
            norm("residual_norm"),
            relu("sum"),
            linear("attn.qkv", Act::None),
            linear("mlp.fc1", Act::Gelu),
            linear("mlp.fc1", Act::Gelu),
            linear("head", Act::Sigmoid),
        ];
        assert_eq!(layers_of_neurons(&calls), ["plain", "normed", "mlp.fc1"]);
        assert!(layers_of_neurons(&calls[10..]).is_empty() && layers_of_neurons(&[]).is_empty());
    }
}
