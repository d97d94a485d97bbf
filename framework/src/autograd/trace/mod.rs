//! What a pass computed, operation by operation, so that something else than gradients can be sent backwards.
//!
//! Every operation is either a linear map of its inputs (plus what does not depend on them), or makes each value of
//! one value of its input alone. So a rule that shares something out backwards needs no more than the map with its
//! positive or its negative coefficients, on a tape of its own: shares are what the map's backward pass gives. What is
//! no linear map by itself is one where something is held as it was in the pass: the weights of an attention, the
//! deviation that a normalisation divides by, the winners of a maximum.

mod attention;
mod layers;
mod norm;
mod written;

pub use written::{Operation, Written};

use super::Tape;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorId};
use std::fmt;
use std::rc::Rc;

/// How an operation's values come from its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// Each value comes from one value of the input alone: activations, maxima, one token of many.
    Single,
    /// A linear map of all inputs, plus what does not depend on them.
    Linear,
}

/// What of a linear map is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The map with all of its coefficients, without what does not depend on the inputs.
    All,
    /// With its positive coefficients alone.
    Positive,
    /// With its negative coefficients alone, by their size.
    Negative,
    /// What does not depend on the inputs (biases, positions), in the output's shape.
    Constant,
}

type Replay<B> = Rc<dyn Fn(&mut Tape<B>, &[Tensor<B>], Part) -> Result<Option<Tensor<B>>>>;

/// One operation of a pass.
pub struct Call<B: Backend> {
    /// The layer, where the operation is the product of one with its weight (and, after a convolution, its batch
    /// normalisation); empty for every other operation.
    pub layer: String,
    /// What went in. Values that the pass did not compute, like its examples, are not tracked.
    pub inputs: Vec<Tensor<B>>,
    /// What came out. It and the inputs of later calls are the same value where their ids are.
    pub output: Tensor<B>,
    /// How the output comes from the inputs.
    pub mapping: Mapping,
    replay: Replay<B>,
}

impl<B: Backend> Call<B> {
    /// A call that is computed again by a function of one's own.
    pub(crate) fn new(
        layer: String,
        (inputs, output): (Vec<Tensor<B>>, Tensor<B>),
        mapping: Mapping,
        replay: impl Fn(&mut Tape<B>, &[Tensor<B>], Part) -> Result<Option<Tensor<B>>> + 'static,
    ) -> Self {
        Self { layer, inputs, output, mapping, replay: Rc::new(replay) }
    }

    /// Computes a part of the map for other inputs, on a tape of the caller's; `None` where there is nothing of it. The
    /// relevance of the inputs by the z+ rule, say, is `a * vjp(relevance / z)` with `z` the positive part for inputs
    /// `a >= 0`.
    ///
    /// Of a [`Mapping::Single`] there is [`Part::All`], with a coefficient of one, at the recorded input.
    ///
    /// # Errors
    /// If there are not as many inputs, in their shapes.
    pub fn replay(&self, tape: &mut Tape<B>, inputs: &[Tensor<B>], part: Part) -> Result<Option<Tensor<B>>> {
        let shapes = |all: &[Tensor<B>]| all.iter().map(Tensor::shape).collect::<Vec<_>>();
        if shapes(inputs) != shapes(&self.inputs) {
            let message = format!("inputs {:?} for a call of inputs {:?}", shapes(inputs), shapes(&self.inputs));
            return Err(Error::shape("replay", message));
        }
        (self.replay)(tape, inputs, part)
    }
}

impl<B: Backend> fmt::Debug for Call<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.inputs.iter().map(|x| x.shape().to_string()).collect();
        write!(f, "{}: {} -> {}", self.layer, inputs.join(", "), self.output.shape())
    }
}

impl<B: Backend> Tape<B> {
    /// Notes every operation, see [`Tape::take_trace`]; each is computed on its own, which is slower.
    #[must_use]
    pub fn tracing(mut self) -> Self {
        self.trace = Some(vec![]);
        self
    }

    /// The operations noted so far, in order.
    pub fn take_trace(&mut self) -> Vec<Call<B>> {
        self.trace.replace(vec![]).unwrap_or_default()
    }

    /// Whether operations are noted or written down, each by itself.
    pub(crate) fn traces(&self) -> bool {
        self.trace.is_some() || self.written.is_some()
    }

    /// Gives the call that made `output` the name of its layer.
    pub(crate) fn name_call(&mut self, layer: &str, output: TensorId) {
        let made = self.trace.iter_mut().flatten().rev().find(|call| call.output.id() == output);
        made.into_iter().for_each(|call| call.layer = layer.into());
    }

    /// Notes the operations of another pass, and which value of it became one of this.
    pub(crate) fn take_over(&mut self, calls: Vec<Call<B>>, became: Option<(&Tensor<B>, &Tensor<B>)>) {
        if let Some(trace) = &mut self.trace {
            trace.extend(calls);
        }
        became.into_iter().for_each(|(from, to)| self.note_elementwise(from, to));
    }

    /// Notes an operation.
    pub(super) fn note(
        &mut self,
        inputs: &[&Tensor<B>],
        output: &Tensor<B>,
        mapping: Mapping,
        replay: impl Fn(&mut Self, &[Tensor<B>], Part) -> Result<Option<Tensor<B>>> + 'static,
    ) {
        if let Some(trace) = &mut self.trace {
            let ends = (inputs.iter().map(|&x| x.clone()).collect(), output.clone());
            trace.push(Call::new(String::new(), ends, mapping, replay));
        }
    }

    /// Notes a linear map without negative coefficients or a constant part.
    pub(super) fn note_positive(
        &mut self,
        inputs: &[&Tensor<B>],
        output: &Tensor<B>,
        replay: impl Fn(&mut Self, &[Tensor<B>]) -> Result<Tensor<B>> + 'static,
    ) {
        self.note(inputs, output, Mapping::Linear, move |tape, inputs, part| match part {
            Part::All | Part::Positive => replay(tape, inputs).map(Some),
            Part::Negative | Part::Constant => Ok(None),
        });
    }

    /// Notes an operation whose values each come from one value of `x`, as `replay` does.
    pub(super) fn note_single(
        &mut self,
        x: &Tensor<B>,
        output: &Tensor<B>,
        replay: impl Fn(&mut Self, &Tensor<B>) -> Result<Tensor<B>> + 'static,
    ) {
        self.note(&[x], output, Mapping::Single, move |tape, inputs, part| match part {
            Part::All => replay(tape, &inputs[0]).map(Some),
            _ => Ok(None),
        });
    }

    /// Notes an operation that changes every value of `x` by itself.
    pub(super) fn note_elementwise(&mut self, x: &Tensor<B>, output: &Tensor<B>) {
        self.note_single(x, output, |_, x| Ok(x.clone()));
    }
}

/// The coefficients of this sign, by their size.
fn of_sign<B: Backend>(part: Part, coefficients: &Tensor<B>) -> Result<Tensor<B>> {
    match part {
        Part::Negative => B::activation(crate::backend::Act::Relu, &coefficients.scale(-1.0)?),
        Part::Positive => B::activation(crate::backend::Act::Relu, coefficients),
        Part::All | Part::Constant => Ok(coefficients.clone()),
    }
}
