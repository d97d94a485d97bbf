//! The probe's Hessian-vector product against PyTorch, which differentiates twice in double precision: `torch.json`,
//! made by `make.py`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod questions;

use secateur::data::{DataConfig, Dataset, Examples, Normalize, Pool};
use secateur::network::params::{Param, ParamStore};
use secateur::plugins::conformance::{Log, Named, Trial};
use secateur::prelude::*;
use secateur::training::TrainConfig;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

type T = Tensor<Cpu>;
type Gradients = BTreeMap<String, T>;

const COLD: Objective = Objective::Loss { temperature: 200.0 };

/// The numbers of `make.py`, in (-1, 1) and without a pattern.
fn numbers(count: usize, salt: usize) -> Vec<f32> {
    let number = |i| (((i * 7919 + salt * 104_729 + 1) % 10_007) as f64 + 0.5) / 5003.5 - 1.0;
    (0..count).map(|i| number(i) as f32).collect()
}

/// The inputs of `make.py`, as training data of one batch.
fn data(examples: usize, change: fn(f32) -> f32) -> Dataset {
    let values = || numbers(examples * 64, 100).into_iter().map(change).collect();
    let pool = || Pool::floats(values(), (0..examples as u32).map(|i| i % 4).collect());
    let set = Examples::in_memory("numbers", &[1, 8, 8], &["a", "b", "c", "d"], pool(), pool()).unwrap();
    set.dataset(&DataConfig { normalize: Normalize::None, ..DataConfig::default() }, 0).unwrap()
}

/// The parameters of `make.py` in place of the run's: by their sorted names.
fn filled(params: &ParamStore<Cpu>) -> Vec<(String, T)> {
    let mut trained: Vec<_> = params.iter().filter(|p| !p.spec().buffer).collect();
    trained.sort_unstable_by_key(|p| p.spec().name.clone());
    let fill = |(salt, p): (usize, &&Param<Cpu>)| {
        let (name, shape) = (&p.spec().name, p.value().shape());
        let fan = shape.iter().skip(1).product::<usize>() as f64;
        let (scale, shift) = match (name.contains("norm"), shape.len() > 1) {
            (true, _) => (0.25, if name.ends_with("weight") { 1.0 } else { 0.0 }),
            (false, true) => ((3.0 / fan).sqrt(), 0.0),
            (false, false) => (0.25, 0.0),
        };
        let values = numbers(shape.count(), salt).into_iter().map(|v| v * scale as f32 + shift);
        (name.clone(), Tensor::from_vec(params.device(), values.collect(), shape).unwrap())
    };
    trained.iter().enumerate().map(fill).collect()
}

/// What a test does with a probe.
type Ask = Box<dyn FnMut(&mut dyn Probe<Cpu>) -> Result<()> + Send>;

/// A criterion that asks once, and scores nothing of interest.
struct Asking(Ask);

impl Criterion<Cpu> for Asking {
    fn needs(&self) -> Needs {
        Needs::PROBE
    }
    fn prepare(&mut self, probe: &mut dyn Probe<Cpu>) -> Result<()> {
        (self.0)(probe)
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        Ok(target.weight()?.abs()?.into())
    }
}

struct First;

impl Schedule for First {
    fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
        Ok((step == Step(0)).then_some(Amount::Sparsity(0.1)))
    }
}

/// What `ask` finds out in a run of this model over the numbers.
fn ask<R: Send + 'static>(trial: &Trial, ask: impl Fn(&mut dyn Probe<Cpu>) -> Result<R> + Send + 'static) -> Result<R> {
    ask_about(trial, &data(trial.train.batch_size, |v| v), ask)
}

/// The same over other data.
fn ask_about<R: Send + 'static>(
    trial: &Trial,
    data: &Dataset,
    ask: impl Fn(&mut dyn Probe<Cpu>) -> Result<R> + Send + 'static,
) -> Result<R> {
    let registry = secateur_bundle::registry().unwrap();
    let found = Arc::new(Mutex::new(None));
    let out = found.clone();
    trial.with(&registry, Cpu::default(), data, |mut run| {
        let put = move |probe: &mut dyn Probe<Cpu>| {
            *out.lock().unwrap() = Some(ask(probe)?);
            Ok(())
        };
        (run.criterion, run.schedule) = (Box::new(Asking(Box::new(put))), Box::new(First));
        run.execute(&mut Log::default())
    })?;
    let found = found.lock().unwrap().take();
    Ok(found.unwrap())
}

fn trial(model: Named, examples: usize) -> Trial {
    let train = TrainConfig { epochs: 1, batch_size: examples, ..TrainConfig::default() };
    Trial { model, train, ..Trial::default() }
}

fn golden() -> Value {
    serde_json::from_str(include_str!("torch.json")).unwrap()
}

/// `||found - expected|| / ||expected||` over all parameters.
fn relative_error(found: &Gradients, expected: &Value) -> f64 {
    let expected = expected.as_object().unwrap();
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    let (mut difference, mut size) = (0.0, 0.0);
    for (name, expected) in expected {
        let (found, expected) = (found[name].host(), expected.as_array().unwrap());
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            difference += (f64::from(*found) - expected).powi(2);
            size += expected * expected;
        }
    }
    (difference / size).sqrt()
}

