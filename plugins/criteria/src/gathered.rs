//! Criteria that gather something before they score: a sum over training steps, or what a probe answers. They say what
//! that is and what they make of it; keeping, cutting, saving and forgetting it are done here.

use secateur::prelude::*;
use std::collections::BTreeMap;

/// What a criterion gathers, and the scores it makes of that; [`Gathered`] makes a criterion of it, as in `gradients/movement.rs`.
pub(crate) trait Gather<B: Backend>: Send {
    /// See [`Criterion::needs`].
    fn needs(&self) -> Needs;

    /// See [`Criterion::window`]; who asks a probe looks at no training step.
    fn window(&self) -> Window {
        if self.needs().has(Needs::PROBE) { Window::LastStep } else { Window::SincePrune }
    }

    /// See [`Criterion::reduce`].
    fn reduce(&self) -> Reduce {
        Reduce::Sum
    }

    /// See [`Criterion::normalizer`].
    fn normalizer(&self) -> Option<Normalizer> {
        None
    }

    /// Adds what a training step in the window says.
    fn step(&self, _seen: &Observation<'_, B>, _sums: &mut Sums<B>) -> Result<()> {
        Ok(())
    }

    /// Adds what a probe answers in a round of a pruning step (`Needs::PROBE`), to nothing: what training steps said is
    /// gone by then.
    fn round(&self, _probe: &mut dyn Probe<B>, _sums: &mut Sums<B>) -> Result<()> {
        Ok(())
    }

    /// Scores of a target from the sums.
    fn score(&self, sums: &Sums<B>, target: &Target<'_, B>) -> Result<Scores<B>>;

    /// Whether it starts anew after a pruning step.
    fn forgets(&self) -> bool {
        true
    }
}

/// The criterion of what is gathered.
pub(crate) struct Gathered<B: Backend, G> {
    how: G,
    sums: Sums<B>,
}

impl<B: Backend, G> From<G> for Gathered<B, G> {
    fn from(how: G) -> Self {
        Self { how, sums: Sums::default() }
    }
}

impl<B: Backend, G: Gather<B>> Criterion<B> for Gathered<B, G> {
    fn needs(&self) -> Needs {
        self.how.needs()
    }

    fn window(&self) -> Window {
        self.how.window()
    }

    fn reduce(&self) -> Reduce {
        self.how.reduce()
    }

    fn normalizer(&self) -> Option<Normalizer> {
        self.how.normalizer()
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        self.how.step(seen, &mut self.sums)
    }

    fn prepare(&mut self, probe: &mut dyn Probe<B>) -> Result<()> {
        self.sums = Sums::default();
        self.how.round(probe, &mut self.sums)
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let scores = self.how.score(&self.sums, target)?;
        // A weight that is masked for good may have gathered something before; to a unit it adds no more than one that is
        // cut out.
        let gone = target.param().mask().filter(|_| target.params().masking() == Masking::Held);
        match (scores, gone) {
            (Scores::Weights(scores), Some(mask)) => Ok(scores.mul(mask.tensor())?.into()),
            (scores, _) => Ok(scores),
        }
    }

    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.sums.cut(cut)
    }

    fn reset(&mut self) -> Result<()> {
        if self.how.forgets() {
            self.sums = Sums::default();
        }
        Ok(())
    }

    fn save(&self) -> Result<State> {
        Ok(self.sums.save())
    }

    fn load(&mut self, state: State, device: &B) -> Result<()> {
        self.sums = Sums::load(state, device)?;
        Ok(())
    }
}

/// Tensors that are summed up, on the device: nothing in a training step waits for them. Each goes by the name of a
/// parameter, and has its axes, of length 1 where they were summed over (`[1, in]` for what enters a linear layer); or
/// by that of a unit group, `[units]`.
pub(crate) struct Sums<B: Backend>(BTreeMap<String, Sum<B>>);

struct Sum<B: Backend> {
    total: Tensor<B>,
    count: u64,
}

impl<B: Backend> Default for Sums<B> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<B: Backend> Sums<B> {
    /// Adds to the sum of that name what comes of `count` steps, examples or rows.
    pub fn add(&mut self, name: &str, value: Tensor<B>, count: u64) -> Result<()> {
        match self.0.get_mut(name) {
            Some(sum) => {
                B::accumulate(&mut sum.total, &value)?;
                sum.count += count;
            }
            None => _ = self.0.insert(name.into(), Sum { total: value, count }),
        }
        Ok(())
    }

    /// Adds everything that a probe answered, counted once.
    pub fn add_all(&mut self, answer: BTreeMap<String, Tensor<B>>) -> Result<()> {
        answer.into_iter().try_for_each(|(name, value)| self.add(&name, value, 1))
    }

