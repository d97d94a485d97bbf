//! What a loaded criterion is shown of a training step.

use super::super::abi::{self, Signal, Str};
use super::super::view::Lender;
use crate::backend::Backend;
use crate::network::forward::Needs;
use crate::pruning::criterion::Observation;
use crate::tensor::Tensor;
use std::collections::HashMap;

/// Exactly the signals that were declared.
pub(super) fn signals<B: Backend>(seen: &Observation<'_, B>, needs: Needs, lender: &mut Lender) -> Vec<Signal> {
    let mut all = vec![];
    let mut add = |what, name: &str, t: &Tensor<B>| {
        // The name's bytes live in the store or the taps, as long as the observation.
        all.push(Signal { what, name: Str::of(name), value: lender.tensor(t) });
    };
    if needs.has(Needs::GRADIENTS) {
        for p in seen.params.iter() {
            if let Some(g) = seen.grads.get(p.value()) {
                add(abi::GRADIENT, &p.spec().name, g);
            }
        }
    }
    // The taps hold nothing that was not asked for.
    let taps = seen.taps;
    sorted(&taps.inputs).for_each(|(layer, t)| add(abi::INPUT, layer, t));
    sorted(&taps.products).for_each(|(layer, t)| add(abi::PRODUCT, layer, t));
    sorted(&taps.preactivations).for_each(|(layer, t)| add(abi::PREACTIVATION, layer, t));
    for (layer, t) in sorted(&taps.outputs) {
        add(abi::OUTPUT, layer, t);
        if let Some(g) = seen.grads.get(t).filter(|_| needs.has(Needs::OUTPUT_GRADIENTS)) {
            add(abi::OUTPUT_GRADIENT, layer, g);
        }
    }
    all
}

/// By name: a plugin may add floats up in this order.
fn sorted<B: Backend>(taps: &HashMap<String, Tensor<B>>) -> impl Iterator<Item = (&String, &Tensor<B>)> {
    let mut all: Vec<_> = taps.iter().collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    all.into_iter()
}
