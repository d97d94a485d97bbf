//! The forward pass as a model author sees it: layers by name.
//!
//! Applies masks, records what a criterion needs, counts multiplications, and works the same in training and
//! evaluation.

mod attention;
mod awake;
mod conv;
mod cost;
mod dropout;
mod layers;
mod linear;
mod loss;
mod needs;
mod norm;
mod pool;
mod taps;
mod tokens;
mod trace;
mod trail;

pub use awake::with_threads_awake;
pub use conv::ConvOptions;
pub use cost::Cost;
pub use layers::{LayerOperation, LayerRecord};
pub use needs::Needs;
pub use norm::Norms;
pub use taps::Taps;
pub use tokens::Compressed;
pub use trace::Trace;
pub use trail::Trail;

use crate::autograd::Tape;
use crate::backend::{Backend, Precision, Weight};
use crate::error::Result;
use crate::network::compressor::{Compressor, NoCompression};
use crate::network::params::ParamStore;
use crate::seed::Seed;
use crate::tensor::Tensor;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use trail::Following;

/// One forward pass over one batch.
pub struct Forward<'a, B: Backend> {
    pub(crate) params: &'a ParamStore<B>,
    pub(crate) compressor: &'a dyn Compressor<B>,
    pub(crate) replaced: HashMap<String, Tensor<B>>,
    pub(crate) tape: Tape<B>,
    pub(crate) taps: Taps<B>,
    pub(crate) cost: Cost,
    /// How often each weight of a parameter is multiplied.
    uses: BTreeMap<String, u64>,
    pub(crate) noise: Option<Seed>,
    pub(crate) buffers: Vec<(String, Tensor<B>)>,
    following: Following,
    pub(crate) compressed: Compressed,
    /// Whether the model took the compressor, and may ask it past this pass.
    taken: Cell<bool>,
    layers: Option<Vec<LayerRecord>>,
    /// Whether layers may go over the nonzeros of their weights alone.
    sparse: bool,
    /// Whether the gradients of their weights are wanted where these are zero as well.
    dense_gradients: bool,
    norms: Norms,
}

impl<'a, B: Backend> Forward<'a, B> {
    /// A pass that records gradients and the signals in `needs`; `noise` seeds dropout and the like for this step.
    pub fn training(params: &'a ParamStore<B>, needs: Needs, noise: Seed) -> Self {
        Self { tape: Tape::recording(), noise: Some(noise), ..Self::evaluation(params) }.with_needs(needs)
    }

    /// A pass without gradients.
    pub fn evaluation(params: &'a ParamStore<B>) -> Self {
        Self {
            params,
            compressor: &NoCompression {},
            replaced: HashMap::new(),
            tape: Tape::off(),
            taps: Taps::new(Needs::WEIGHTS),
            cost: Cost::default(),
            uses: BTreeMap::new(),
            noise: None,
            buffers: vec![],
            following: Following::Off,
            compressed: Compressed::default(),
            taken: Cell::new(false),
            layers: None,
            sparse: false,
            dense_gradients: true,
            norms: Norms::default(),
        }
    }

    /// The same with gradients: running statistics, no dropout, and a tape that records.
    #[must_use]
    pub fn with_gradients(self) -> Self {
        Self { tape: Tape::recording(), ..self }
    }

    /// Another tape, before anything is recorded.
    #[must_use]
    pub(crate) fn with_tape(self, change: impl FnOnce(Tape<B>) -> Tape<B>) -> Self {
        Self { tape: change(self.tape), ..self }
    }

    /// Tokens pass through this compressor at the stages the model offers.
    #[must_use]
    pub fn with_compressor(self, compressor: &'a dyn Compressor<B>) -> Self {
        Self { compressor, ..self }
    }

    /// Keeps track of which tokens are merged, see [`Forward::trail`].
    #[must_use]
    pub fn following_tokens(self) -> Self {
        Self { following: Following::Start, ..self }
    }

    /// Goes over the nonzeros of weights alone where the store says so ([`ParamStore::with_sparse`]), which gives other
    /// last bits. The gradient of such a weight is that of its nonzeros, which [`Param::gradient`] puts together, unless it
    /// is wanted where the weight is zero as well.
    ///
    /// [`Param::gradient`]: crate::network::params::Param::gradient
    #[must_use]
    pub fn over_nonzeros(self, dense_gradients: bool) -> Self {
        Self { sparse: true, dense_gradients, ..self }
    }

