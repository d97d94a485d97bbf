//! Plugins that fail in every way, for the tests of the plugin boundary.

use secateur::prelude::*;

options! {
    /// Where to fail.
    pub struct FaultyOptions {
        /// Name of the function.
        pub at: String = String::new(),
    }
}

fn fail(faulty: &Faulty, here: &str) {
    assert!(faulty.0.at != here, "deliberately in {here}");
}

/// Panics where it is told to, or gives wrong scores.
pub struct Faulty(FaultyOptions);

impl From<FaultyOptions> for Faulty {
    fn from(options: FaultyOptions) -> Self {
        let faulty = Self(options);
        fail(&faulty, "create");
        faulty
    }
}

impl<B: Backend> Criterion<B> for Faulty {
    fn needs(&self) -> Needs {
        fail(self, "needs");
        Needs::GRADIENTS | Needs::PROBE | Needs::PENALTY
    }
    fn setup(&mut self, _: &Setup<'_, B>) -> Result<()> {
        fail(self, "setup");
        Ok(())
    }
    fn observe(&mut self, _: &Observation<'_, B>) -> Result<()> {
        fail(self, "observe");
        Ok(())
    }
    fn prepare(&mut self, _: &mut dyn Probe<B>) -> Result<()> {
        fail(self, "prepare");
        Ok(())
    }
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        fail(self, "score");
        let weight = target.weight()?;
        let scores = |n, v| Ok(Scores::Weights(Tensor::from_vec(weight.device(), vec![v; n], [n])?));
        match self.0.at.as_str() {
            "nan" => scores(weight.count(), f32::NAN),
            "short" => scores(weight.count() - 1, 1.0),
            "units" => Ok(Scores::Units(vec![1.0])),
            "error" => Err(Error::Other("no scores today".into())),
            _ => Ok(weight.abs()?.into()),
        }
    }
    fn penalty(&mut self, _: &str, _: &Tensor<B>) -> Result<Option<(f64, Tensor<B>)>> {
        fail(self, "penalty");
        Ok(None)
    }
    fn reset(&mut self) -> Result<()> {
        fail(self, "reset");
        Ok(())
    }
    fn save(&self) -> Result<State> {
        fail(self, "save");
        Ok(State::default())
    }
    fn load(&mut self, _: State, _: &B) -> Result<()> {
        fail(self, "load");
        Ok(())
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        fail(self, "destroy");
    }
}

register!(Criterion, "faulty", Faulty, "Fails.", options = FaultyOptions);

impl Schedule for Faulty {
    fn target(&self, step: Step, _: &RunLength) -> Result<Option<Amount>> {
        fail(self, "target");
        Ok((step.0 == 3).then_some(Amount::Sparsity(if self.0.at == "whole" { 1.0 } else { 0.5 })))
    }
    fn rewind(&self, _: Step, _: &RunLength) -> Result<Option<Step>> {
        fail(self, "rewind");
        Ok(None)
    }
}

register!(Schedule, "faulty", Faulty, "Fails.", options = FaultyOptions);

impl<B: Backend> Compressor<B> for Faulty {
    fn compress(&self, tape: &mut Tape<B>, tokens: Tokens<B>, _: Stage) -> Result<Tokens<B>> {
        fail(self, "compress");
        let x = tokens.x.detach();
        let backwards = self.0.at == "backward";
        let x = tape.record(x, move |_, _| if backwards { panic!("deliberately in backward") } else { Ok(()) });
        Ok(Tokens { x, ..tokens })
    }
}

register!(Compressor, "faulty", Faulty, "Fails.", options = FaultyOptions);

impl<B: Backend> Model<B> for Faulty {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        fail(self, "layout");
        let mut layout = LayoutBuilder::new(sizes);
        layout.linear("out", &input.features().into(), &input.classes.into(), true);
        let mut layout = layout.build()?;
        if self.0.at == "groups" {
            let member =
                Member { param: "out.weight".into(), axis: 0, offset: 5, outer: 1, inner: 1, role: Role::Producer };
            let (name, members) = ("out".into(), vec![member]);
            layout.groups.push(UnitGroup { name, units: 10, dense_units: 10, members, read_inside: false });
        }
        Ok(layout)
    }
    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        fail(self, "forward");
        let x = batch.input.reshape([batch.len(), batch.input.count() / batch.len()])?;
        let y = cx.linear("out", &x, Act::None)?;
        let backwards = self.0.at == "backward";
        let z = y.clone();
        Ok(Output::Logits(cx.tape().record(y.detach(), move |dy, grads| {
            assert!(!backwards, "deliberately in backward");
            grads.add(&z, dy)
        })))
    }
}

register!(Model, "faulty", Faulty, "Fails.", options = FaultyOptions);
