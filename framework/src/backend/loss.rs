//! Losses: of class ids, and the parts of a variational one.

use crate::error::{Error, Result};
use crate::tensor::{Device, Reduce, Tensor, TensorOps};

/// Loss over a batch, with what the backward pass and the metrics need.
#[derive(Debug)]
pub struct LossValue<B: Device> {
    /// The loss and the number of examples classified rightly, `[2]`, or the loss alone, `[1]`, where there are no classes;
    /// on the device, so that nobody waits for them.
    pub metrics: Tensor<B>,
    /// d loss / d prediction, for an upstream gradient of one.
    pub grad: Option<Tensor<B>>,
}

impl<B: Device> LossValue<B> {
    /// The loss, once the device has it.
    pub fn value(&self) -> f64 {
        f64::from(self.metrics.host()[0])
    }
}

/// A sum over all elements, `[1]`, and where wanted its gradients.
pub type SumAndGrads<B, const N: usize> = (Tensor<B>, Option<[Tensor<B>; N]>);

/// A class id that the logits have no column for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} has class {class}, but the network's output has {classes} classes (0 to {})", classes - 1)]
pub struct UnknownClass {
    /// The row of the batch.
    pub row: usize,
    /// The row's class id.
    pub class: usize,
    /// Classes that the logits have a column for.
    pub classes: usize,
}

/// Losses on a device.
pub trait LossOps: Device {
    /// Mean cross-entropy of logits `[rows, classes]` against class ids; its gradient where `grad`.
    ///
    /// # Errors
    /// If memory runs out, or the shapes do not fit; so for every operation.
    fn cross_entropy(logits: &Tensor<Self>, classes: &[u32], smoothing: f32, grad: bool) -> Result<LossValue<Self>>;
    /// Mean binary cross-entropy of one logit per row against classes 0 and 1.
    fn binary_cross_entropy(logits: &Tensor<Self>, classes: &[u32], grad: bool) -> Result<LossValue<Self>>;

    /// Binary cross-entropy of logits against targets in [0, 1], summed and scaled; gradient with respect to the
    /// logits.
    fn bce_logits(
        logits: &Tensor<Self>,
        targets: &Tensor<Self>,
        scale: f32,
        grad: bool,
    ) -> Result<SumAndGrads<Self, 1>>;
    /// Divergence of N(mu, e^logvar) from N(0, 1), `-1/2 Σ (1 + logvar - mu² - e^logvar)`, scaled; gradients of both.
    fn gaussian_kld(mu: &Tensor<Self>, logvar: &Tensor<Self>, scale: f32, grad: bool) -> Result<SumAndGrads<Self, 2>>;
    /// `mu + e^(logvar / 2) noise` (Kingma & Welling 2014).
    fn reparametrise(mu: &Tensor<Self>, logvar: &Tensor<Self>, noise: &Tensor<Self>) -> Result<Tensor<Self>>;
    /// Gradient of [`LossOps::reparametrise`] with respect to logvar; that of mu is `dy` itself.
    fn reparametrise_backward(logvar: &Tensor<Self>, noise: &Tensor<Self>, dy: &Tensor<Self>) -> Result<Tensor<Self>>;
}

/// Mean squared error of one output per row against its target, `Σ (f - y)² / n`; its gradient `2 (f - y) / n` where
/// `grad`.
///
/// # Errors
/// If the outputs are not one for each target; if memory runs out.
pub fn squared_error<B: TensorOps>(outputs: &Tensor<B>, targets: &[f32], grad: bool) -> Result<LossValue<B>> {
    let n = targets.len();
    if outputs.count() != n {
        let message = format!("outputs {} for {n} examples", outputs.shape());
        return Err(Error::shape("squared error", message));
    }
    let apart = outputs.sub(&Tensor::from_vec(outputs.device(), targets.to_vec(), outputs.shape())?)?;
    let metrics = apart.square()?.reshape([1, n])?.reduce(Reduce::Mean, 1)?;
    let grad = grad.then(|| apart.scale(2.0 / n.max(1) as f32)).transpose()?;
    Ok(LossValue { metrics, grad })
}

/// The squared error of class ids 0 and 1 as targets -1 and 1, with the number of outputs of the right sign; zero is class
/// 0, as under the binary cross-entropy.
///
/// # Errors
/// As [`squared_error`]; a class beyond 1.
pub fn squared_error_of_classes<B: TensorOps>(
    outputs: &Tensor<B>,
    classes: &[u32],
    grad: bool,
) -> Result<LossValue<B>> {
    let n = classes.len();
    if let Some((row, &class)) = classes.iter().enumerate().find(|(_, class)| **class > 1) {
        return Err(Error::Config(UnknownClass { row, class: class as usize, classes: 2 }.to_string()));
    }
    let ids: Vec<f32> = classes.iter().map(|&class| class as f32).collect();
    let signs: Vec<f32> = ids.iter().map(|id| 2.0 * id - 1.0).collect();
    let LossValue { metrics: loss, grad } = squared_error(outputs, &signs, grad)?;
    let device = outputs.device();
    let made = |values: Vec<f32>| Tensor::from_vec(device, values, [2]);
    let found = outputs.signum()?.max(&Tensor::zeros(device, outputs.shape())?)?;
    let wrong = found.sub(&Tensor::from_vec(device, ids, outputs.shape())?)?.abs()?;
    let wrong = wrong.reshape([1, n])?.reduce(Reduce::Sum, 1)?;
    let (loss, wrong) = (B::scale_by(made(vec![1.0, 0.0])?, &loss)?, B::scale_by(made(vec![0.0, -1.0])?, &wrong)?);
    Ok(LossValue { metrics: loss.add(&wrong)?.add(&made(vec![0.0, n as f32])?)?, grad })
}

/// Rows and columns of the logits of a cross-entropy, all of whose classes must have a column.
pub(super) fn check_cross_entropy<B: Device>(logits: &Tensor<B>, classes: &[u32]) -> Result<(usize, usize)> {
    const WHAT: &str = "cross-entropy";
    let &[rows, columns] = &*logits.shape() else {
        return Err(Error::shape(WHAT, format!("logits {} must have two axes", logits.shape())));
    };
    if rows != classes.len() {
        return Err(Error::shape(WHAT, format!("{rows} rows of logits for {} examples", classes.len())));
    }
    if let Some((row, &class)) = classes.iter().enumerate().find(|(_, c)| **c as usize >= columns) {
        return Err(Error::Config(UnknownClass { row, class: class as usize, classes: columns }.to_string()));
    }
    Ok((rows, columns))
}

/// Examples of a binary cross-entropy, which has one logit for each.
pub(super) fn check_binary_cross_entropy<B: Device>(logits: &Tensor<B>, classes: &[u32]) -> Result<usize> {
    if logits.count() != classes.len() {
        let message = format!("logits {} for {} examples", logits.shape(), classes.len());
        return Err(Error::shape("binary cross-entropy", message));
    }
    Ok(classes.len())
}
