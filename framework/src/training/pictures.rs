//! Pictures of what the network makes of held-out images: reconstructions, and merged tokens.

use super::reporter::Reporter;
use super::setting::Setting;
use super::step::next_batch;
use crate::backend::Backend;
use crate::data::SplitName;
use crate::error::Result;
use crate::network::forward::{Forward, Trail};
use crate::network::model::{Batch, Output};
use crate::network::params::ParamStore;
use crate::pruning::schedule::Step;
use crate::training::event::EvalAt;
use crate::training::picture::{Picture, Shows};
use std::num::NonZeroUsize;
use std::time::Instant;

impl<B: Backend> Setting<'_, B> {
    /// Shows the observer what there is to see, if it wants to. An evaluation like any other: it draws no random
    /// number.
    pub fn show(&self, params: &ParamStore<B>, step: Step, at: EvalAt, reporter: &mut Reporter<'_, B>) -> Result<()> {
        let (Some(count), Some(shape)) = (NonZeroUsize::new(reporter.pictures()), image(&self.data.shape)) else {
            return Ok(());
        };
        let clock = Instant::now();
        let splits = [SplitName::Test, SplitName::Validation, SplitName::Train];
        let split = splits.into_iter().find(|s| !self.data.split(*s).is_empty()).unwrap_or(SplitName::Train);
        let mut batches = self.data.sample(split, count);
        let Some(batch) = next_batch(&self.device, self.data, &mut batches)? else { return Ok(()) };
        let shown = self.shown(params, &batch, shape)?;
        if !shown.is_empty() {
            let images = self.pixels(batch.input.to_vec());
            let (epoch, epoch_over) = (self.length.nth_epoch(step), self.length.epochs_finished(step).is_some());
            for shows in shown {
                let images = images.clone();
                reporter.picture(&Picture { step: step.0, epoch, epoch_over, at, shape, images, shows })?;
            }
        }
        reporter.clock.eval += clock.elapsed();
        Ok(())
    }

    fn shown(&self, params: &ParamStore<B>, batch: &Batch<B>, [_, height, width]: [usize; 3]) -> Result<Vec<Shows>> {
        let mut cx = Forward::evaluation(params).with_compressor(self.compressor.as_ref());
        cx = cx.following_tokens();
        let output = self.model.forward(&mut cx, batch)?;
        let mut shown = vec![];
        if let Output::Loss { prediction, .. } = output
            && prediction.shape() == batch.input.shape()
        {
            shown.push(Shows::Reconstructions(self.pixels(prediction.to_vec())));
        }
        if let Some(trail) = cx.trail().filter(|t| t.remaining < t.original)
            && let Some(patch) = trail.patch(height, width)
        {
            shown.push(Shows::Groups { patch, holder: patches(trail) });
        }
        Ok(shown)
    }

    /// Inputs of the network as values between 0 and 1.
    fn pixels(&self, mut inputs: Vec<f32>) -> Vec<f32> {
        self.data.normalizer.invert(&mut inputs, self.data.item());
        inputs.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        inputs
    }
}

/// The shape of examples that can be drawn: gray or coloured images.
fn image(shape: &[usize]) -> Option<[usize; 3]> {
    shape.try_into().ok().filter(|[channels, ..]: &[usize; 3]| [1, 3].contains(channels))
}

/// The holders of the tokens that are patches.
fn patches(trail: &Trail) -> Vec<u32> {
    trail.holder.chunks(trail.original).flat_map(|image| &image[trail.protected..]).copied().collect()
}
