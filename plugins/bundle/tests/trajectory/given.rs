//! Networks that other libraries made, with weights by a formula and under the names that they have there: what ours
//! compute with them is what `given/make.py` found.

use rayon::prelude::*;
use secateur::network::given::{Given, InitConfig, Weights};
use secateur::network::params::ParamStore;
use secateur::options::Table;
use secateur::prelude::*;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// Largest difference of a logit, in parts of the largest.
const LOGITS: f64 = 1e-5;

/// The numbers of `make.py`, in [-1, 1).
fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f64> {
    (1..=count as u64).map(move |i| {
        let z = (i + (stream << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
    })
}

fn weight(name: &str, shape: &[usize], u: f64) -> f32 {
    let value = match shape {
        _ if name.ends_with("running_var") => 1.0 + u / 2.0,
        [_] => u / 8.0 + if name.ends_with("weight") { 1.0 } else { 0.0 },
        _ => u * (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt(),
    };
    value as f32
}

/// A safetensors file of these parameters.
fn file(names: &[(String, Vec<usize>)]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), vec![]);
    for (stream, (name, shape)) in names.iter().enumerate() {
        let start = data.len();
        let values = uniform(stream as u64, shape.iter().product()).map(|u| weight(name, shape, u));
        data.extend(values.flat_map(f32::to_le_bytes));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

/// What a case's network computes with the weights of a file.
fn logits(case: &Value, weights: Vec<u8>, inputs: &[f32]) -> Vec<f32> {
    let mut options: Table = serde_json::from_value(case["model"].clone()).unwrap();
    let name = options.remove("name").unwrap();
    let registry = secateur_bundle::registry().unwrap();
    let model = registry.model::<Cpu>(name.as_str().unwrap(), &options).unwrap();
    let shape: Vec<usize> = serde_json::from_value(case["image"].clone()).unwrap();
    let classes = case["logits"][0].as_array().unwrap().len();
    let input = InputSpec { shape: shape.clone(), classes };
    let layout = model.layout(&input, &Sizes::default()).unwrap();
    let mut params = ParamStore::new(&Cpu::default(), layout.clone(), Seed(1), Masking::Held).unwrap();
    let given =
        Given { weights: Arc::new(Weights::read(weights).unwrap()), config: InitConfig::default(), whole: None };
    let fitted = given.fit(&layout, &model.known_names()).unwrap();
    assert_eq!(fitted.values.len(), layout.params.len());
    params.begin(layout, Seed(1), fitted).unwrap();
    let batches = inputs.chunks(8 * input.features()).map(|images| {
        let n = images.len() / input.features();
        let x = Tensor::from_vec(
            &Cpu::default(),
            images.to_vec(),
            Shape::try_from([vec![n], shape.clone()].concat()).unwrap(),
        );
        let batch = Batch { input: x.unwrap(), classes: vec![0; n], responses: vec![] };
        let Output::Logits(logits) = model.forward(&mut Forward::evaluation(&params), &batch).unwrap() else {
            panic!("it has logits")
        };
        logits.to_vec()
    });
    batches.flatten().collect()
}

/// The largest difference of a logit, in parts of the largest.
fn apart(case: &Value, ours: &[f32]) -> f64 {
    let theirs: Vec<Vec<f64>> = serde_json::from_value(case["logits"].clone()).unwrap();
    let theirs: Vec<f64> = theirs.concat();
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0, |most: f64, y| most.max(y.abs()));
    ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a) - b).abs() / largest).fold(0.0, f64::max)
}

#[test]
fn given_weights_compute_what_they_computed_where_they_are_from() {
    let golden: Map<String, Value> = serde_json::from_str(include_str!("given/golden.json")).unwrap();
    assert_eq!(golden.len(), 10);
    let found = golden.iter().par_bridge().map(|(name, case)| {
        let names: Vec<(String, Vec<usize>)> = serde_json::from_value(case["names"].clone()).unwrap();
        let features: usize = case["image"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).product();
        let images = case["logits"].as_array().unwrap().len();
        let inputs: Vec<f32> = uniform(1 << 20, images * features).map(|u| u as f32).collect();
        (name, apart(case, &logits(case, file(&names), &inputs)))
    });
    let found: Vec<(&String, f64)> = found.collect();
    println!("{found:?}");
    assert!(found.iter().all(|(_, apart)| *apart <= LOGITS), "{found:?}");
}

/// Networks of full size: those that `given/make.py FOLDER` wrote, the folder in the variable `GIVEN`.
#[test]
#[ignore = "needs torchvision and timm: reliability/given.sh"]
fn real_networks_compute_what_they_computed_where_they_are_from() {
    let folder = std::env::var("GIVEN").unwrap();
    let file = |name: String| std::fs::read(Path::new(&folder).join(name)).unwrap();
    let cases: Map<String, Value> = serde_json::from_slice(&file("cases.json".into())).unwrap();
    for (name, case) in &cases {
        let inputs = file(format!("{name}-inputs.safetensors"));
        let header = u64::from_le_bytes(inputs[..8].try_into().unwrap()) as usize;
        let inputs: Vec<f32> =
            inputs[8 + header..].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let apart = apart(case, &logits(case, file(format!("{name}.pt")), &inputs));
        println!("{name}: {apart:.1e}");
        assert!(apart <= LOGITS, "{name}: {apart:.1e}");
    }
    assert!(!cases.is_empty());
}
