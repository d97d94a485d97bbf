//! Gradients that training itself does not compute.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::params::ParamStore;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// What is differentiated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// The training loss.
    Loss {
        /// What the logits are divided by before the loss (GraSP uses 200); a model with a loss of its own has only 1.
        temperature: f64,
    },
    /// The sum of all outputs (SynFlow).
    OutputSum,
}

impl Objective {
    /// The training loss as it is (SNIP).
    pub const LOSS: Self = Self::Loss { temperature: 1.0 };
}

/// What goes into the network.
///
/// Which training examples it is follows from the run's seed and the pruning step, and from nothing else: within one
/// pruning step, and in each of its rounds, the same request gives the same examples, augmented in the same way; another
/// step draws others. A method that must not depend on data asks for ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeInput {
    /// A batch of training data, of `train.batch_size` examples where there are so many.
    Batch(u64),
    /// As many training examples of each class, class by class.
    Balanced {
        /// How many of each class (GraSP: 10).
        per_class: usize,
        /// Which choice; no two share an example.
        nth: usize,
    },
    /// One example of ones.
    Ones,
    /// One training example as it is stored, not augmented; the first ones are all different, as many as there are. For
    /// what needs each example's own gradient, such as the Fisher information.
    Example(u64),
}

/// What batch normalisation and dropout do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeMode {
    /// Statistics of the batch, dropout with one pattern a pruning step: as SNIP and GraSP are defined.
    Training,
    /// Running statistics, no dropout.
    Evaluation,
}

/// What a probe is asked: `Question::new(ProbeInput::Ones, Objective::OutputSum).replacing(&absolute)`.
#[derive(Debug, Clone)]
pub struct Question<'a, B: Backend> {
    /// What goes into the network.
    pub input: ProbeInput,
    /// What is differentiated.
    pub objective: Objective,
    /// What batch normalisation and dropout do.
    pub mode: ProbeMode,
    /// Parameters, and running statistics, with other values; those of weights count unmasked.
    pub replaced: &'a [(String, Tensor<B>)],
}

impl<'a, B: Backend> Question<'a, B> {
    /// At the current weights; batches of training data in training mode, ones and single examples in evaluation mode.
    pub fn new(input: ProbeInput, objective: Objective) -> Self {
        let mode = match input {
            ProbeInput::Batch(_) | ProbeInput::Balanced { .. } => ProbeMode::Training,
            ProbeInput::Ones | ProbeInput::Example(_) => ProbeMode::Evaluation,
        };
        Self { input, objective, mode, replaced: &[] }
    }

    /// In this mode. Ones are refused in training mode, where the statistics would be those of one example that is the
    /// same everywhere, and batch normalisation would set it to zero.
    #[must_use]
    pub fn in_mode(self, mode: ProbeMode) -> Self {
        Self { mode, ..self }
    }

    /// At other values of some parameters.
    #[must_use]
    pub fn replacing(self, replaced: &'a [(String, Tensor<B>)]) -> Self {
        Self { replaced, ..self }
    }

    /// Whether it can be answered for these parameters.
    pub(crate) fn check(&self, params: &ParamStore<B>) -> Result<()> {
        if (self.input, self.mode) == (ProbeInput::Ones, ProbeMode::Training) {
            return Err(Error::Config(
                "a probe with an input of ones was asked for in training mode, where batch normalisation would set it to \
                 zero: ask in evaluation mode"
                    .into(),
            ));
        }
        match self.objective {
            Objective::Loss { temperature } if !(temperature > 0.0 && temperature.is_finite()) => {
                return Err(Error::Config(format!("the temperature of a probe is {temperature}: it must be above 0")));
            }
            _ => {}
        }
        self.replaced.iter().try_for_each(|(name, value)| fits("replacement", params, name, value))
    }
}

/// Whether a value can stand for a parameter's.
pub(crate) fn fits<B: Backend>(what: &str, params: &ParamStore<B>, name: &str, value: &Tensor<B>) -> Result<()> {
    let shape = params.get(name)?.value().shape();
    if value.shape() == shape {
        return Ok(());
    }
    let message = format!("the {what} of `{name}` is {}, the parameter is {shape}", value.shape());
    Err(Error::shape("probe", message))
}

/// Answers a criterion's questions about the network during a pruning step; moves nothing in it, running statistics
/// included, so that the same question has the same answer.
pub trait Probe<B: Backend> {
    /// The parameters as they are.
    fn params(&self) -> &ParamStore<B>;

    /// Gradients by parameter name; masked weights have theirs too.
    ///
    /// # Errors
    /// If a replacement does not fit its parameter, a class has too few examples, or the model cannot be asked so.
    fn gradients(&mut self, question: &Question<'_, B>) -> Result<BTreeMap<String, Tensor<B>>>;

    /// The Hessian of the objective times a vector, by parameter name: how the gradients change along `vector`, whose
    /// missing parts are zero. Where a weight is masked out, its part of the vector does not count.
    ///
    /// The Hessian is that of the network around its weights, as by differentiating twice: ReLUs, maxima and merged
    /// tokens stay as they are there, and the gradients so become smooth functions of the step along the vector; their
    /// derivative is a central difference of twelfth order, over steps that are halved until two of them agree. It costs
    /// 18 to 120 gradients, 192 at most; the relative error is a few 1e-6 (at most 1e-5 against PyTorch in double precision).
    ///
    /// # Errors
    /// As for [`Probe::gradients`]; if the vector names no parameter or does not fit; if no two steps agree, because an
    /// operation has kinks that the tape does not know of.
    fn hessian_vector(
        &mut self,
        question: &Question<'_, B>,
        vector: &BTreeMap<String, Tensor<B>>,
    ) -> Result<BTreeMap<String, Tensor<B>>>;

    /// The sums of the squared gradients of the loss of each of the first `examples` training examples
    /// ([`ProbeInput::Example`]), by parameter name: `examples` times the diagonal of the empirical Fisher information.
    /// Fully connected networks answer for a whole batch in one pass, others example by example.
    ///
    /// # Errors
    /// As for [`Probe::gradients`].
    fn squared_gradients(&mut self, examples: u64) -> Result<BTreeMap<String, Tensor<B>>> {
        squares_one_by_one(self, examples)
    }
}

/// [`Probe::squared_gradients`] by a gradient an example.
pub(crate) fn squares_one_by_one<B: Backend, P: Probe<B> + ?Sized>(
    probe: &mut P,
    examples: u64,
) -> Result<BTreeMap<String, Tensor<B>>> {
    let mut sums = BTreeMap::new();
    for n in 0..examples {
        for (name, gradient) in probe.gradients(&Question::new(ProbeInput::Example(n), Objective::LOSS))? {
            add_to(&mut sums, name, gradient.square()?)?;
        }
    }
    Ok(sums)
}

/// Adds to the sum of that name.
pub(crate) fn add_to<B: Backend>(sums: &mut BTreeMap<String, Tensor<B>>, name: String, value: Tensor<B>) -> Result<()> {
    match sums.get_mut(&name) {
        Some(sum) => B::accumulate(sum, &value)?,
        None => _ = sums.insert(name, value),
    }
    Ok(())
}
