//! A script as a [`Criterion`].

use super::arrays::Arrays;
use super::exchange::Exchange;
use super::memory::{Lasting, Layout};
use super::script::What;
use crate::backend::{Backend, Reduce};
use crate::error::{Error, Result};
use crate::network::forward::Needs;
use crate::pruning::criterion::{Criterion, Cut, Observation, Scores, Setup, Target, Window};
use crate::state::State;
use crate::tensor::Tensor;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// What was recorded of the layers in one step: the word that scripts use, the layer, the values.
type Recorded<B> = Vec<(&'static str, String, Tensor<B>)>;

/// There is no worker yet.
const UNREADY: &str = "it was used before its setup";

/// A parameter, and the group whose units it is scored for.
type Key = (String, Option<String>);

/// A criterion that a worker runs.
pub(super) struct Adapter<B: Backend> {
    name: String,
    what: Arc<What>,
    options: Value,
    timeout: Duration,
    exchange: Option<Exchange>,
    /// What the last step recorded, for a script that is shown it with the weights.
    recorded: Recorded<B>,
    /// Scores that were announced and not asked for yet.
    answers: HashMap<Key, Scores<B>>,
}

impl<B: Backend> Adapter<B> {
    pub fn new(name: String, what: Arc<What>, options: Value, timeout: Duration) -> Self {
        Self { name, what, options, timeout, exchange: None, recorded: vec![], answers: HashMap::new() }
    }

    fn failed(&self, message: impl ToString) -> Error {
        Error::Plugin { kind: "criterion", name: self.name.clone(), message: message.to_string() }
    }

    fn ask(&self, request: Value) -> Result<Value> {
        let exchange = self.exchange.as_ref().ok_or_else(|| self.failed(UNREADY))?;
        exchange.ask(&request).map_err(|error| self.failed(error))
    }

    /// Calls a function that takes nothing, where the script has it.
    fn call(&self, function: &str) -> Result<()> {
        if self.what.defines(function) {
            self.ask(json!({ "do": function }))?;
        }
        Ok(())
    }

    /// Has the worker do something with arrays.
    fn show(&mut self, arrays: &Arrays<'_>, request: Value) -> Result<Value> {
        let Some(exchange) = &mut self.exchange else { return Err(self.failed(UNREADY)) };
        exchange.show(arrays, request).map_err(|error| self.failed(error))
    }

    /// Scores of all these targets, by one message.
    fn scores(&mut self, targets: &[Target<'_, B>]) -> Result<()> {
        let recorded = std::mem::take(&mut self.recorded);
        let weights = targets.iter().map(Target::weight).collect::<Result<Vec<_>>>()?;
        let needs = self.what.needs;
        let grads = targets.iter().map(|target| target.grad().ok().filter(|_| needs.has(Needs::GRADIENTS)));
        let grads: Vec<_> = grads.collect();
        let (mut arrays, mut places) = (Arrays::default(), Layout::default());
        let mut told = vec![];
        for ((target, weight), grad) in targets.iter().zip(&weights).zip(&grads) {
            let mut shown = Map::new();
            shown.insert("weight".into(), arrays.tensor(weight));
            if let Some(grad) = grad {
                shown.insert("grad".into(), arrays.tensor(grad));
            }
            if let Some(mask) = target.param().mask() {
                shown.insert("mask".into(), arrays.mask(mask, weight.shape()));
            }
            let layer = target.name().rsplit_once('.').map_or(target.name(), |(layer, _)| layer);
            for (word, of, values) in &recorded {
                if of == layer {
                    shown.insert((*word).into(), arrays.tensor(values));
                }
            }
            let axis = target.group().and_then(|group| {
                let member = group.members.iter().find(|member| member.param == target.name());
                member.map(|member| member.axis)
            });
            arrays.end();
            told.push(json!({
                "name": target.name(),
                "group": target.group().map(|group| &group.name),
                "units": target.group().map(|group| group.units),
                "axis": axis,
                "step": target.step().0,
                "seed": target.seed().0,
                "to_go": target.to_go(),
                "arrays": shown,
                "out": places.take(size_of::<f32>() * weight.count()),
            }));
        }
        let all: Vec<u64> = told.iter().filter_map(|told| told["out"].as_u64()).collect();
        let Some(exchange) = &mut self.exchange else { return Err(self.failed(UNREADY)) };
        let answer = exchange.score(&arrays, &places, json!({ "do": "score", "targets": told }));
        drop(arrays);
        self.recorded = recorded;
        let (answer, memory) = answer.map_err(|error| self.failed(error))?;
        let kinds: Vec<&str> = answer["scores"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if kinds.len() != targets.len() {
            return Err(self.failed(format!("{} scores came for {} targets", kinds.len(), targets.len())));
        }
        for ((target, kind), (weight, at)) in targets.iter().zip(kinds).zip(weights.iter().zip(all)) {
            let scores = match (kind, target.group()) {
                ("keep", _) => Scores::Keep(memory.read_flags(at, weight.count())?),
                ("units", Some(group)) => Scores::Units(memory.read(at, group.units)?.to_vec()),
                _ => {
                    let values = Arc::new(Lasting::of(&memory, at, weight.count())?);
                    Tensor::lasting(target.params().device(), values, weight.shape())?.into()
                }
            };
            self.answers.insert(key(target), scores);
        }
        Ok(())
    }
}

fn key<B: Backend>(target: &Target<'_, B>) -> Key {
    (target.name().to_owned(), target.group().map(|group| group.name.clone()))
}

/// The signals that were declared, by the words that scripts use; those of parameters aside.
fn recorded<B: Backend>(seen: &Observation<'_, B>, needs: Needs) -> Recorded<B> {
    let taps = seen.taps;
    let mut all: Recorded<B> = vec![];
    let words = [
        ("input", &taps.inputs),
        ("product", &taps.products),
        ("preactivation", &taps.preactivations),
        ("output", &taps.outputs),
    ];
    for (word, found) in words {
        all.extend(found.iter().map(|(layer, values)| (word, layer.clone(), values.clone())));
    }
    if needs.has(Needs::OUTPUT_GRADIENTS) {
        let grad = |(layer, output)| Some(("output_grad", String::clone(layer), seen.grads.get(output)?.clone()));
        all.extend(taps.outputs.iter().filter_map(grad));
    }
    // A sum that goes over all of them is one in this order.
    all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    all
}

impl<B: Backend> Criterion<B> for Adapter<B> {
    fn needs(&self) -> Needs {
        self.what.needs
    }

    fn window(&self) -> Window {
        self.what.window
    }

    fn reduce(&self) -> Reduce {
        self.what.reduce
    }

    fn setup(&mut self, _: &Setup<'_, B>) -> Result<()> {
        let exchange = Exchange::start(&self.what.path, self.timeout).map_err(|error| self.failed(error))?;
        self.exchange = Some(exchange);
        let What { path, source, .. } = &*self.what;
        self.ask(json!({ "do": "begin", "path": path, "source": source, "options": self.options })).map(drop)
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        self.recorded = recorded(seen, self.what.needs);
        if !self.what.defines("observe") {
            return Ok(());
        }
        let params: Vec<_> = seen.params.iter().map(|p| (&p.spec().name, p.value())).collect();
        let recorded = std::mem::take(&mut self.recorded);
        let (mut arrays, mut told) = (Arrays::default(), Map::new());
        let mut add = |word: String, name: &str, values: Value| {
            let all = told.entry(word).or_insert_with(|| json!({}));
            all[name] = values;
        };
        for (name, value) in &params {
            add("weights".into(), name, arrays.tensor(value));
            if let Some(grad) = seen.grads.get(value).filter(|_| self.what.needs.has(Needs::GRADIENTS)) {
                add("grads".into(), name, arrays.tensor(grad));
            }
        }
        for (word, layer, values) in &recorded {
            add(format!("{word}s"), layer, arrays.tensor(values));
        }
        arrays.end();
        let (step, epoch, examples) = (seen.step.0, seen.epoch, seen.examples);
        let request = json!({ "do": "observe", "step": step, "epoch": epoch, "examples": examples, "arrays": told });
        let answer = self.show(&arrays, request);
        drop(arrays);
        self.recorded = recorded;
        answer.map(drop)
    }

    fn announce(&mut self, targets: &[Target<'_, B>]) -> Result<()> {
        self.answers.clear();
        self.scores(targets)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let key = key(target);
        if !self.answers.contains_key(&key) {
            self.scores(std::slice::from_ref(target))?;
        }
        self.answers.remove(&key).ok_or_else(|| self.failed(format!("it has no scores of {}", key.0)))
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        // Shapes of the network as it was.
        self.recorded.clear();
        if !self.what.defines("cut") {
            return Ok(());
        }
        let members = cut.group.members.iter().map(|m| json!([m.param, m.axis, cut.indices(m)]));
        let members: Vec<Value> = members.collect();
        self.ask(json!({ "do": "cut", "group": cut.group.name, "kept": cut.kept, "members": members })).map(drop)
    }

    fn reset(&mut self) -> Result<()> {
        self.recorded.clear();
        self.answers.clear();
        self.call("reset")
    }

    fn save(&self) -> Result<State> {
        if !self.what.defines("save") {
            return Ok(State::default());
        }
        let answer = self.ask(json!({ "do": "save" }))?;
        let bits: HashMap<String, Vec<u64>> =
            serde_json::from_value(answer["state"].clone()).map_err(|error| self.failed(error))?;
        Ok(State(bits.into_iter().map(|(name, bits)| (name, bits.into_iter().map(f64::from_bits).collect())).collect()))
    }

    fn load(&mut self, state: State, _: &B) -> Result<()> {
        if state.0.is_empty() && !self.what.defines("load") {
            return Ok(());
        }
        if !self.what.defines("load") {
            return Err(self.failed(format!("{} defines no load(state)", self.what.file())));
        }
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let state: HashMap<String, Vec<u64>> = state.0.into_iter().map(|(name, values)| (name, bits(values))).collect();
        self.ask(json!({ "do": "load", "state": state })).map(drop)
    }
}
