//! Random pruning: the baseline that every criterion must beat.

use super::order::{Order, draw};
use secateur::prelude::*;

options! {
    /// Uniform random scores, one for every weight or unit of the run, fixed by the run's seed and the names: the order
    /// is the same at every pruning step. Units get one random score each.
    pub struct RandomOptions {}
}

options! {
    /// Uniform random scores that are drawn anew at every pruning step. Under masks that are renewed (`prune.regrow`) the
    /// network is rewired at every renewal; with held masks the pruned set only grows, as it does for `random`.
    pub struct RandomRedrawn {}
}

/// One random order for a whole run.
pub struct Random(Order);

impl From<RandomOptions> for Random {
    fn from(_: RandomOptions) -> Self {
        Self(Order::default())
    }
}

const STREAM: &str = "random";

impl<B: Backend> Criterion<B> for Random {
    /// Nothing but the weights as they are counts.
    fn window(&self) -> Window {
        Window::LastStep
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        match target.group() {
            Some(group) => Ok(Scores::Units(self.0.units(target.seed(), STREAM, group).to_vec())),
            None => weights(target, Order::weights(target, STREAM)),
        }
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.0.cut(cut);
        Ok(())
    }

    fn save(&self) -> Result<State> {
        Ok(self.0.save())
    }

    fn load(&mut self, state: State, _device: &B) -> Result<()> {
        self.0.load(state);
        Ok(())
    }
}

impl<B: Backend> Criterion<B> for RandomRedrawn {
    /// Nothing but the weights as they are counts.
    fn window(&self) -> Window {
        Window::LastStep
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let seed = target.seed().derive("step", &[&target.step().0.to_string()]);
        match target.group() {
            Some(group) => Ok(Scores::Units(draw(seed, STREAM, group.units))),
            None => weights(target, draw(seed, STREAM, target.param().spec().shape.count())),
        }
    }
}

fn weights<B: Backend>(target: &Target<'_, B>, scores: Vec<f32>) -> Result<Scores<B>> {
    Ok(Tensor::from_vec(target.params().device(), scores, target.param().spec().shape)?.into())
}

register!(
    Criterion,
    "random",
    Random,
    "Uniform random scores, one order for a run: the baseline to beat.",
    options = RandomOptions
);
register!(Criterion, "random-redrawn", RandomRedrawn, "Uniform random scores, drawn anew at every pruning step.");
