//! What products are computed in and in which order, and where that cannot be.

use super::Setting;
use crate::backend::{self, Backend, Bits, Precision};
use crate::error::{Error, OptionError, Result};

impl<B: Backend> Setting<'_, B> {
    /// Refuses products in bf16 where nothing computes them: slowly emulated, or silently in f32, they would be something
    /// else than was asked for.
    pub(super) fn check_precision(&self) -> Result<()> {
        if self.train.precision == Precision::F32 {
            return Ok(());
        }
        let elsewhere = !self.model.follows_precision();
        let loaded = elsewhere.then(|| "the model is in a loaded library, and computes in f32".to_owned());
        let Some(why) = B::lacks_bf16().or(loaded) else { return Ok(()) };
        let text = format!("cannot be: {why}; set \"f32\"");
        Err(Error::from(OptionError::new("precision", "\"bf16\"", text)).under("train"))
    }

    /// Refuses bits that are the same elsewhere where they would not be.
    pub(super) fn check_bits(&self) -> Result<()> {
        if self.train.bits == Bits::Fastest {
            return Ok(());
        }
        let bf16 = (self.train.precision == Precision::Bf16)
            .then(|| "products in bf16 (train.precision) add in an order of the processor's".to_owned());
        let loaded = (!self.model.follows_precision())
            .then(|| "the model is in a loaded library, which chooses its vectors by itself".to_owned());
        let thread = (backend::bits() == Bits::Fastest)
            .then(|| "this thread was not told of it, see `secateur::backend::use_bits`".to_owned());
        let Some(why) = B::lacks_portable_bits().or(bf16).or(loaded).or(thread) else { return Ok(()) };
        let text = format!("cannot be: {why}; set \"fastest\"");
        Err(Error::from(OptionError::new("bits", "\"portable\"", text)).under("train"))
    }
}
