//! Multilayer perceptrons.

use secateur::prelude::*;

options! {
    /// A stack of linear layers `fc1`, `fc2`, ...; each hidden layer is a unit group of its own name.
    pub struct Mlp {
        /// Width of each hidden layer.
        #[acts(always)]
        pub hidden: Vec<usize> = vec![50, 30],
        /// Activation of the hidden layers: `relu`, `relu6`, `gelu`, `gelu-exact`, `tanh`, `sigmoid`, or `none`.
        #[acts(|m| !m.hidden.is_empty(), "at least one layer in hidden")]
        pub activation: Act = Act::Relu,
        /// Whether layers have a bias.
        #[acts(always)]
        pub bias: bool = true,
    }

    fn check(&self, checks: &mut Checks) {
        checks.widths("hidden", &self.hidden);
    }
}

impl<B: Backend> Model<B> for Mlp {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let mut width = Width::from(input.features());
        for (i, &hidden) in self.hidden.iter().enumerate() {
            let name = format!("fc{}", i + 1);
            let next = layout.units(&name, hidden);
            layout.linear(&name, &width, &next, self.bias);
            width = next;
        }
        let last = format!("fc{}", self.hidden.len() + 1);
        layout.linear(&last, &width, &input.classes.into(), self.bias);
        layout.output(&last);
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let features = batch.input.count() / batch.len().max(1);
        let mut x = batch.input.reshape([batch.len(), features])?;
        for i in 0..self.hidden.len() {
            x = cx.linear(&format!("fc{}", i + 1), &x, self.activation)?;
        }
        Ok(Output::Logits(cx.linear(&format!("fc{}", self.hidden.len() + 1), &x, Act::None)?))
    }
}

register!(Model, "mlp", Mlp, "A stack of linear layers of any widths.");
