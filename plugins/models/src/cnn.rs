//! Small convolutional networks: blocks of convolution, activation and 2x2 pooling, then linear layers.

use secateur::prelude::*;

options! {
    /// Convolutions `conv1`, `conv2`, ... (3x3 by default, same size, ReLU, 2x2 maximum), then `fc1`, `fc2`, ...;
    /// channels and hidden units are unit groups of their layers' names. The defaults are the network of the
    /// contribution-rank report.
    pub struct Cnn {
        /// Channels of each convolution.
        #[acts(always)]
        pub channels: Vec<usize> = vec![16, 32],
        /// Side of the kernels; odd.
        #[acts(|c| !c.channels.is_empty(), "at least one convolution in channels")]
        pub kernel: usize = 3,
        /// Width of each hidden linear layer.
        #[acts(always)]
        pub hidden: Vec<usize> = vec![256, 128],
        /// Activation: `relu`, `relu6`, `tanh`, `sigmoid`, or `none` (those that can be fused into a convolution).
        #[acts(|c| !(c.channels.is_empty() && c.hidden.is_empty()), "at least one layer in channels or hidden")]
        pub activation: Act = Act::Relu,
        /// Batch normalisation after each convolution, before its activation.
        #[acts(|c| !c.channels.is_empty(), "at least one convolution in channels")]
        pub batch_norm: bool = false,
        /// What normalisations add to variances.
        #[acts(|c| c.batch_norm && !c.channels.is_empty(), "batch_norm = true and at least one convolution in channels")]
        pub norm_eps: f64 = 1e-5,
        /// Share of a batch in the running statistics of normalisations.
        #[acts(|c| c.batch_norm && !c.channels.is_empty(), "batch_norm = true and at least one convolution in channels")]
        pub norm_momentum: f64 = 0.1,
        /// Whether convolutions have a bias.
        #[acts(|c| !c.channels.is_empty(), "at least one convolution in channels")]
        pub conv_bias: bool = true,
        /// Whether linear layers have a bias.
        #[acts(always)]
        pub bias: bool = false,
    }

    fn check(&self, checks: &mut Checks) {
        checks.widths("channels", &self.channels);
        let odd = !self.kernel.is_multiple_of(2) && self.kernel < 100;
        checks.ensure("kernel", odd, "must be odd, so that the image keeps its size, and below 100");
        checks.widths("hidden", &self.hidden);
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("norm_momentum", self.norm_momentum, 0.0..=1.0);
        let fused = matches!(self.activation, Act::None | Act::Relu | Act::Relu6 | Act::Tanh | Act::Sigmoid);
        checks.ensure("activation", fused, "must be relu, relu6, tanh, sigmoid or none");
    }
}

impl Cnn {
    /// The pooling after each convolution needs an image to halve.
    fn check_image(&self, height: usize, width: usize) -> Result<()> {
        let most = height.min(width).checked_ilog2().unwrap_or(0) as usize;
        if self.channels.len() <= most {
            return Ok(());
        }
        let allowed = format!("each convolution halves the image: {height}x{width} allows at most {most}");
        Err(OptionError::new("channels", format!("{:?}", self.channels), allowed).into())
    }
}

impl<B: Backend> Model<B> for Cnn {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, mut height, mut width] = input.image()?;
        self.check_image(height, width)?;
        let mut layout = LayoutBuilder::new(sizes);
        let mut features = Width::from(channels);
        for (i, &dense) in self.channels.iter().enumerate() {
            let name = format!("conv{}", i + 1);
            let next = layout.units(&name, dense);
            layout.conv2d(&name, &features, &next, self.kernel, self.conv_bias);
            if self.batch_norm {
                layout.batch_norm(&format!("norm{}", i + 1), &next);
            }
            (features, height, width) = (next, height / 2, width / 2);
        }
        features = features.each(height * width);
        for (i, &dense) in self.hidden.iter().enumerate() {
            let name = format!("fc{}", i + 1);
            let next = layout.units(&name, dense);
            layout.linear(&name, &features, &next, self.bias);
            features = next;
        }
        let last = format!("fc{}", self.hidden.len() + 1);
        layout.linear(&last, &features, &input.classes.into(), self.bias);
        layout.output(&last);
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let options = ConvOptions { stride: 1, padding: self.kernel / 2, pool: true };
        cx.set_norms(Norms { eps: self.norm_eps, momentum: self.norm_momentum });
        let mut x = batch.input.clone();
        for i in 0..self.channels.len() {
            let name = format!("conv{}", i + 1);
            x = match self.batch_norm {
                true => cx.conv2d_norm(&name, &format!("norm{}", i + 1), &x, options, self.activation)?,
                false => cx.conv2d(&name, &x, options, self.activation)?,
            };
        }
        x = x.reshape([batch.len(), x.count() / batch.len().max(1)])?;
        for i in 0..self.hidden.len() {
            x = cx.linear(&format!("fc{}", i + 1), &x, self.activation)?;
        }
        Ok(Output::Logits(cx.linear(&format!("fc{}", self.hidden.len() + 1), &x, Act::None)?))
    }
}

register!(Model, "cnn", Cnn, "Convolutions with pooling, then linear layers.");
