//! What a device must be able to do: fused operations on dfdx tensors, forward and backward.
//!
//! dfdx's own CPU operations iterate strided, one element at a time, on one thread; here every hot path is one fused kernel on the
//! same tensors. The kernels know nothing of tapes: [`crate::autograd`] records them, the same way for every device.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod images;
mod place;
pub(crate) mod tensor;
pub mod vision;

use crate::data::{Picks, Values};
use crate::error::Result;
use std::borrow::Cow;
use std::fmt;
use tensor::{Buffer, Tensor};

pub use cpu::kernels::Act;
#[cfg(feature = "cuda")]
pub use cuda::Cuda;
pub use dfdx::tensor::Cpu;
pub use place::Place;

/// Element-wise function of one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unary {
    /// |x|
    Abs,
    /// x²
    Square,
    /// -1, 0 or 1
    Sign,
    /// factor * x
    Scale(f32),
}

/// Element-wise function of two tensors of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// The larger one.
    Max,
}

/// How an axis is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// Σ x
    Sum,
    /// Σ |x|
    L1,
    /// √Σ x²
    L2,
    /// Σ x / n
    Mean,
    /// max |x|
    Max,
}

/// A weight and the mask it is multiplied by, if any.
///
/// With a mask the gradient is that of the loss with respect to `mask * weight`, unmasked: a pruned weight keeps learning and can
/// return (dynamic masks). Held masks need none here: their weights are zero already.
#[derive(Debug, Clone)]
pub struct Weight<B: Backend> {
    /// Values.
    pub value: Tensor<B>,
    /// 0 or 1 for every value.
    pub mask: Option<Tensor<B>>,
}

/// Where a backward kernel leaves a gradient: added to what is there, or written where nothing is.
#[derive(Debug)]
pub struct Slot<B: Backend>(pub Option<Tensor<B>>);

/// What the forward pass of a fused linear layer leaves for its backward pass.
#[derive(Debug)]
pub struct LinearSaved<B: Backend> {
    /// Output, or the value before the activation where the activation's derivative needs that.
    pub kept: Option<Tensor<B>>,
}

/// Which gradients of a linear layer are wanted, and where they go.
#[derive(Debug)]
pub struct LinearGrads<'a, B: Backend> {
    /// d input `[rows, in]`
    pub x: Option<&'a mut Slot<B>>,
    /// d weight `[out, in]`
    pub w: Option<&'a mut Slot<B>>,
    /// d bias `[out]`
    pub b: Option<&'a mut Slot<B>>,
    /// d residual `[rows, out]`
    pub residual: Option<&'a mut Slot<B>>,
}

/// A fused linear layer's operands.
#[derive(Debug, Clone)]
pub struct Linear<B: Backend> {
    /// `[rows, in]`
    pub x: Tensor<B>,
    /// `[out, in]`
    pub w: Weight<B>,
    /// `[out]`
    pub b: Option<Tensor<B>>,
    /// `[rows, out]`, added after the activation.
    pub residual: Option<Tensor<B>>,
    /// Applied to `x w^T + b`.
    pub act: Act,
}

/// Loss over a batch, with what the backward pass and the metrics need.
#[derive(Debug)]
pub struct LossValue<B: Backend> {
    /// The loss and the number of examples classified rightly, `[2]`; on the device, so that nobody waits for them.
    pub figures: Tensor<B>,
    /// d loss / d prediction, for an upstream gradient of one.
    pub grad: Option<Tensor<B>>,
}

impl<B: Backend> LossValue<B> {
    /// The loss, once the device has it.
    pub fn value(&self) -> f64 {
        f64::from(self.figures.host()[0])
    }
}

/// What each of N units contributed to the units it feeds, over one batch.
#[derive(Debug, Clone)]
pub struct Contribution<B: Backend> {
    /// Sum of its shares over samples and fed units, `[N]`.
    pub sum: Tensor<B>,
    /// Its largest share, `[N]`, where asked for.
    pub max: Option<Tensor<B>>,
    /// Shares behind each entry: samples times fed units.
    pub count: u64,
}

