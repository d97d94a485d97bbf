//! What a network is: parameters declared once, and a forward pass.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::network::forward::Forward;
use crate::network::layout::{Layout, Sizes};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What the data looks like to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Axes of one example: `[features]` or `[channels, height, width]`.
    pub shape: Vec<usize>,
    /// Number of outputs: one a class, or one alone under a binary loss or a squared error.
    pub classes: usize,
}

impl InputSpec {
    /// Values of one example.
    pub fn features(&self) -> usize {
        self.shape.iter().product()
    }

    /// Channels, height and width of an image.
    ///
    /// # Errors
    /// If the examples are not images.
    pub fn image(&self) -> Result<[usize; 3]> {
        self.shape[..].try_into().map_err(|_| {
            Error::Config(format!(
                "this model needs images [channels, height, width], but the data's examples are {:?}\n  fix: take data of \
                 images, or model.name = \"mlp\"",
                self.shape
            ))
        })
    }
}

/// Examples of one step.
#[derive(Debug, Clone)]
pub struct Batch<B: Backend> {
    /// `[batch, ...example]`
    pub input: Tensor<B>,
    /// Class of each example; 0 where targets are real-valued.
    pub classes: Vec<u32>,
    /// Real-valued target of each example; nothing where there are classes.
    pub responses: Vec<f32>,
}

impl<B: Backend> Batch<B> {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The first `n` examples, or all where there are fewer.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn first(&self, n: usize) -> Result<Self> {
        let n = n.min(self.len());
        let each = self.input.count() / self.len().max(1);
        let input = Tensor::from_vec(
            self.input.device(),
            self.input.host()[..n * each].to_vec(),
            self.input.shape().with(0, n),
        )?;
        let responses = self.responses.iter().take(n).copied().collect();
        Ok(Self { input, classes: self.classes[..n].to_vec(), responses })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

/// What a forward pass gives.
#[derive(Debug, Clone)]
pub enum Output<B: Backend> {
    /// `[batch, classes]`, or `[batch, 1]` for a binary problem or a real-valued target; the engine computes the loss.
    Logits(Tensor<B>),
    /// The model's own loss.
    Loss {
        /// A scalar on the tape, mean over the batch.
        loss: Tensor<B>,
        /// What it predicts, `[batch, ...]`; where it has the shape of input images, the two are shown side by side in
        /// pictures.
        prediction: Tensor<B>,
    },
}

/// A network: a layout and a forward pass.
///
/// ```
/// use secateur::prelude::*;
///
/// /// One linear layer.
/// struct Softmax;
/// impl<B: Backend> Model<B> for Softmax {
///     fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
///         let mut layout = LayoutBuilder::new(sizes);
///         layout.linear("out", &input.features().into(), &input.classes.into(), true);
///         layout.output("out");
///         layout.build()
///     }
///     fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
///         let x = batch.input.reshape([batch.len(), batch.input.count() / batch.len()])?;
///         Ok(Output::Logits(cx.linear("out", &x, Act::None)?))
///     }
/// }
/// ```
pub trait Model<B: Backend>: Send {
    /// Parameters and unit groups for this input, when the groups have these sizes.
    ///
    /// # Errors
    /// If the options do not fit the input (heads that do not divide the width, a patch that does not divide the
    /// image).
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout>;

    /// What other libraries call this model's parameters, and what they are here, as a person would write it in
    /// `[init.names]`: `("layer*.*.bn*.*", "stage*.*.norm*.*")`. The longest name that fits speaks. A model that is
    /// loaded from a library says nothing of them, so that the config must.
    fn known_names(&self) -> Vec<(String, String)> {
        vec![]
    }

    /// The forward pass; `cx` has the layers by name, and works the same in training and evaluation.
    ///
    /// # Errors
    /// If shapes do not fit.
    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>>;

    /// Whether its layers go over the nonzeros of their weights alone where `train.sparse` says so, as those of
    /// [`Forward`] do; not those of a model in a loaded library.
    fn over_nonzeros(&self) -> bool {
        true
    }

    /// Whether its layers are computed in what `train.precision` says, as those of [`Forward`] are; not those of a model
    /// in a loaded library.
    fn follows_precision(&self) -> bool {
        true
    }
}
