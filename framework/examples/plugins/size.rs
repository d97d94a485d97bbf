//! The least that a criterion can be, for the benchmark of the plugin boundary.

use secateur::prelude::*;

options! {
    /// |w|
    pub struct Size {}
}

impl<B: Backend> Criterion<B> for Size {
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.abs()?.into())
    }
}

register!(Criterion, "size", Size, "|w|");
