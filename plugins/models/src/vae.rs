//! A convolutional variational autoencoder (Kingma & Welling 2014).

use secateur::prelude::*;

options! {
    /// Encoder: convolutions `enc.conv1`, ... (4x4, stride 2, padding 1, ReLU), linear layers `enc.fc1`, ..., then `mu`
    /// and `logvar`. Decoder: the mirror image, `dec.fc1`, ..., and transposed convolutions `dec.conv1`, ... up to the
    /// image.
    ///
    /// Unit groups have the names of the layers; `mu` and `logvar` read the same group, and the channels of the last
    /// linear layer of the decoder are one. With `bias = false`, the defaults are the network of the contribution-rank
    /// report: 85,183,619 parameters on 3x64x64 images.
    pub struct Vae {
        /// Channels of each convolution; every one halves the image.
        #[acts(always)]
        pub channels: Vec<usize> = vec![32, 64],
        /// Width of each hidden linear layer of the encoder; the decoder has them in reverse.
        #[acts(always)]
        pub hidden: Vec<usize> = vec![2048, 4096],
        /// Dimensions of the latent space.
        #[acts(always)]
        pub latent: usize = 100,
        /// Whether linear layers have a bias; convolutions always do.
        #[acts(always)]
        pub bias: bool = true,
        /// Weight of the divergence from the standard normal.
        #[acts(always)]
        pub beta: f64 = 1.0,
    }

    fn check(&self, checks: &mut Checks) {
        for (key, widths) in [("channels", &self.channels), ("hidden", &self.hidden)] {
            checks.ensure(key, !widths.is_empty(), "must list at least one layer");
            checks.widths(key, widths);
        }
        checks.width("latent", self.latent);
        checks.range("beta", self.beta, 0.0..);
    }
}

const KERNEL: usize = 4;

impl Vae {
    /// The decoder gives an image of the same size only where every convolution halves a whole number.
    fn check_image(&self, height: usize, width: usize) -> Result<()> {
        let factor = 1 << self.channels.len().min(32);
        if height.is_multiple_of(factor) && width.is_multiple_of(factor) {
            return Ok(());
        }
        let allowed = format!("each convolution halves the image, and {height}x{width} cannot be divided by {factor}");
        Err(OptionError::new("channels", format!("{:?}", self.channels), allowed).into())
    }

    /// Rows and columns between the convolutions and the linear layers.
    fn inner(&self, height: usize, width: usize) -> (usize, usize) {
        (height >> self.channels.len(), width >> self.channels.len())
    }
}

impl<B: Backend> Model<B> for Vae {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let image = input.image()?;
        self.check_image(image[1], image[2])?;
        let (rows, columns) = self.inner(image[1], image[2]);
        let mut layout = LayoutBuilder::new(sizes);
        let mut x = Width::from(image[0]);
        for (i, &dense) in self.channels.iter().enumerate() {
            let name = format!("enc.conv{}", i + 1);
            let next = layout.units(&name, dense);
            layout.conv2d(&name, &x, &next, KERNEL, true);
            x = next;
        }
        x = x.each(rows * columns);
        for (i, &dense) in self.hidden.iter().enumerate() {
            let name = format!("enc.fc{}", i + 1);
            let next = layout.units(&name, dense);
            layout.linear(&name, &x, &next, self.bias);
            x = next;
        }
        let latent = Width::from(self.latent);
        layout.linear("mu", &x, &latent, self.bias);
        layout.linear("logvar", &x, &latent, self.bias);
        x = latent;
        for (i, &dense) in self.hidden.iter().rev().enumerate() {
            let name = format!("dec.fc{}", i + 1);
            let next = layout.units(&name, dense);
            layout.linear(&name, &x, &next, self.bias);
            x = next;
        }
        let name = format!("dec.fc{}", self.hidden.len() + 1);
        let mut channels = layout.units(&name, self.channels[self.channels.len() - 1]);
        layout.linear(&name, &x, &channels.clone().each(rows * columns), self.bias);
        let mut last = String::new();
        for i in 0..self.channels.len() {
            last = format!("dec.conv{}", i + 1);
            let next = match self.channels.len().checked_sub(i + 2) {
                Some(mirror) => layout.units(&last, self.channels[mirror]),
                None => image[0].into(),
            };
            layout.conv_transpose2d(&last, &channels, &next, KERNEL, true);
            channels = next;
        }
        layout.output(&last);
        layout.build()
    }

    /// The loss is binary cross-entropy, summed over the pixels, plus `beta` times the divergence, as a mean over the
    /// examples.
    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let n = batch.len();
        let &[_, _, height, width] = &*batch.input.shape() else {
            return Err(Error::shape("vae", format!("images {} must have four axes", batch.input.shape())));
        };
        // Looking at values waits for the device; every run evaluates the network before it trains it.
        if !cx.is_training() {
            unit_interval(batch)?;
        }
        let (rows, columns) = self.inner(height, width);
        let mut x = batch.input.clone();
        let halve = ConvOptions { stride: 2, padding: 1, pool: false };
        for i in 0..self.channels.len() {
            x = cx.conv2d(&format!("enc.conv{}", i + 1), &x, halve, Act::Relu)?;
        }
        x = x.reshape([n, x.count() / n.max(1)])?;
        for i in 0..self.hidden.len() {
            x = cx.linear(&format!("enc.fc{}", i + 1), &x, Act::Relu)?;
        }
        let (mu, logvar) = (cx.linear("mu", &x, Act::None)?, cx.linear("logvar", &x, Act::None)?);
        x = cx.sample("latent", &mu, &logvar)?;
        for i in 0..=self.hidden.len() {
            x = cx.linear(&format!("dec.fc{}", i + 1), &x, Act::Relu)?;
        }
        x = x.reshape([n, x.count() / (n * rows * columns).max(1), rows, columns])?;
        let last = self.channels.len();
        for i in 1..last {
            x = cx.conv_transpose2d(&format!("dec.conv{i}"), &x, (2, 1), Act::Relu)?;
        }
        let logits = cx.conv_transpose2d(&format!("dec.conv{last}"), &x, (2, 1), Act::None)?;
        let per_example = 1.0 / n.max(1) as f32;
        let tape = cx.tape();
        let pixels = tape.bce_logits(&logits, &batch.input, per_example)?;
        let divergence = tape.gaussian_kld(&mu, &logvar, self.beta as f32 * per_example)?;
        let loss = tape.add(&pixels, &divergence)?;
        // Looked at in pictures and compared between networks; no gradient is needed.
        let prediction = B::activation(Act::Sigmoid, &logits)?;
        cx.tape().write_down(Operation::Act(Act::Sigmoid), &[&logits], &[&prediction]);
        Ok(Output::Loss { loss, prediction })
    }
}

/// One example tells: normalisation is the same for all of them.
fn unit_interval<B: Backend>(batch: &Batch<B>) -> Result<()> {
    let first = batch.first(1)?;
    let outside = first.input.host().iter().copied().find(|v| !(0.0..=1.0).contains(v));
    outside.map_or(Ok(()), |v| {
        let found = format!("a value of {v}");
        Err(Error::Config(format!(
            "the vae needs inputs between 0 and 1, but there is {found}: set data.normalize = \"unit\""
        )))
    })
}

register!(Model, "vae", Vae, "A convolutional variational autoencoder.");