    /// Adds `value(weight, gradient)` of every parameter that the step's gradient reached, counted once.
    pub fn add_each(
        &mut self,
        seen: &Observation<'_, B>,
        value: impl Fn(&Tensor<B>, &Tensor<B>) -> Result<Tensor<B>>,
    ) -> Result<()> {
        for p in seen.params.iter().filter(|p| !p.spec().buffer) {
            if let Some(gradient) = seen.grads.get(p.value()) {
                self.add(&p.spec().name, value(p.value(), gradient)?, 1)?;
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Result<&Sum<B>> {
        self.0.get(name).ok_or_else(|| {
            Error::Other(format!(
                "nothing is known of `{name}`: no gradient reached it, or no step was seen that counts"
            ))
        })
    }

    /// The sum of that name.
    pub fn total(&self, name: &str) -> Result<&Tensor<B>> {
        Ok(&self.get(name)?.total)
    }

    /// The sum of that name over its count.
    pub fn mean(&self, name: &str) -> Result<Tensor<B>> {
        let sum = self.get(name)?;
        if sum.count == 1 { Ok(sum.total.clone()) } else { sum.total.scale(1.0 / sum.count.max(1) as f32) }
    }

    /// Every mean, by name.
    pub fn means(&self) -> Result<BTreeMap<String, Tensor<B>>> {
        self.0.keys().map(|name| Ok((name.clone(), self.mean(name)?))).collect()
    }

    /// Follows the units that are cut out, see [`Criterion::cut`].
    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        if let Some(sum) = self.0.get_mut(&cut.group.name) {
            sum.total = sum.total.select(0, cut.kept)?;
        }
        for member in &cut.group.members {
            if let Some(sum) = self.0.get_mut(&member.param).filter(|sum| sum.total.shape()[member.axis] > 1) {
                sum.total = sum.total.select(member.axis, &cut.indices(member))?;
            }
        }
        Ok(())
    }

    fn save(&self) -> State {
        let mut state = State::default();
        for (name, sum) in &self.0 {
            state = state.with(&format!("{name}/sum"), sum.total.to_vec());
            state = state.with(&format!("{name}/shape"), sum.total.shape().iter().map(|&n| n as f64));
            state = state.with(&format!("{name}/count"), [sum.count as f64]);
        }
        state
    }

    fn load(mut state: State, device: &B) -> Result<Self> {
        let names: Vec<String> = state.0.keys().filter_map(|key| key.strip_suffix("/sum").map(str::to_owned)).collect();
        let mut sums = Self::default();
        for name in names {
            let mut take = |what: &str| state.take(&format!("{name}/{what}"));
            let (values, shape, count) = (take("sum")?, take("shape")?, take("count")?);
            let shape: Vec<usize> = shape.into_iter().map(|n| n as usize).collect();
            let total = Tensor::from_vec(device, values.into_iter().map(|v| v as f32).collect(), &shape[..])?;
            sums.add(&name, total, count.first().map_or(0, |&n| n as u64))?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32], shape: &[usize]) -> Tensor<Cpu> {
        Tensor::from_vec(&Cpu::default(), values.to_vec(), shape).unwrap()
    }

    fn sums() -> Sums<Cpu> {
        let mut sums = Sums::default();
        for step in [1.0, 3.0] {
            sums.add("fc2.weight", tensor(&[step, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 6]), 1).unwrap();
            sums.add("fc1.weight", tensor(&[step, -1.0, 0.5, 8.0, 0.0, 1.0], &[3, 2]), 1).unwrap();
            sums.add("fc1", tensor(&[step, 7.0, 9.0], &[3]), 10).unwrap();
        }
        sums
    }

    #[test]
    fn sums_and_means_are_by_name() {
        assert_eq!(sums().total("fc1").unwrap().to_vec(), [4.0, 14.0, 18.0]);
        assert_eq!(sums().mean("fc1.weight").unwrap().to_vec(), [2.0, -1.0, 0.5, 8.0, 0.0, 1.0]);
        let text = sums().mean("fc3.weight").unwrap_err().to_string();
        assert!(text.starts_with("nothing is known of `fc3.weight`"), "{text}");
    }

    #[test]
    fn what_is_cut_is_cut_out_of_every_axis_that_is_there() {
        let sizes = Sizes::default();
        let mut layout = LayoutBuilder::new(&sizes);
        let hidden = layout.units("fc1", 3);
        layout.linear("fc1", &2.into(), &hidden, false);
        layout.linear("fc2", &hidden.each(2), &4.into(), false);
        let layout = layout.build().unwrap();
        let mut sums = sums();
        sums.cut(&Cut { layout: &layout, group: layout.group("fc1").unwrap(), kept: &[0, 2] }).unwrap();
        assert_eq!(sums.total("fc1").unwrap().to_vec(), [4.0, 18.0]);
        assert_eq!(sums.total("fc1.weight").unwrap().to_vec(), [4.0, -2.0, 0.0, 2.0]);
        assert_eq!(sums.total("fc2.weight").unwrap().to_vec(), [4.0, 4.0, 10.0, 12.0]);
        assert_eq!(*sums.total("fc2.weight").unwrap().shape(), [1, 4]);
    }

    #[test]
    fn what_is_saved_comes_back() {
        let saved = sums().save();
        let again = Sums::load(saved.clone(), &Cpu::default()).unwrap();
        assert_eq!(again.save(), saved);
        assert_eq!(*again.total("fc1.weight").unwrap().shape(), [3, 2]);
        assert_eq!(again.mean("fc1").unwrap().to_vec(), sums().mean("fc1").unwrap().to_vec());
    }
}
