//! Kinks of a pass: on which side of zero (and of six) each ReLU is, which pixel wins each maximum, which tokens go
//! together.
//!
//! With its kinks kept where they were, a network of ReLUs and maxima is smooth in its weights, and equal to the
//! network itself around the weights at which they were noted. So derivatives of its gradient are those of the network,
//! and can be found from gradients at weights further away.

use super::Tape;
use crate::backend::{Act, Backend, Merge, Pool};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::rc::Rc;

/// Where the kinks of a pass lie, in the order of its operations.
#[derive(Debug, Clone)]
pub struct Kinks<B: Backend>(Rc<[Kink<B>]>);

/// The kinks of one operation.
#[derive(Debug, Clone)]
pub(super) enum Kink<B: Backend> {
    /// 1 where a ReLU lets its input through, 0 where not; and where it is bounded above, what it gives beside that:
    /// the bound where the input is beyond it, 0 elsewhere.
    Slopes(Tensor<B>, Option<Tensor<B>>),
    /// Where in its channel the maximum of each window is.
    Winners(Rc<B::Ints>),
    /// Which tokens go together.
    Merge(Merge<B>),
}

/// What a tape does about kinks.
#[derive(Debug)]
pub(super) enum Freezing<B: Backend> {
    Off,
    Noting(Vec<Kink<B>>),
    Keeping(Kinks<B>, usize),
}

/// What a tape does about kinks, for those who cannot be handed the kinks themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KinkMode {
    /// They lie where this pass has them.
    Free,
    /// The same, and they are noted.
    Noted,
    /// They lie where they were noted.
    Kept,
}

impl<B: Backend> Tape<B> {
    /// Notes where the kinks lie, see [`Tape::take_kinks`]; activations and maxima are computed on their own, which is
    /// slower.
    #[must_use]
    pub fn noting_kinks(mut self) -> Self {
        self.freezing = Freezing::Noting(vec![]);
        self
    }

    /// Keeps the kinks where another pass of the same operations had them, whatever the values are now.
    #[must_use]
    pub fn keeping_kinks(mut self, kinks: Kinks<B>) -> Self {
        self.freezing = Freezing::Keeping(kinks, 0);
        self
    }

    /// The kinks noted so far.
    ///
    /// # Errors
    /// If this tape does not note them.
    pub fn take_kinks(&mut self) -> Result<Kinks<B>> {
        match std::mem::replace(&mut self.freezing, Freezing::Off) {
            Freezing::Noting(kinks) => Ok(Kinks(kinks.into())),
            _ => Err(Error::Other("this tape does not note its kinks".into())),
        }
    }

    pub(crate) fn kink_mode(&self) -> KinkMode {
        match self.freezing {
            Freezing::Off => KinkMode::Free,
            Freezing::Noting(_) => KinkMode::Noted,
            Freezing::Keeping(..) => KinkMode::Kept,
        }
    }

    /// Whether kinks are noted or kept.
    pub(super) fn freezes(&self) -> bool {
        self.kink_mode() != KinkMode::Free
    }

    /// The kinks of the next operation: found anew, or those that are kept.
    fn kink(&mut self, find: impl FnOnce() -> Result<Kink<B>>) -> Result<Kink<B>> {
        match &mut self.freezing {
            Freezing::Off => find(),
            Freezing::Noting(kinks) => {
                kinks.push(find()?);
                kinks.last().cloned().ok_or_else(other_operations)
            }
            Freezing::Keeping(kinks, next) => {
                *next += 1;
                kinks.0.get(*next - 1).cloned().ok_or_else(other_operations)
            }
        }
    }

    /// An activation of straight pieces as the product with its slopes, and what is added to that.
    pub(super) fn frozen_act(&mut self, x: &Tensor<B>, act: Act) -> Result<Tensor<B>> {
        let found = self.kink(|| {
            let ones = Tensor::from_vec(x.device(), vec![1.0; x.count()], x.shape())?;
            let slopes = B::activation_backward(act, x, &ones)?;
            // Where the input is beyond the bound, the slope of an activation without one still says so.
            let beyond = || B::activation_backward(Act::Relu, x, &ones)?.sub(&slopes)?.scale(6.0);
            let beyond = (act == Act::Relu6).then(beyond).transpose()?;
            Ok(Kink::Slopes(slopes, beyond))
        })?;
        let Kink::Slopes(slopes, beyond) = found else { return Err(other_operations()) };
        let y = self.mul(x, &slopes)?;
        beyond.map_or(Ok(y.clone()), |beyond| self.add(&y, &beyond))
    }

    /// A pooling that takes the pixels which won.
    pub(super) fn frozen_maximum(&mut self, x: &Tensor<B>, pool: Pool) -> Result<Tensor<B>> {
        let (y, argmax) = B::pool(x, pool)?;
        let found = self.kink(|| Ok(Kink::Winners(Rc::new(argmax.ok_or_else(other_operations)?))))?;
        let Kink::Winners(winners) = found else { return Err(other_operations()) };
        let y = pick(x, &y, &B::host_ints(&winners))?;
        self.through(x, y, move |x, dy, slot| B::pool_backward(x, pool, Some(&winners), dy, slot))
    }

    /// The tokens that go together: those found now, or those that are kept.
    pub(super) fn frozen_merge(&mut self, merge: Merge<B>) -> Result<Merge<B>> {
        match self.kink(|| Ok(Kink::Merge(merge)))? {
            Kink::Merge(merge) => Ok(merge),
            _ => Err(other_operations()),
        }
    }
}

/// Elements of `x [batch, channels, rows, columns]` at one position in its channel for each element of `like`.
fn pick<B: Backend>(x: &Tensor<B>, like: &Tensor<B>, positions: &[u32]) -> Result<Tensor<B>> {
    let (channels, values) = (x.shape().iter().take(2).product::<usize>().max(1), x.host());
    let (plane, windows) = (values.len() / channels, (positions.len() / channels).max(1));
    let at = |(i, &position): (usize, &u32)| values.get(i / windows * plane + position as usize).copied();
    let picked: Option<Vec<f32>> = positions.iter().enumerate().map(at).collect();
    Tensor::from_vec(x.device(), picked.ok_or_else(other_operations)?, like.shape())
}

fn other_operations() -> Error {
    Error::Other("a pass that keeps the kinks of another has other operations: the model is not the same".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;

    #[test]
    fn bounded_activations_keep_the_piece_that_each_value_was_on() {
        let tensor = |values: &[f32]| Tensor::from_vec(&Cpu::default(), values.to_vec(), [values.len()]).unwrap();
        let before = tensor(&[-1.0, 2.0, 7.0, 6.0, 0.0]);
        let mut noting = Tape::recording().noting_kinks();
        assert_eq!(noting.act(&before, Act::Relu6).unwrap().to_vec(), [0.0, 2.0, 6.0, 6.0, 0.0]);
        let kinks = noting.take_kinks().unwrap();
        // The second is beyond the bound now, and stays on its slope; the third is below it, and stays on its plateau.
        let after = tensor(&[1.0, 8.0, 5.0, 3.0, 4.0]).tracked(true);
        let mut keeping = Tape::recording().keeping_kinks(kinks);
        let y = keeping.act(&after, Act::Relu6).unwrap();
        assert_eq!(y.to_vec(), [0.0, 8.0, 6.0, 6.0, 0.0]);
        let gradient = keeping.backward(&y, tensor(&[1.0; 5])).unwrap().get(&after).unwrap().to_vec();
        assert_eq!(gradient, [0.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
