//! What products are computed in, and where that cannot be.

use super::Setting;
use crate::backend::{Backend, Precision};
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
}