#[test]
fn hessian_vector_products_agree_with_differentiating_twice() {
    let golden = golden();
    for (case, model, objective) in [
        ("mlp-relu", ("mlp", "hidden = [10, 8]"), Objective::LOSS),
        ("mlp-gelu", ("mlp", "hidden = [10, 8]\nactivation = \"gelu\""), Objective::LOSS),
        ("mlp-relu-cold", ("mlp", "hidden = [10, 8]"), COLD),
        (
            "cnn",
            ("cnn", "channels = [4, 6]\nhidden = [10]\nbatch_norm = true\nconv_bias = false\nbias = true"),
            Objective::LOSS,
        ),
        ("vit", ("vit", "depth = 2\ndim = 8\nheads = 2\nmlp_ratio = 2.0"), Objective::LOSS),
    ] {
        let both = ask(&trial(model, 12), move |probe| {
            let at = filled(probe.params());
            let question = Question::new(ProbeInput::Batch(0), objective).replacing(&at);
            let given = (at.iter().enumerate())
                .map(|(i, (name, t))| {
                    let values = numbers(t.count(), 50 + i);
                    Ok((name.clone(), Tensor::from_vec(t.device(), values, t.shape())?))
                })
                .collect::<Result<Gradients>>()?;
            let gradient = probe.gradients(&question)?;
            let found = probe.hessian_vector(&question, &given)?;
            let again = probe.hessian_vector(&question, &given)?;
            assert!(found.iter().all(|(name, t)| t.to_vec() == again[name].to_vec()), "twice the same bits");
            Ok([found, probe.hessian_vector(&question, &gradient)?])
        });
        for (found, along) in both.unwrap().iter().zip(["given", "gradient"]) {
            let name = format!("{case}-{along}");
            let error = relative_error(found, &golden["cases"][&name]);
            println!("{name}: relative error {error:.1e}");
            assert!(error <= 1e-5, "{name}: relative error {error:e}");
        }
    }
}

/// Indices of the `keep` largest of `theta (H g)`, the weights by their sorted names one after the other.
fn kept(at: &[(String, T)], product: &Gradients, keep: usize) -> BTreeSet<u64> {
    let weights = at.iter().filter(|(name, _)| name.ends_with(".weight"));
    let score = |(name, w): &(String, T)| {
        let scores: Vec<f32> = w.host().iter().zip(product[name].host().iter()).map(|(w, h)| w * h).collect();
        scores
    };
    let scores: Vec<f32> = weights.flat_map(score).collect();
    let mut order: Vec<u64> = (0..scores.len() as u64).collect();
    order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    order.into_iter().take(keep).collect()
}

/// `(g(w + e v) - g(w - e v)) / 2e`, which counts the kinks that it crosses.
fn plain_difference(
    probe: &mut dyn Probe<Cpu>,
    objective: Objective,
    at: &[(String, T)],
    v: &Gradients,
    step: f32,
) -> Result<Gradients> {
    let size = v.values().flat_map(|t| t.to_vec()).map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let e = (f64::from(step) / size) as f32;
    let mut moved = |by: f32| {
        let at = at.iter().map(|(name, w)| Ok((name.clone(), w.add(&v[name].scale(by)?)?)));
        let at = at.collect::<Result<Vec<_>>>()?;
        probe.gradients(&Question::new(ProbeInput::Batch(0), objective).replacing(&at))
    };
    let (ahead, behind) = (moved(e)?, moved(-e)?);
    ahead.iter().map(|(name, t)| Ok((name.clone(), t.sub(&behind[name])?.scale(0.5 / e)?))).collect()
}

#[test]
fn grasp_keeps_what_the_exact_product_keeps_and_a_plain_difference_does_not() {
    let golden = golden();
    let expected = golden["cases"]["grasp-kept"]["indices"].as_array().unwrap();
    let expected: BTreeSet<u64> = expected.iter().map(|i| i.as_u64().unwrap()).collect();
    let keep = expected.len();
    let (exact, plain) = ask(&trial(("mlp", "hidden = [40, 30]"), 200), move |probe| {
        let at = filled(probe.params());
        let question = Question::new(ProbeInput::Batch(0), COLD).replacing(&at);
        let gradient = probe.gradients(&question)?;
        let exact = kept(&at, &probe.hessian_vector(&question, &gradient)?, keep);
        let steps = [1e-3, 1e-2, 1e-1, 1.0];
        let plain =
            steps.iter().map(|step| Ok(kept(&at, &plain_difference(probe, COLD, &at, &gradient, *step)?, keep)));
        Ok((exact, plain.collect::<Result<Vec<_>>>()?))
    })
    .unwrap();
    assert_eq!(exact, expected, "the same {keep} weights");
    for plain in plain {
        let shared = plain.intersection(&expected).count();
        assert!(2 * shared < keep, "a plain difference would do: {shared} of {keep}");
    }
}
