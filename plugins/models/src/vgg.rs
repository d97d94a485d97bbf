//! VGG-16 (Simonyan & Zisserman 2015) in its form for small images, as in the pruning literature.

use secateur::prelude::*;

options! {
    /// Convolutions `conv1` to `conv13` (3x3, same size, ReLU) in five blocks that each end in a 2x2 maximum, then
    /// `fc1`, ....
    ///
    /// Channels and hidden units are unit groups of their layers' names; images are at least 32x32.
    pub struct Vgg {
        /// Factor of all channel counts; 1 is VGG-16.
        #[acts(always)]
        pub width: f64 = 1.0,
        /// Width of each hidden linear layer; none in the usual form for CIFAR.
        #[acts(always)]
        pub hidden: Vec<usize> = vec![],
        /// Batch normalisation after every convolution, which then has no bias unless `conv_bias` says so.
        #[acts(always)]
        pub batch_norm: bool = true,
        /// Whether convolutions have a bias before batch normalisation too, as torchvision's have.
        #[acts(|m| m.batch_norm, "batch_norm = true")]
        pub conv_bias: bool = false,
        /// What normalisations add to variances.
        #[acts(|m| m.batch_norm, "batch_norm = true")]
        pub norm_eps: f64 = 1e-5,
        /// Share of a batch in the running statistics of normalisations.
        #[acts(|m| m.batch_norm, "batch_norm = true")]
        pub norm_momentum: f64 = 0.1,
    }

    fn check(&self, checks: &mut Checks) {
        let (least, most) = (1.0 / BLOCKS[0][0] as f64, 1024.0);
        let allowed = format!("must be a number that leaves at least one of 64 channels, and at most {most}");
        checks.ensure("width", (least..=most).contains(&self.width), allowed);
        checks.widths("hidden", &self.hidden);
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("norm_momentum", self.norm_momentum, 0.0..=1.0);
    }
}

/// Channels of the convolutions of each block.
const BLOCKS: [&[usize]; 5] = [&[64, 64], &[128, 128], &[256; 3], &[512; 3], &[512; 3]];

impl Vgg {
    fn channels(&self, dense: usize) -> usize {
        (self.width * dense as f64).round() as usize
    }
}

/// Number, dense channels, and whether the block ends, of every convolution.
fn convolutions() -> impl Iterator<Item = (usize, usize, bool)> {
    let in_blocks = BLOCKS.iter().flat_map(|b| b.iter().enumerate().map(|(i, &c)| (c, i + 1 == b.len())));
    (1..).zip(in_blocks).map(|(i, (c, last))| (i, c, last))
}

impl<B: Backend> Model<B> for Vgg {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, height, width] = input.image()?;
        if height.min(width) < 32 {
            return Err(Error::Config(format!(
                "vgg halves the image five times: {height}x{width} is smaller than 32x32\n  fix: take images of 32x32 or more \
                 (data.image-folder.size = 32 scales those of a folder), or model.name = \"cnn\""
            )));
        }
        let mut layout = LayoutBuilder::new(sizes);
        let mut x = Width::from(channels);
        for (i, dense, _) in convolutions() {
            let name = format!("conv{i}");
            let next = layout.units(&name, self.channels(dense));
            layout.conv2d(&name, &x, &next, 3, !self.batch_norm || self.conv_bias);
            if self.batch_norm {
                layout.batch_norm(&format!("norm{i}"), &next);
            }
            x = next;
        }
        x = x.each((height >> BLOCKS.len()) * (width >> BLOCKS.len()));
        for (i, &dense) in self.hidden.iter().enumerate() {
            let name = format!("fc{}", i + 1);
            let next = layout.units(&name, dense);
            layout.linear(&name, &x, &next, true);
            x = next;
        }
        let last = format!("fc{}", self.hidden.len() + 1);
        layout.linear(&last, &x, &input.classes.into(), true);
        layout.output(&last);
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        cx.set_norms(Norms { eps: self.norm_eps, momentum: self.norm_momentum });
        let mut x = batch.input.clone();
        for (i, _, pool) in convolutions() {
            let (name, options) = (format!("conv{i}"), ConvOptions { stride: 1, padding: 1, pool });
            x = match self.batch_norm {
                true => cx.conv2d_norm(&name, &format!("norm{i}"), &x, options, Act::Relu)?,
                false => cx.conv2d(&name, &x, options, Act::Relu)?,
            };
        }
        x = x.reshape([batch.len(), x.count() / batch.len().max(1)])?;
        for i in 0..self.hidden.len() {
            x = cx.linear(&format!("fc{}", i + 1), &x, Act::Relu)?;
        }
        Ok(Output::Logits(cx.linear(&format!("fc{}", self.hidden.len() + 1), &x, Act::None)?))
    }
}

register!(Model, "vgg", Vgg, "VGG-16 for small images, with batch normalisation.");
