//! Plugins that use as much of their traits as they can, for the tests of the plugin boundary.
//!
//! Longer than 300 lines because it is one library with one plugin of each kind.

use secateur::prelude::*;
use std::collections::BTreeMap;

options! {
    /// Uses every signal that crosses.
    pub struct EverythingOptions {
        /// Weight of the penalty.
        pub penalty: f32 = 1e-3,
        /// Any list, to see it cross.
        pub mix: Vec<f64> = vec![1.0, 0.5],
    }

    fn check(&self, checks: &mut Checks) {
        checks.range("penalty", self.penalty, 0.0..);
        checks.ensure("mix", self.mix.len() == 2, "must list two numbers");
    }
}

/// Mixes every signal, the mask, the optimizer's state and the seed into its scores, and keeps running sums over the
/// steps.
pub struct Everything {
    options: EverythingOptions,
    sums: BTreeMap<String, Vec<f64>>,
    probed: BTreeMap<String, Vec<f32>>,
}

impl From<EverythingOptions> for Everything {
    fn from(options: EverythingOptions) -> Self {
        Self { options, sums: BTreeMap::new(), probed: BTreeMap::new() }
    }
}

/// A number for each layer of a trace that depends on every part of its map, forwards and backwards.
fn traced<B: Backend>(trace: &Trace<B>) -> Result<BTreeMap<String, f64>> {
    let of = |t: &Tensor<B>| t.host().iter().map(|v| f64::from(*v)).sum::<f64>();
    let classes: u32 = trace.classes.iter().sum();
    let end = trace.output.as_ref().map_or(0.0, of) + f64::from(classes);
    let mut all = BTreeMap::new();
    for call in trace.calls.iter().filter(|call| !call.layer.is_empty()) {
        let mut sum = end + of(&call.output) + f64::from(u8::from(call.inputs[0].is_tracked()));
        for part in [Part::All, Part::Positive, Part::Negative, Part::Constant] {
            let inputs: Vec<_> = call.inputs.iter().map(|x| x.detach().tracked(true)).collect();
            let mut tape = Tape::recording();
            let Some(y) = call.replay(&mut tape, &inputs, part)? else { continue };
            sum += of(&y);
            if part != Part::Constant {
                let grads = tape.backward(&y, y.detach())?;
                sum += inputs.iter().filter_map(|x| grads.get(x)).map(of).sum::<f64>();
            }
        }
        all.insert(call.layer.clone(), sum);
    }
    Ok(all)
}

