//! Networks with shared weights, and how these move.

mod files;

use super::shared::SharedLayer;
use super::*;
use crate::backend::{Act, Cpu};
use crate::data::{DataConfig, Examples, Normalize, Pool};
use crate::error::Result;
use crate::network::compressor::NoCompression;
use crate::network::forward::Forward;
use crate::network::layout::{Layout, LayoutBuilder, Sizes};
use crate::network::model::{Batch, InputSpec, Model, Output};
use crate::network::model_file::ModelFile;
use crate::network::params::{Masking, ParamStore};
use crate::options::Table;
use crate::seed::Seed;
use crate::tensor::Tensor;
use crate::training::{Loss, Task};
use rand::RngExt as _;
use serde_json::Value;
use std::num::NonZeroUsize;

/// Six inputs, some hidden units, three classes.
struct Net(usize);
impl Model<Cpu> for Net {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let hidden = layout.units("hidden", self.0);
        layout.linear("hidden", &input.features().into(), &hidden, true);
        layout.linear("out", &hidden, &input.classes.into(), true);
        layout.output("out");
        layout.build()
    }
    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        let x = cx.linear("hidden", &batch.input, Act::Relu)?;
        Ok(Output::Logits(cx.linear("out", &x, Act::None)?))
    }
}

fn input() -> InputSpec {
    InputSpec { shape: vec![6], classes: 3 }
}

fn network(net: &Net) -> ParamStore<Cpu> {
    let layout = net.layout(&input(), &Sizes::default()).unwrap();
    ParamStore::new(&Cpu::default(), layout, Seed(1), Masking::Held).unwrap()
}

fn about(params: &ParamStore<Cpu>) -> ModelFile {
    let names = ["a", "b", "c"].map(String::from);
    let data = examples(vec![0.5; 6], vec![1]);
    let mut cx = Forward::evaluation(params).listing_layers();
    let input_values = Tensor::from_vec(params.device(), vec![0.5; 6], [1, 6]).unwrap();
    Net(0).forward(&mut cx, &Batch { input: input_values, classes: vec![0], responses: vec![] }).unwrap();
    ModelFile::new(Table::new(), params, input(), &names, &data.normalizer, cx.layers().to_vec())
}

fn examples(x: Vec<f32>, classes: Vec<u32>) -> crate::data::Dataset {
    let pool = || Pool::floats(x.clone(), classes.clone());
    let examples = Examples::in_memory("points", &[6], &["a", "b", "c"], pool(), pool()).unwrap();
    let config = DataConfig { normalize: Normalize::None, ..DataConfig::default() };
    examples.dataset(&config, 0).unwrap()
}

/// A network of which this fraction of the hidden weights is pruned, its shared weights, and its description.
fn shared(pruned: f64) -> (ParamStore<Cpu>, SharedWeights, ModelFile) {
    let mut params = network(&Net(40));
    let mut draws = Seed(7).stream("test", &[]);
    let keep = (0..240).map(|i| if pruned == 0.0 { i < 240 } else { draws.random::<f64>() >= pruned }).collect();
    params.set_masks(vec![("hidden.weight".into(), keep)]).unwrap();
    params.set_masks(vec![("hidden.bias".into(), (0..40).map(|i| i % 3 > 0).collect())]).unwrap();
    let about = about(&params);
    let shared = SharedWeights::cluster(&mut params, |_| Bits { index: 3, offset: 2 }).unwrap();
    (params, shared, about)
}