/// One parameter in an optimizer step.
#[derive(Debug)]
pub struct Updated<'a, B: Backend> {
    /// The rule, at this parameter's update count.
    pub rule: Update,
    /// What is updated in place.
    pub weight: &'a mut Tensor<B>,
    /// [`Update::slots`] tensors like the weight.
    pub state: &'a mut [Tensor<B>],
    /// d loss / d weight
    pub grad: &'a Tensor<B>,
    /// Holds pruned weights at zero.
    pub mask: Option<&'a Tensor<B>>,
}

/// Update rule of an optimizer; formulas as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// v <- momentum v + g + wd w; w <- w - lr v (Nesterov: w - lr (g + momentum v)).
    Sgd {
        /// Learning rate.
        lr: f32,
        /// Momentum; 0 needs no state.
        momentum: f32,
        /// L2 penalty added to the gradient.
        weight_decay: f32,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// Adam (Kingma & Ba 2015); AdamW (Loshchilov & Hutter 2019) where `decoupled`.
    Adam {
        /// Learning rate.
        lr: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Weight decay.
        weight_decay: f32,
        /// Decay applied to the weight instead of the gradient.
        decoupled: bool,
        /// Updates of this parameter so far, this one included; for bias correction.
        t: u64,
    },
}

impl Update {
    /// The same rule for one parameter: with weight decay or without, at its own update count.
    pub fn for_param(self, decay: bool, updates: u64) -> Self {
        match self {
            Self::Sgd { lr, momentum, weight_decay, nesterov } => {
                Self::Sgd { lr, momentum, weight_decay: if decay { weight_decay } else { 0.0 }, nesterov }
            }
            Self::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, .. } => {
                let weight_decay = if decay { weight_decay } else { 0.0 };
                Self::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, t: updates }
            }
        }
    }

    /// State tensors it keeps for every parameter.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum != 0.0),
            Self::Adam { .. } => 2,
        }
    }
}

