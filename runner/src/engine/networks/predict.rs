//! What a saved network says of examples.

use secateur::plugins::registry::Registered;
use secateur::training::{Answer, Evaluation, Prediction, Predictor};
use serde::Serialize;

use super::saved::{Shown, Which};
use crate::config::Resolved;
use crate::engine::Workbench;
use crate::engine::device::{Work, on_device};
use crate::failure::Failure;

/// What a network says of one example.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// Its file, or its position in the data set.
    pub example: Example,
    /// The class or the number that the network finds.
    #[serde(flatten)]
    pub answer: SaidOf,
    /// What the network gives: one number a class, or one alone under a binary loss or a squared error.
    pub logits: Vec<f32>,
}

/// What was found, and what the data says.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum SaidOf {
    /// By a network that classifies.
    Class {
        /// The class that the network finds.
        class: String,
        /// Its probability, where the loss gives one.
        probability: Option<f64>,
        /// The class that the data says, where it does.
        target: Option<String>,
    },
    /// By a network whose targets are real numbers.
    Value {
        /// What the network finds.
        value: f32,
        /// What the data says.
        target: f32,
    },
}

/// What an example is called.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Example {
    /// Its file, relative to the folder.
    File(String),
    /// Its position among the examples of its split in the data set, from 0.
    At(u32),
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Loss and accuracy, where the classes are known.
    pub measured: Option<Evaluation>,
    /// How many examples there were.
    pub examples: usize,
    /// Each prediction, where they were asked for.
    pub said: Vec<Said>,
}

impl Workbench {
    /// Shows the network in `file` some examples: measures it, and with `each` tells what it says of every one.
    ///
    /// # Errors
    /// A network that is not the config's; data that is not there or does not fit; predictions of a network that has a
    /// loss of its own.
    pub fn predict(&self, config: &Resolved, file: &[u8], which: Which, each: bool) -> Result<Found, Failure> {
        on_device((&config.run.top, config.run.train.bits), Predicting { bench: self, config, file, which, each })
    }
}

struct Predicting<'a> {
    bench: &'a Workbench,
    config: &'a Resolved,
    file: &'a [u8],
    which: Which,
    each: bool,
}

impl Work for Predicting<'_> {
    type Made = Found;

    fn on<B: Registered>(self, device: B) -> Result<Found, Failure> {
        let Self { bench, config, file, which, each } = self;
        let network = bench.saved(&device, config, file)?;
        let Shown { data, split, labelled } = bench.shown(config, &network.about, which)?;
        let predictor = Predictor::of(network.task(), &network.params, &network.about.input.shape)?;
        let batch = config.run.train.eval_batch_size;
        let measured = labelled.then(|| predictor.evaluate(&data, split, batch)).transpose()?;
        let examples = data.split(split);
        let all = if each { predictor.predict(&data, split, batch)? } else { vec![] };
        let class = |at: usize| network.about.classes.get(at).cloned().unwrap_or_else(|| at.to_string());
        let said = |one: Prediction| Said {
            example: match examples.name_at(one.example) {
                Some(file) => Example::File(file.to_owned()),
                None => Example::At(one.example),
            },
            answer: match one.answer {
                Answer::Class { class: found, probability, target } => {
                    let target = labelled.then(|| class(target as usize));
                    SaidOf::Class { class: class(found), probability, target }
                }
                Answer::Value { value, target } => SaidOf::Value { value, target },
            },
            logits: one.logits,
        };
        Ok(Found { measured, examples: examples.len(), said: all.into_iter().map(said).collect() })
    }
}
