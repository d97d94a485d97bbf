//! Masks of parameters.

use super::{Masking, Param};
use crate::backend::Backend;
use crate::error::Result;
use crate::network::layout::ParamSpec;
use crate::tensor::{Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// Which elements of a parameter are kept. Where a layer goes over the nonzeros of its weight alone, their pattern is all
/// that is held from one update to the next; the arrays are made of it for whoever asks.
#[derive(Debug)]
pub struct Mask<B: Backend> {
    device: B,
    shape: Shape,
    /// There, unless there is a pattern.
    tensor: OnceLock<Tensor<B>>,
    /// Made when first asked for, where the mask came as a tensor.
    keep: OnceLock<Vec<bool>>,
    pub(super) kept: usize,
    /// Made when first asked for, for the masks that are there when a network is run alone.
    pattern: OnceLock<Option<Arc<B::Pattern>>>,
}

impl<B: Backend> Clone for Mask<B> {
    fn clone(&self) -> Self {
        let (tensor, keep, pattern) = (self.tensor.clone(), self.keep.clone(), self.pattern.clone());
        Self { device: self.device.clone(), shape: self.shape, tensor, keep, kept: self.kept, pattern }
    }
}

impl<B: Backend> Mask<B> {
    pub(super) fn new(device: &B, keep: Vec<bool>, spec: &ParamSpec) -> Result<Self> {
        let values = keep.iter().map(|&k| f32::from(u8::from(k))).collect();
        let kept = keep.iter().filter(|&&k| k).count();
        let mask = Self::shown(Tensor::from_vec(device, values, spec.shape)?, kept);
        Ok(Self { keep: keep.into(), ..mask })
    }

    /// Of a tensor of zeros and ones.
    pub(super) fn of(tensor: Tensor<B>) -> Result<Self> {
        // The sum of the squares of ones is their number.
        let kept = B::norm_squared(&tensor)? as usize;
        Ok(Self::shown(tensor, kept))
    }

    /// Of a tensor of so many ones, and zeros else.
    pub(super) fn shown(tensor: Tensor<B>, kept: usize) -> Self {
        let (device, shape) = (tensor.device().clone(), tensor.shape());
        Self { device, shape, tensor: tensor.into(), keep: OnceLock::new(), kept, pattern: OnceLock::new() }
    }

    /// Where the ones are, for products over them alone; nothing where the device has none, or the mask is that of no
    /// matrix and no kernel.
    pub(super) fn pattern(&self) -> Option<&Arc<B::Pattern>> {
        let make = || match *self.shape {
            // A convolution's filters are rows.
            [rows, _] | [rows, _, _, _] if self.shape.count() > 0 => {
                B::pattern(self.keep(), rows, self.shape.count() / rows).map(Arc::new)
            }
            _ => None,
        };
        self.pattern.get_or_init(make).as_ref()
    }

    /// Lets go of the arrays where the pattern says as much.
    pub(super) fn rest(&mut self) {
        if self.places().is_some() {
            self.tensor.take();
            self.keep.take();
        }
    }

    /// Where the ones are, in rising order, if there is a pattern.
    fn places(&self) -> Option<&[u32]> {
        self.pattern.get()?.as_deref().map(B::places)
    }

    /// 0 or 1 for every element, in the parameter's shape.
    pub fn tensor(&self) -> &Tensor<B> {
        self.tensor.get_or_init(|| {
            let mut values = vec![0.0; self.shape.count()];
            self.places().unwrap_or_default().iter().for_each(|&at| values[at as usize] = 1.0);
            Tensor::from_vec(&self.device, values, self.shape).expect("a pattern is as large as its mask")
        })
    }

    /// Whether each element is kept, in row-major order.
    pub fn keep(&self) -> &[bool] {
        self.keep.get_or_init(|| match self.places() {
            Some(places) => {
                let mut keep = vec![false; self.shape.count()];
                places.iter().for_each(|&at| keep[at as usize] = true);
                keep
            }
            None => self.tensor().host().iter().map(|&v| v != 0.0).collect(),
        })
    }

    /// Writes a one for every element that is kept, and a zero else, of what is there of the mask.
    pub(crate) fn write_flags(&self, to: &mut [u8]) {
        match (self.keep.get(), self.places()) {
            (Some(keep), _) => to.iter_mut().zip(keep).for_each(|(to, &keep)| *to = u8::from(keep)),
            (None, Some(places)) => {
                to.fill(0);
                places.iter().for_each(|&at| to[at as usize] = 1);
            }
            (None, None) => {
                to.iter_mut().zip(self.tensor().host().iter()).for_each(|(to, &mark)| *to = u8::from(mark != 0.0));
            }
        }
    }

    /// A bit for every element, the lowest of a byte first: what a checkpoint keeps.
    pub(super) fn bits(&self) -> Vec<u8> {
        let mut bits = vec![0; self.shape.count().div_ceil(8)];
        let mut set = |at: usize| bits[at / 8] |= 1 << (at % 8);
        match self.places() {
            Some(places) => places.iter().for_each(|&at| set(at as usize)),
            None => self.keep().iter().enumerate().filter(|(_, keep)| **keep).for_each(|(at, _)| set(at)),
        }
        bits
    }

    /// How many of the arrays are there.
    #[cfg(test)]
    pub(super) fn arrays(&self) -> usize {
        usize::from(self.tensor.get().is_some()) + usize::from(self.keep.get().is_some())
    }

    /// Number of elements kept.
    pub fn kept(&self) -> usize {
        self.kept
    }
}

impl<B: Backend> Param<B> {
    /// Values as the forward pass sees them: masked elements are zero.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn effective(&self) -> Result<Tensor<B>> {
        self.mask.as_ref().map_or_else(|| Ok(self.value.whole().clone()), |m| self.value.whole().mul(m.tensor()))
    }

    pub(super) fn zero_masked(&mut self) -> Result<()> {
        if let Some(pattern) = self.state.packed() {
            return self.value.clear_others(pattern);
        }
        if let Some(mask) = &self.mask {
            self.value.set(self.value.whole().mul(mask.tensor())?.tracked(!self.spec.buffer));
            for state in self.state.unpack(self.spec.shape)? {
                *state = state.mul(mask.tensor())?;
            }
        }
        Ok(())
    }
}

impl Masking {
    /// Whether the values of pruned weights are zero themselves, so that no mask is needed in the forward pass.
    pub fn zeroes(self) -> bool {
        self != Self::Dynamic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;

    #[test]
    fn flags_are_written_of_whatever_there_is() {
        let flags = [1, 0, 0, 1, 1, 0];
        let found = |mask: &Mask<Cpu>| {
            let mut found = [9; 6];
            mask.write_flags(&mut found);
            found
        };
        let tensor = Tensor::from_vec(&Cpu::default(), flags.map(f32::from).to_vec(), [2, 3]).unwrap();
        let mut mask = Mask::of(tensor).unwrap();
        assert_eq!((found(&mask), mask.arrays()), (flags, 1), "of the tensor");
        mask.pattern().unwrap();
        mask.rest();
        assert_eq!((found(&mask), mask.arrays()), (flags, 0), "of the pattern");
        mask.keep();
        assert_eq!(found(&mask), flags, "of the array");
    }
}