/// A device with every operation that models, criteria and the engine use.
///
/// Bundles dfdx's own bounds, so that plugin code never spells them: a `Tensor<B>`'s [`dfdx`](Tensor::dfdx) form has all of dfdx.
///
/// It is not `Send` itself, because dfdx's `Cuda` holds a bare handle; its tensors are.
pub trait Backend:
    dfdx::tensor_ops::Device<f32> + dfdx::tensor::CopySlice<f32> + vision::VisionOps + images::ImageOps
{
    /// `cpu` or `cuda`.
    const NAME: &'static str;
    /// Training steps whose losses may wait on the device before somebody reads them: reading one waits for the step.
    const LOSSES_AT_ONCE: usize;
    /// Indices on the device.
    type Ints: Clone + fmt::Debug + Send + Sync + 'static;
    /// Small numbers on the device.
    type Bytes: Clone + fmt::Debug + Send + Sync + 'static;
    /// A pool of examples on the device.
    type Examples: Clone + Send + Sync + 'static;

    /// Moves values to the device.
    ///
    /// # Errors
    /// If memory runs out; so for every operation.
    fn upload(&self, data: Vec<f32>) -> Result<Buffer<Self>>;
    /// A buffer of zeros.
    fn zeroed(&self, count: usize) -> Result<Buffer<Self>> {
        self.upload(vec![0.0; count])
    }
    /// Takes back the memory of a buffer that nobody uses any more, for devices where a new allocation costs more than memory.
    ///
    /// `addr` is the one the buffer was made with.
    #[doc(hidden)]
    fn recycle(memory: dfdx::tensor::Tensor<(usize,), f32, Self>, addr: *mut f32) {
        let _ = (memory, addr);
    }
    /// As `recycle`, for a buffer of so many elements that was lent: its memory may be in use elsewhere.
    #[doc(hidden)]
    fn let_go(count: usize) {
        let _ = count;
    }
    /// Gives unused memory back, after the sizes of a network have changed and at the end of a run.
    fn trim(&self) {}
    /// Values on the host, borrowed where they are there already.
    fn host(t: &Tensor<Self>) -> Cow<'_, [f32]>;
    /// A buffer of its own with the same values.
    fn duplicate(t: &Tensor<Self>) -> Result<Buffer<Self>>;
    /// Overwrites the values in place.
    fn write(t: &mut Tensor<Self>, data: &[f32]) -> Result<()>;
    /// Values of several tensors on the host, waiting once.
    fn host_all(tensors: &[&Tensor<Self>]) -> Vec<Vec<f32>> {
        tensors.iter().map(|t| t.to_vec()).collect()
    }
    /// Indices on the host.
    fn host_ints(ints: &Self::Ints) -> Cow<'_, [u32]>;
    /// What the device needs to draw batches of these examples itself; `None` where they are better drawn on the host.
    fn examples(&self, values: &Values) -> Result<Option<Self::Examples>>;
    /// The picked examples, normalised and changed: `[picks, shape...]`.
    fn draw(&self, from: &Self::Examples, picks: &Picks<'_>) -> Result<Tensor<Self>>;

    /// Element-wise function.
    fn unary(op: Unary, x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Element-wise function of two tensors.
    fn binary(op: Binary, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Sums up one axis.
    fn reduce(how: Reduce, x: &Tensor<Self>, axis: usize) -> Result<Tensor<Self>>;
    /// `op(a) op(b)`, each transposed where asked.
    fn matmul(a: &Tensor<Self>, ta: bool, b: &Tensor<Self>, tb: bool) -> Result<Tensor<Self>>;
    /// The last two axes exchanged: `[..., a, b] -> [..., b, a]`.
    fn transpose(x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// `x` times the one value of `factor`; `x` itself where the host knows that to be one.
    fn scale_by(x: Tensor<Self>, factor: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// `to += from`.
    fn accumulate(to: &mut Tensor<Self>, from: &Tensor<Self>) -> Result<()>;
    /// Σ x², in f64.
    fn norm_squared(x: &Tensor<Self>) -> Result<f64>;
    /// What gradients are multiplied by so that their common norm does not exceed `limit`, and that norm: `[2]`.
    fn clip_scale(grads: &[&Tensor<Self>], limit: f64) -> Result<Tensor<Self>>;
    /// Keeps the listed indices of one axis, in order.
    fn select(x: &Tensor<Self>, axis: usize, keep: &[usize]) -> Result<Tensor<Self>>;
    /// One and zero for what stays and goes: of the elements that `alive` marks (all where absent), those with the `total` highest
    /// scores over all lists stay; among equal scores the ones that come first go first. Scores are finite.
    fn keep_best(scores: &[Tensor<Self>], alive: &[Option<Tensor<Self>>], total: usize) -> Result<Vec<Tensor<Self>>>;
    /// What each of N units contributed to the M units it feeds, over one batch: `activation [F, N]`, `weight [M, N]` (USC report,
    /// "Neural importance-based train-time pruning"). Magnitudes, or signed values with denominators kept `signed_eps` away from
    /// zero; the maximum only `with_max`, because it costs as much again.
    fn contribution(
        activation: &Tensor<Self>,
        weight: &Tensor<Self>,
        signed_eps: Option<f32>,
        with_max: bool,
    ) -> Result<Contribution<Self>>;

    /// `y = act(x w^T + b) + residual`; saves for the backward pass where `save`.
    fn linear(op: &Linear<Self>, save: bool) -> Result<(Tensor<Self>, LinearSaved<Self>)>;
    /// Gradients of [`Backend::linear`]; consumes the output's gradient.
    fn linear_backward(
        op: &Linear<Self>,
        saved: LinearSaved<Self>,
        dy: Tensor<Self>,
        grads: LinearGrads<'_, Self>,
    ) -> Result<()>;
    /// An activation on its own.
    fn activation(act: Act, x: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Gradient of [`Backend::activation`] at `x`.
    fn activation_backward(act: Act, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Mean cross-entropy of logits `[rows, classes]` against class ids; its gradient where `grad`.
    fn cross_entropy(logits: &Tensor<Self>, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Self>>;
    /// Mean binary cross-entropy of one logit per row against classes 0 and 1.
    fn binary_cross_entropy(logits: &Tensor<Self>, classes: &[u32], grad: bool) -> Result<LossValue<Self>>;
    /// One optimizer step over all parameters, in place; the first value of `scale` multiplies every gradient (clipping).
    fn update(params: &mut [Updated<'_, Self>], scale: Option<&Tensor<Self>>) -> Result<()>;
}
