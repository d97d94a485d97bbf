//! Layers that have numbers instead of names, as in `nn.Sequential`: they are this model's in their order.

use super::names::{Found, Target};
use super::tensor::TensorInFile;
use crate::network::layout::Layout;
use std::collections::{BTreeMap, BTreeSet};

/// Layers with weights of 4 axes, of 2, and of 1: convolutions, linear layers, normalisations. In networks that are a
/// plain sequence each kind comes in its order, and convolutions come first.
type Kinds = BTreeMap<usize, Vec<String>>;

/// What each tensor is, where layers are numbers within what holds them (`2.weight`, `features.0.bias`), and there are as
/// many of each kind as the model has; what has a name is none of them.
pub(super) fn by_order(tensors: &[&TensorInFile], layout: &Layout) -> Option<Vec<Found>> {
    let mut layers = BTreeMap::new();
    for tensor in tensors {
        let Some((layer, "weight")) = tensor.name.rsplit_once('.') else { continue };
        // Numbers go by their size, at every level: a sequence may hold sequences.
        let level = |text| str::parse::<usize>(text).map_or((usize::MAX, text), |number| (number, ""));
        let key: Vec<(usize, &str)> = layer.split('.').map(level).collect();
        if key.last().is_some_and(|(_, text)| text.is_empty()) {
            layers.insert(key, (layer, tensor.shape.len()));
        }
    }
    let mut there = Kinds::new();
    layers.values().for_each(|(layer, axes)| there.entry(*axes).or_default().push((*layer).to_owned()));
    let mut here = Kinds::new();
    for spec in &layout.params {
        if let Some(layer) = spec.name.strip_suffix(".weight") {
            here.entry(spec.shape.len()).or_default().push(layer.to_owned());
        }
    }
    let counts = |kinds: &Kinds| kinds.iter().map(|(axes, all)| (*axes, all.len())).collect::<Vec<_>>();
    if there.is_empty() || counts(&there) != counts(&here) {
        return None;
    }
    let names: BTreeMap<String, String> = there.into_values().flatten().zip(here.into_values().flatten()).collect();
    let known: BTreeSet<&str> = layout.params.iter().map(|spec| spec.name.as_str()).collect();
    let found = |tensor: &&TensorInFile| {
        let (layer, part) = tensor.name.rsplit_once('.')?;
        let name = format!("{}.{part}", names.get(layer)?);
        known.contains(name.as_str()).then_some(Found::Is(Target { name, part: (0, 1) }))
    };
    Some(tensors.iter().map(|tensor| found(tensor).unwrap_or(Found::Unknown)).collect())
}
