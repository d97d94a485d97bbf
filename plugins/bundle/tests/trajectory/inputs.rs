//! What `make.py` needs of us: the images, the weights that each run starts from, and the noise of its samples.

use crate::cases::{Case, SEED, STEPS, cases};
use secateur::data::{Dataset, Order, SplitName};
use secateur::network::params::ParamStore;
use secateur::prelude::*;
use serde_json::{Map, Value, json};
use std::num::NonZeroUsize;

/// Writes them to the file that `SECATEUR_TRAJECTORY` names.
#[test]
#[ignore = "writes a file for make.py"]
fn inputs() {
    let (registry, mut all) = (secateur_bundle::registry().unwrap(), Map::new());
    for case in cases() {
        let params = case.initial(&registry).unwrap();
        let weights: Vec<Value> = params.iter().map(|p| json!([p.spec().name, tensor(p.value())])).collect();
        let mut input = json!({ "weights": weights, "data": case.data.name });
        if params.find("mu.weight").is_some() {
            input["noise"] = noise(&case, &params);
        }
        input["train"] = examples(&case.data, SplitName::Train);
        input["test"] = examples(&case.data, SplitName::Test);
        all.insert(case.name, input);
    }
    let path = std::env::var("SECATEUR_TRAJECTORY").expect("SECATEUR_TRAJECTORY must name the file to write");
    std::fs::write(path, serde_json::to_vec(&all).unwrap()).unwrap();
}

fn tensor(t: &Tensor<Cpu>) -> Value {
    json!({ "shape": t.shape().to_vec(), "data": t.to_vec() })
}

fn batch_of(data: &Dataset) -> NonZeroUsize {
    NonZeroUsize::new(data.train.len()).unwrap()
}

/// Inputs of the network in stored order, and their classes or numbers.
fn examples(data: &Dataset, split: SplitName) -> Value {
    let (mut values, mut classes) = (vec![], vec![]);
    let mut batches = data.batches(split, batch_of(data), Order::Stored);
    let count = batches.next_into(&mut values, &mut classes).unwrap();
    let shape: Vec<usize> = std::iter::once(count).chain(data.shape.iter().copied()).collect();
    json!({ "shape": shape, "data": values, "classes": classes, "responses": batches.responses() })
}

/// The noise of every step, `[steps, images, latent]`, with the images in stored order: a sample with mean 0 and
/// variance 1 is the noise itself.
fn noise(case: &Case, params: &ParamStore<Cpu>) -> Value {
    let (size, latent) = (batch_of(&case.data), params.get("mu.bias").unwrap().value().count());
    let zeros = Tensor::zeros(&Cpu::default(), [size.get(), latent]).unwrap();
    let step = |step: u64| {
        let order = Order::Shuffled { seed: SEED.derive("shuffle", &[]).0, epoch: step };
        let (mut classes, mut stored) = (vec![], vec![vec![]; size.get()]);
        let mut batches = case.data.batches(SplitName::Train, size, order);
        let order: Vec<u32> = batches.next_picks(&mut classes).unwrap().examples.iter().map(|p| p.index).collect();
        let mut cx = Forward::training(params, Needs::WEIGHTS, SEED.derive("noise", &[&step.to_string()]));
        let drawn = cx.sample("latent", &zeros, &zeros).unwrap().to_vec();
        order.iter().zip(drawn.chunks(latent)).for_each(|(&i, drawn)| stored[i as usize] = drawn.to_vec());
        stored.concat()
    };
    let data: Vec<f32> = (0..STEPS).flat_map(step).collect();
    json!({ "shape": [STEPS as usize, size.get(), latent], "data": data })
}
