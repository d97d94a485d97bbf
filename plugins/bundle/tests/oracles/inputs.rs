//! What the scripts need of us: the batch, and the weights that each network starts from.

use crate::case::{Drawn, EXAMPLES, data, networks};
use secateur::data::{Order, SplitName};
use secateur::network::params::{Masking, ParamStore};
use secateur::prelude::*;
use serde_json::{Map, Value, json};
use std::num::NonZeroUsize;

/// Writes them to the file that `SECATEUR_ORACLES` names.
#[test]
#[ignore = "writes a file for the scripts"]
fn inputs() {
    let (registry, data, mut all) = (secateur_bundle::registry().unwrap(), data(), Map::new());
    let input = InputSpec { shape: data.shape.clone(), classes: data.class_names.len() };
    for (name, network) in networks() {
        let model = Drawn(registry.model(network.name().unwrap(), &network.options()).unwrap());
        let layout = model.layout(&input, &Sizes::default()).unwrap();
        let params = ParamStore::new(&Cpu::default(), layout, Seed(1), Masking::Held).unwrap();
        let tensor = |t: &Tensor<Cpu>| json!({ "shape": t.shape().to_vec(), "data": t.to_vec() });
        let weights: Map<String, Value> = params.iter().map(|p| (p.spec().name.clone(), tensor(p.value()))).collect();
        all.insert(name, Value::Object(weights));
    }
    let (mut values, mut classes) = (vec![], vec![]);
    let size = NonZeroUsize::new(EXAMPLES).unwrap();
    data.batches(SplitName::Train, size, Order::Stored).next_into(&mut values, &mut classes).unwrap();
    let batch = json!({ "shape": [EXAMPLES, 1, 8, 8], "data": values, "classes": classes });
    let path = std::env::var("SECATEUR_ORACLES").expect("SECATEUR_ORACLES must name the file to write");
    std::fs::write(path, serde_json::to_vec(&json!({ "networks": all, "batch": batch })).unwrap()).unwrap();
}