    /// Computes the products of layers in `precision`, before anything is recorded.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        self.with_tape(|tape| tape.with_precision(precision))
    }

    /// Uses other values for some parameters.
    #[must_use]
    pub fn with_replaced(self, replaced: &[(String, Tensor<B>)]) -> Self {
        Self { replaced: replaced.iter().map(|(n, t)| (n.clone(), t.clone().tracked(true))).collect(), ..self }
    }

    /// Keeps the signals in `needs`, before anything is recorded.
    #[must_use]
    pub(crate) fn with_needs(self, needs: Needs) -> Self {
        let tape = if needs.has(Needs::TRACE) { self.tape.tracing() } else { self.tape };
        Self { taps: Taps::new(needs), tape, ..self }
    }

    /// Whether this pass trains (dropout on, batch statistics) or evaluates.
    pub fn is_training(&self) -> bool {
        self.noise.is_some()
    }

    /// A parameter by its full name, masked.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub fn param(&mut self, name: &str) -> Result<Tensor<B>> {
        let Weight { value, mask, .. } = self.weight(name)?;
        let Some(mask) = mask else { return Ok(value) };
        // The product's gradient flows to the dense value unmasked: see `Weight`.
        let masked = value.mul(&mask)?;
        if !self.tape.wants(&[&value]) {
            return Ok(masked);
        }
        Ok(self.tape.record(masked, move |dy, grads| grads.add(&value, dy)))
    }

    /// The tensor under which a parameter's gradient will be found.
    ///
    /// # Errors
    /// If there is no such parameter.
    pub(crate) fn leaf(&self, name: &str) -> Result<(String, Tensor<B>)> {
        Ok((name.to_string(), self.weight(name)?.value))
    }

    fn weight(&self, name: &str) -> Result<Weight<B>> {
        match self.replaced.get(name) {
            Some(value) => Ok(Weight::plain(value.clone())),
            // Masked units that keep learning do so in the network as it would be with them.
            None if self.is_training() && self.params.units_learn() => {
                Ok(Weight::plain(self.params.get(name)?.value().clone()))
            }
            None => self.params.weight(name),
        }
    }

    /// The weight of a fully connected layer or a convolution.
    fn layer_weight(&self, name: &str) -> Result<Weight<B>> {
        let sparse = self.sparse && !self.replaced.contains_key(name);
        let nonzeros = if sparse { self.params.nonzeros(name, self.dense_gradients)? } else { None };
        match nonzeros {
            // What is written down is computed anew from the whole weight.
            Some(nonzeros) if !self.tape.traces() => {
                Ok(Weight { nonzeros: Some(nonzeros), ..Weight::plain(self.params.get(name)?.outline()) })
            }
            nonzeros => Ok(Weight { nonzeros, ..self.weight(name)? }),
        }
    }

    fn bias(&mut self, layer: &str) -> Result<Option<Tensor<B>>> {
        let name = format!("{layer}.bias");
        self.params.find(&name).is_some().then(|| self.param(&name)).transpose()
    }

    /// Units in a group, the masked ones included: what the layers' shapes go by.
    pub fn units(&self, group: &str) -> usize {
        self.params.layout().group(group).map_or(0, |g| g.units)
    }

    /// The tape, for operations that have no layer of their own.
    pub fn tape(&mut self) -> &mut Tape<B> {
        &mut self.tape
    }

    /// The run's compressor.
    pub fn compressor(&self) -> &'a dyn Compressor<B> {
        self.taken.set(true);
        self.compressor
    }

    /// Where the tokens went, after the forward pass; nothing where they were not followed, there are none, or their
    /// sources got lost.
    pub fn trail(&self) -> Option<&Trail> {
        if let Following::At(trail) = &self.following { Some(trail) } else { None }
    }

    /// How often each weight of a parameter was multiplied so far, by parameter.
    pub fn uses(&self) -> &BTreeMap<String, u64> {
        &self.uses
    }

    /// A layer whose `kept` of `weights` weights are each used `positions` times.
    fn count(&mut self, weight: &str, positions: usize, kept: usize, weights: usize) {
        self.cost.add(positions, kept, weights);
        *self.uses.entry(weight.to_owned()).or_default() += positions as u64;
    }

    /// Ends the pass: the tape, what was recorded, and the cost.
    pub fn finish(mut self) -> (Tape<B>, Taps<B>, Cost) {
        if self.taps.needs.has(Needs::TRACE) {
            self.taps.trace = Trace::of(self.tape.take_trace());
        }
        (self.tape, self.taps, self.cost)
    }
}