#[test]
fn shared_values_move_as_in_pytorch() {
    let golden: Value = serde_json::from_str(include_str!("../golden/shared.json")).unwrap();
    let numbers = |value: &Value| -> Vec<f32> { serde_json::from_value(value.clone()).unwrap() };
    let labels: [Vec<u16>; 2] = serde_json::from_value(golden["labels"].clone()).unwrap();
    let classes: Vec<u32> = serde_json::from_value(golden["classes"].clone()).unwrap();
    let (data, net) = (examples(numbers(&golden["x"]), classes), Net(5));
    let (mut largest, lr) = (0.0_f32, golden["lr"].as_f64().unwrap());
    for epochs in 1..=5 {
        let mut params = network(&net);
        let mut values: Vec<Tensor<Cpu>> = params.iter().map(|p| p.value().clone()).collect();
        for (layer, bias) in [1, 3].iter().zip(golden["biases"].as_array().unwrap()) {
            values[*layer] = Tensor::from_vec(params.device(), numbers(bias), values[*layer].shape()).unwrap();
        }
        params.set_values(values).unwrap();
        let layer = |nth: usize, name: &str| SharedLayer {
            name: name.into(),
            bits: Bits { index: 3, offset: 3 },
            values: numbers(&golden["values"][0][nth]),
            labels: labels[nth].clone(),
        };
        let mut shared = SharedWeights { layers: vec![layer(0, "hidden.weight"), layer(1, "out.weight")] };
        shared.write_to(&mut params).unwrap();
        let masks = shared.layers.iter().map(|l| (l.name.clone(), l.labels.iter().map(|k| *k > 0).collect()));
        params.set_masks(masks.collect()).unwrap();
        let task = Task { model: &net, compressor: &NoCompression {}, loss: Loss::CrossEntropy };
        let batch_size = NonZeroUsize::new(20).unwrap();
        let how = TrainOn { epochs, lr, batch_size, label_smoothing: 0.0, seed: Seed(0) };
        let mut losses = vec![];
        how.train(&task, &data, &mut params, &mut shared, &mut |epoch, loss| losses.push((epoch, loss))).unwrap();
        assert!(losses.len() as u64 == epochs && losses.windows(2).all(|w| w[1].1 < w[0].1), "{losses:?}");
        for (nth, layer) in shared.layers.iter().enumerate() {
            let expected = numbers(&golden["values"][epochs as usize][nth]);
            for (found, expected) in layer.values.iter().zip(&expected) {
                largest = largest.max((found - expected).abs() / expected.abs().max(0.1));
            }
            if epochs == 1 {
                // The gradient itself, from the only step.
                let (before, gradient) = (numbers(&golden["values"][0][nth]), numbers(&golden["gradients"][0][nth]));
                for ((before, after), expected) in before.iter().zip(&layer.values).zip(&gradient) {
                    let found = (before - after) / lr as f32;
                    assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{found} {expected}");
                }
            }
            let weights = params.get(&layer.name).unwrap().value().to_vec();
            for (weight, label) in weights.iter().zip(&layer.labels) {
                let value = if *label == 0 { 0.0 } else { layer.values[usize::from(*label) - 1] };
                assert_eq!(weight.to_bits(), value.to_bits());
            }
        }
        let bias = params.get("hidden.bias").unwrap().value().to_vec();
        assert_eq!(bias, numbers(&golden["biases"][0]), "biases stay");
    }
    println!("largest relative difference of a shared value: {largest:e}");
    assert!(largest < 1e-5, "{largest}");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_training() {
    let (mut params, mut shared, _) = shared(0.5);
    let data = examples(vec![f32::MAX; 6], vec![1]);
    let task = Task { model: &Net(40), compressor: &NoCompression {}, loss: Loss::CrossEntropy };
    let how = TrainOn { epochs: 2, lr: 1.0, batch_size: NonZeroUsize::MIN, label_smoothing: 0.0, seed: Seed(0) };
    let error = how.train(&task, &data, &mut params, &mut shared, &mut |_, _| ()).unwrap_err();
    assert!(matches!(error, crate::Error::NotFinite { step: 0 | 1, .. }), "{error}");
}

#[test]
fn clusters_hold_what_is_left_and_nothing_else() {
    let (params, shared, _) = shared(0.5);
    let dense = network(&Net(40));
    assert_eq!(shared.layers.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["hidden.weight", "out.weight"]);
    for layer in &shared.layers {
        let (p, before) = (params.get(&layer.name).unwrap(), dense.get(&layer.name).unwrap().value().to_vec());
        let after = p.value().to_vec();
        assert!(layer.values.len() <= 7 && layer.values.len() > 3);
        for (i, label) in layer.labels.iter().enumerate() {
            let kept = p.mask().is_none_or(|mask| mask.keep()[i]);
            assert_eq!((*label > 0, after[i] != 0.0), (kept, kept));
            let nearest = |v: f32| layer.values.iter().map(|c| (c - v).abs()).fold(f32::MAX, f32::min);
            assert!(!kept || (after[i] - before[i]).abs() <= nearest(before[i]) + 1e-6);
        }
    }
    let same = |name| params.get(name).unwrap().value().to_vec() == dense.get(name).unwrap().value().to_vec();
    assert!(same("out.bias"));
}

#[test]
fn bits_out_of_range_and_weights_that_are_no_numbers_are_refused() {
    for bits in [Bits { index: 0, offset: 5 }, Bits { index: 5, offset: 13 }] {
        let error = SharedWeights::cluster(&mut network(&Net(4)), |_| bits).unwrap_err().to_string();
        assert!(error.contains("`hidden.weight` cannot have") && error.contains("bits: 1 to 12"), "{error}");
    }
    let mut params = network(&Net(1));
    let mut values: Vec<Tensor<Cpu>> = params.iter().map(|p| p.value().clone()).collect();
    values[0] = Tensor::from_vec(params.device(), vec![f32::NAN; 6], [1, 6]).unwrap();
    params.set_values(values).unwrap();
    let error = SharedWeights::cluster(&mut params, Bits::of_paper).unwrap_err().to_string();
    assert_eq!(error, "a weight of `hidden.weight` is NaN: only finite ones can be shared");
}