impl<B: Backend> Criterion<B> for Everything {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
            | Needs::INPUTS
            | Needs::OUTPUTS
            | Needs::OUTPUT_GRADIENTS
            | Needs::PREACTIVATIONS
            | Needs::PRODUCTS
            | Needs::TRACE
            | Needs::PROBE
            | Needs::PENALTY
    }

    fn window(&self) -> Window {
        Window::Epoch
    }

    fn reduce(&self) -> Reduce {
        Reduce::L2
    }

    fn setup(&mut self, run: &Setup<'_, B>) -> Result<()> {
        let names: Vec<&str> = run.layout.groups.iter().map(|g| g.name.as_str()).collect();
        if names.is_empty() { Err(Error::Config("there are no groups".into())) } else { Ok(()) }
    }

    fn observe(&mut self, seen: &Observation<'_, B>) -> Result<()> {
        let of = |t: &Tensor<B>| t.host().iter().map(|v| f64::from(*v)).sum::<f64>();
        let traced = traced(seen.trace()?)?;
        for p in seen.params.iter().filter(|p| p.spec().shape.len() == 2) {
            let name = &p.spec().name;
            let layer = name.trim_end_matches(".weight");
            let all = [
                of(&seen.grad(name)?),
                of(seen.input(layer)?),
                of(seen.output(layer)?),
                of(seen.output_grad(layer)?),
                of(seen.preactivation(layer)?),
                of(seen.product(layer)?),
                p.state()?.iter().map(of).sum(),
                p.updates() as f64 + p.kept() as f64 + p.dense_count() as f64,
                (seen.step.0 + seen.epoch) as f64 + seen.examples as f64,
                traced[layer],
            ];
            let sums = self.sums.entry(name.clone()).or_insert_with(|| vec![0.0; all.len()]);
            sums.iter_mut().zip(all).for_each(|(s, v)| *s += v);
        }
        Ok(())
    }

    fn prepare(&mut self, probe: &mut dyn Probe<B>) -> Result<()> {
        let replaced = (probe.params().iter())
            .map(|p| Ok((p.spec().name.clone(), p.effective()?.abs()?)))
            .collect::<Result<Vec<_>>>()?;
        let flow = probe.gradients(&Question::new(ProbeInput::Ones, Objective::OutputSum).replacing(&replaced))?;
        let batch = Question::new(ProbeInput::Batch(1), Objective::LOSS).in_mode(ProbeMode::Evaluation);
        let balanced = ProbeInput::Balanced { per_class: 2, nth: 1 };
        let balanced = Question::new(balanced, Objective::Loss { temperature: 20.0 });
        let loss = probe.gradients(&batch)?;
        let curved = probe.hessian_vector(&balanced, &loss)?;
        let one = probe.gradients(&Question::new(ProbeInput::Example(3), Objective::LOSS))?;
        let mixed =
            |(n, g): (&String, &Tensor<B>)| Ok((n.clone(), g.add(&loss[n])?.add(&curved[n])?.add(&one[n])?.to_vec()));
        self.probed = flow.iter().map(mixed).collect::<Result<_>>()?;
        Ok(())
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        let (name, weight) = (target.name(), target.weight()?);
        let sums = &self.sums[name];
        let noise = (target.seed().0 % 1000) as f32 * 1e-6;
        let mask = target.param().mask().map(|m| m.keep().to_vec());
        let score = |(i, (w, g)): (usize, (&f32, &f32))| {
            let kept = mask.as_ref().is_none_or(|m| m[i]);
            let seen = (sums.iter().sum::<f64>() * self.options.mix[1]) as f32 * 1e-6;
            w.abs() + (w * g).abs() + self.probed[name][i].abs() * 1e-3 + seen * w + noise + f32::from(u8::from(kept))
        };
        let scores = weight.host().iter().zip(target.grad()?.host().iter()).enumerate().map(score).collect();
        Ok(Tensor::from_vec(weight.device(), scores, weight.shape())?.into())
    }

    fn penalty(&mut self, name: &str, weight: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        if name != "fc1.weight" {
            return Ok(None);
        }
        let value = f64::from(self.options.penalty) * weight.host().iter().map(|w| f64::from(w.abs())).sum::<f64>();
        Ok(Some((value, weight.signum()?.scale(self.options.penalty)?)))
    }

    fn normalizer(&self) -> Option<Normalizer> {
        Some(Normalizer::L2)
    }

    fn refit(&mut self, plan: &Refit<'_, B>) -> Result<Vec<(String, Tensor<B>)>> {
        let name = "fc1.weight";
        let Some(p) = plan.params.find(name) else { return Ok(vec![]) };
        let kept = plan.keep.iter().map(|(_, keep)| keep.count()).sum::<Result<usize>>()?;
        let units = plan.units("fc1").map_or(0, |keep| keep.iter().filter(|k| **k).count());
        let factor = 1.0 + 1e-4 * (kept + 3 * units) as f32;
        Ok(vec![(name.to_owned(), p.value().scale(factor)?)])
    }

    fn reset(&mut self) -> Result<()> {
        self.sums.clear();
        Ok(())
    }

    fn save(&self) -> Result<State> {
        Ok(self.sums.iter().fold(State::default(), |state, (name, sums)| state.with(name, sums.clone())))
    }

    fn load(&mut self, state: State, _: &B) -> Result<()> {
        self.sums = state.0;
        Ok(())
    }
}

register!(Criterion, "everything", Everything, "Every signal at once.", options = EverythingOptions);

options! {
    /// Rounds of a lottery ticket.
    pub struct Ticket {
        /// Fraction that goes each time.
        pub fraction: f64 = 0.3,
    }

    fn check(&self, checks: &mut Checks) {
        checks.sparsity("fraction", self.fraction);
    }
}

impl Schedule for Ticket {
    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(run.epochs_finished(step).filter(|e| *e < 3).map(|_| Amount::OfRemaining(self.fraction)))
    }

    fn rewind(&self, step: Step, run: &RunLength) -> Result<Option<Step>> {
        Ok((run.epoch(step) == 1).then_some(Step(2)))
    }
}

register!(Schedule, "ticket", Ticket, "Rounds of pruning, the second of which rewinds to step 2.");

options! {
    /// Goes half of the way that it planned, and less the heavier the burden was.
    pub struct GuidedOptions {
        /// Sparsity planned after every epoch.
        pub sparsity: f64 = 0.6,
    }
}

/// Remembers the first burden that it saw.
pub struct Guided {
    options: GuidedOptions,
    first: Option<f64>,
}

impl From<GuidedOptions> for Guided {
    fn from(options: GuidedOptions) -> Self {
        Self { options, first: None }
    }
}

