//! Coefficients that `autosparse` is fitted to, and how well they do on other networks, against NumPy's least squares and
//! correlations on PyTorch's gradients.

use crate::case::{Drawn, EXAMPLES, Once, data, networks};
use secateur::backend::Cpu;
use secateur::network::params::{Masking, ParamStore};
use secateur::plugins::conformance::{Log, Trial};
use secateur::prelude::*;
use secateur::training::TrainConfig;
use secateur_bundle::autosparse::{Regression, Survivors};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Fits to weights of which each survived a share that is made up of its size and its place.
fn fit(network: &str) -> Result<Regression> {
    let (registry, data) = (secateur_bundle::registry()?, data());
    let options = &networks()[network];
    let model = || -> Result<Drawn> { Ok(Drawn(registry.model(options.name()?, &options.options())?)) };
    let input = InputSpec { shape: data.shape.clone(), classes: data.class_names.len() };
    let params = ParamStore::new(&Cpu::default(), model()?.layout(&input, &Sizes::default())?, Seed(1), Masking::Held)?;
    let share = |(i, w): (usize, &f32)| ((f64::from(w.abs()) * 10.0).floor() + (i % 3) as f64).min(8.0) / 8.0;
    let weights: Vec<_> = params.iter().filter(|p| p.spec().prunable && p.spec().shape.len() > 1).collect();
    let all_but_output = &weights[..weights.len() - 1];
    let shares = |w: &Tensor<Cpu>| w.host().iter().enumerate().map(share).collect();
    let survived: BTreeMap<_, _> = all_but_output.iter().map(|p| (p.spec().name.clone(), shares(p.value()))).collect();
    let regression = Arc::new(Mutex::new(Regression::default()));
    let train = TrainConfig { epochs: 1, batch_size: EXAMPLES, eval_prunes: 0, ..TrainConfig::default() };
    Trial { train, ..Trial::default() }.with(&registry, Cpu::default(), &data, |mut run| {
        run.model = Box::new(model()?);
        run.criterion = Box::new(Survivors { survived, batches: 1, regression: regression.clone() });
        run.schedule = Box::new(Once { steps: 0, sparsity: 0.5 });
        run.execute(&mut Log::default())
    })?;
    let found = regression.lock().unwrap().clone();
    Ok(found)
}

#[test]
fn coefficients_of_autosparse() {
    let golden: BTreeMap<String, Value> = serde_json::from_str(include_str!("autosparse/fits.json")).unwrap();
    assert_eq!(golden.len(), 3);
    let coefficients = |of: &Value| -> Vec<f64> { serde_json::from_value(of["coefficients"].clone()).unwrap() };
    for (network, theirs) in &golden {
        let regression = fit(network).unwrap();
        let ours = regression.solve().unwrap();
        let expected = coefficients(theirs);
        let all = ours.coefficients.iter().chain([&ours.intercept, &ours.r_squared]);
        let expected =
            expected.iter().copied().chain(["intercept", "r_squared"].map(|key| theirs[key].as_f64().unwrap()));
        let largest = all.zip(expected).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max);
        println!("{network:28} {largest:.1e}");
        assert!(largest < 1e-5 && ours.r_squared > 0.1, "{network}: {largest:e} {ours:?} {theirs}");
        for (other, of_other) in &golden {
            let found = regression.correlation(&coefficients(of_other).try_into().unwrap()).unwrap();
            let expected = theirs["correlations"][other].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-5, "{network} by {other}: {found} and {expected}");
            assert!(other == network || found < ours.r_squared.sqrt(), "{network} by {other}: {found}");
        }
    }
}