impl Schedule for Guided {
    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok(run.epochs_finished(step).map(|_| Amount::Sparsity(self.options.sparsity)))
    }

    fn watches(&self) -> bool {
        true
    }

    fn adjust(&mut self, planned: Amount, seen: &Measured<'_>) -> Result<Amount> {
        let of = |one: &Indicators| one.gradient + one.gradient_mean + one.weight + one.name.len() as f64;
        let burden: f64 = seen.burden.iter().map(of).sum::<f64>() + seen.validation_loss.unwrap_or(1.0);
        let first = *self.first.get_or_insert(burden);
        let done = (seen.step.0 + 1) as f64 / seen.run.steps as f64 + seen.sparsity;
        let kept: usize = seen.burden.iter().map(|one| one.kept).sum();
        let part = (done / (2.0 * (1.0 + (burden / first - 1.0).abs())) + kept as f64 * 1e-9).min(1.0);
        Ok(Amount::Sparsity(planned.fraction() * part))
    }

    fn save(&self) -> Result<State> {
        Ok(State::default().with("first", self.first))
    }

    fn load(&mut self, mut state: State) -> Result<()> {
        self.first = state.take("first")?.first().copied();
        Ok(())
    }
}

register!(Schedule, "guided", Guided, "Goes by the burden that it sees.", options = GuidedOptions);

options! {
    /// Adds neighbouring tokens up.
    pub struct Pairs {
        /// Factor of the sum.
        pub factor: f32 = 0.5,
    }
}

/// `[batch, tokens, dim]` with an even number of tokens behind the protected ones: every two of those become their
/// scaled sum.
impl<B: Backend> Compressor<B> for Pairs {
    fn compress(&self, tape: &mut Tape<B>, tokens: Tokens<B>, _: Stage) -> Result<Tokens<B>> {
        let &[batch, n, dim] = &*tokens.x.shape() else {
            return Err(Error::shape("pairs", format!("{} has not three axes", tokens.x.shape())));
        };
        let (kept, factor) = (tokens.protected, self.factor);
        let after = kept + (n - kept) / 2;
        let from = move |t: usize| if t < kept { vec![t] } else { vec![2 * t - kept, 2 * t - kept + 1] };
        let x = tokens.x.host();
        let mut y = vec![0.0; batch * after * dim];
        for (i, out) in y.iter_mut().enumerate() {
            let (b, t, d) = (i / (after * dim), i / dim % after, i % dim);
            let scale = if t < kept { 1.0 } else { factor };
            *out = from(t).iter().map(|s| scale * x[(b * n + s) * dim + d]).sum();
        }
        let y = Tensor::from_vec(tokens.x.device(), y, [batch, after, dim])?;
        let input = tokens.x.clone();
        let y = if tape.wants(&[&input]) {
            tape.record(y, move |dy, grads| {
                let (dy, mut dx) = (dy.to_vec(), vec![0.0; input.count()]);
                for (i, g) in dy.iter().enumerate() {
                    let (b, t, d) = (i / (after * dim), i / dim % after, i % dim);
                    let scale = if t < kept { 1.0 } else { factor };
                    from(t).iter().for_each(|s| dx[(b * n + s) * dim + d] += scale * g);
                }
                grads.add(&input, Tensor::from_vec(input.device(), dx, input.shape())?)
            })
        } else {
            y
        };
        let sizes = (0..batch * after).map(|i| if i % after < kept { 1.0 } else { 2.0 }).collect();
        let sizes = Some(Tensor::from_vec(y.device(), sizes, [batch, after])?);
        let source = tokens.source.map(|s| {
            s.iter().map(|&o| if (o as usize) < kept { o } else { (kept + (o as usize - kept) / 2) as u32 }).collect()
        });
        Ok(Tokens { x: y, metric: None, sizes, source, protected: kept })
    }
}

register!(Compressor, "pairs", Pairs, "Scaled sums of neighbouring tokens.");

options! {
    /// A perceptron over compressed tokens.
    pub struct Perceptron {
        /// Width of the hidden layer.
        pub hidden: usize = 12,
    }

    fn check(&self, checks: &mut Checks) {
        checks.width("hidden", self.hidden);
    }
}

/// The example's features as `features / 4` tokens of 4, compressed if the run has a compressor, then two layers.
impl<B: Backend> Model<B> for Perceptron {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let hidden = layout.units("fc1", self.hidden);
        layout.linear("embed", &4.into(), &4.into(), false);
        layout.linear("fc1", &(input.features() / 2).into(), &hidden, true);
        layout.linear("fc2", &hidden, &input.classes.into(), true);
        layout.output("fc2");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let (n, features) = (batch.len(), batch.input.count() / batch.len());
        let x = cx.linear("embed", &batch.input.reshape([n * features / 4, 4])?, Act::None)?;
        let x = x.reshape([n, features / 4, 4])?;
        let tokens = Tokens { x: x.clone(), metric: None, sizes: None, source: None, protected: 0 };
        let compressor = cx.compressor();
        let x = compressor.compress(cx.tape(), tokens, Stage::BeforeEncoder)?.x;
        let x = x.reshape([n, features / 2])?;
        let x = cx.linear("fc1", &x, Act::Relu)?;
        Ok(Output::Logits(cx.linear("fc2", &x, Act::None)?))
    }
}

register!(Model, "perceptron", Perceptron, "Two layers over compressed tokens.");
