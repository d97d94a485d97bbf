//! Wide residual networks (Zagoruyko and Komodakis 2016), in their form for CIFAR.

use crate::parts::{convolution, mean_over_image, residual, same};
use secateur::prelude::*;

options! {
    /// A 3x3 convolution `conv1`, then three stages of blocks `stageS.B` of 16, 32 and 64 times `widen` channels, each of two
    /// 3x3 convolutions behind batch normalisation and ReLU, around which a shortcut leads, then batch normalisation `norm`,
    /// ReLU, the mean over the image and the linear layer `fc`. The first block of the second and of the third stage halves
    /// the image. Where the channels change, the shortcut is a 1x1 convolution of what the block's first ReLU gives.
    ///
    /// Unit groups: `stageS.B.conv1`, the channels inside of a block; `residual1` to `residual3`, those that the blocks of a
    /// stage add to; and `stem`, those of `conv1`, which are `residual1` where `widen` is 1.
    pub struct WideResnet {
        /// Number of layers with weights: 6n + 4, 22 for WRN-22-2, and 16, 28 or 40 in the paper.
        #[acts(always)]
        pub depth: usize = 22,
        /// Factor of the channels of the stages, `k` in the paper: 2 for WRN-22-2, 10 for WRN-28-10.
        #[acts(always)]
        pub widen: usize = 2,
        /// Dropout between the convolutions of a block; 0.3 in the paper where it has any.
        #[acts(always)]
        pub dropout: f64 = 0.0,
        /// What normalisations add to variances.
        #[acts(always)]
        pub norm_eps: f64 = 1e-5,
        /// Share of a batch in the running statistics of normalisations.
        #[acts(always)]
        pub norm_momentum: f64 = 0.1,
    }

    fn check(&self, checks: &mut Checks) {
        let layers = self.depth >= 10 && self.depth <= 4096 && (self.depth - 4).is_multiple_of(6);
        checks.ensure("depth", layers, "must be 6n + 4 with n at least 1: 10, 16, 22, 28, 34, 40");
        checks.range("widen", self.widen, 1.0..=1024.0);
        checks.range("dropout", self.dropout, 0.0..1.0);
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("norm_momentum", self.norm_momentum, 0.0..=1.0);
    }
}

/// Channels before the first stage.
const STEM: usize = 16;

/// One block: its name, its stage from 0, how it moves over the image, and whether the channels change in it.
struct Block {
    name: String,
    stage: usize,
    stride: usize,
    changes: bool,
}

impl Block {
    fn part(&self, part: &str) -> String {
        format!("{}.{part}", self.name)
    }
}

impl WideResnet {
    fn channels(&self, stage: usize) -> usize {
        (STEM << stage) * self.widen
    }

    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (each, widens) = (self.depth.saturating_sub(4) / 6, self.widen > 1);
        (0..3).flat_map(move |stage| {
            (0..each).map(move |number| {
                let halves = number == 0 && stage > 0;
                let name = format!("stage{}.{number}", stage + 1);
                let changes = number == 0 && (stage > 0 || widens);
                Block { name, stage, stride: if halves { 2 } else { 1 }, changes }
            })
        })
    }
}

/// Names of xternalz/WideResNet-pytorch and the scripts that go back to it.
const KNOWN: &[[&str; 2]] = &[
    ["block*.layer.*.conv*.*", "stage*.*.conv*.*"],
    ["block*.layer.*.bn*.*", "stage*.*.norm*.*"],
    ["block*.layer.*.convShortcut.*", "stage*.*.shortcut.*"],
    ["bn1.*", "norm.*"],
];

impl<B: Backend> Model<B> for WideResnet {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, ..] = input.image()?;
        let mut layout = LayoutBuilder::new(sizes);
        let stem = if self.widen > 1 { "stem".to_owned() } else { residual(0) };
        let mut x = layout.units(&stem, STEM);
        convolution(&mut layout, "conv1", &channels.into(), &x, 3);
        for block in self.blocks() {
            let channels = self.channels(block.stage);
            let after = if block.changes { layout.units(&residual(block.stage), channels) } else { x.clone() };
            let inside = layout.units(&block.part("conv1"), channels);
            layout.batch_norm(&block.part("norm1"), &x);
            convolution(&mut layout, &block.part("conv1"), &x, &inside, 3);
            layout.batch_norm(&block.part("norm2"), &inside);
            convolution(&mut layout, &block.part("conv2"), &inside, &after, 3);
            if block.changes {
                convolution(&mut layout, &block.part("shortcut"), &x, &after, 1);
            }
            x = after;
        }
        layout.batch_norm("norm", &x);
        layout.linear("fc", &x, &input.classes.into(), true);
        layout.output("fc");
        layout.build()
    }

    /// Those of the authors' code too, which counts from 0 and whose convolutions are tensors of their own names.
    fn known_names(&self) -> Vec<(String, String)> {
        let mut names: Vec<_> = KNOWN.iter().map(|[from, to]| ((*from).to_owned(), (*to).to_owned())).collect();
        names.push(("conv0".into(), "conv1.weight".into()));
        names.push(("bn.*".into(), "norm.*".into()));
        for (group, stage) in (1..=3).enumerate() {
            let (from, to) = (format!("group{group}.block*"), format!("stage{stage}.*"));
            for i in 0..2 {
                names.push((format!("{from}.conv{i}"), format!("{to}.conv{}.weight", i + 1)));
                names.push((format!("{from}.bn{i}.*"), format!("{to}.norm{}.*", i + 1)));
            }
            names.push((format!("{from}.convdim"), format!("{to}.shortcut.weight")));
        }
        names
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        cx.set_norms(Norms { eps: self.norm_eps, momentum: self.norm_momentum });
        let mut x = cx.conv2d("conv1", &batch.input, same(3, 1), Act::None)?;
        for block in self.blocks() {
            let normal = cx.batch_norm(&block.part("norm1"), &x)?;
            let before = cx.tape().act(&normal, Act::Relu)?;
            let (conv, norm) = (block.part("conv1"), block.part("norm2"));
            let y = cx.conv2d_norm(&conv, &norm, &before, same(3, block.stride), Act::Relu)?;
            let y = cx.dropout(&conv, &y, self.dropout)?;
            let y = cx.conv2d(&block.part("conv2"), &y, same(3, 1), Act::None)?;
            let around = match block.changes {
                true => cx.conv2d(&block.part("shortcut"), &before, same(1, block.stride), Act::None)?,
                false => x,
            };
            x = cx.tape().add(&y, &around)?;
        }
        let x = cx.batch_norm("norm", &x)?;
        let x = cx.tape().act(&x, Act::Relu)?;
        let x = mean_over_image(cx, &x)?;
        Ok(Output::Logits(cx.linear("fc", &x, Act::None)?))
    }
}

register!(
    Model,
    "wide-resnet",
    WideResnet,
    "Wide residual networks for small images, normalised before each convolution."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(model: &WideResnet) -> Layout {
        let input = InputSpec { shape: vec![3, 32, 32], classes: 10 };
        Model::<Cpu>::layout(model, &input, &Sizes::default()).unwrap()
    }

    /// Zagoruyko and Komodakis 2016, tables 4 and 5: 2.7 M, 8.9 M, 11.0 M and 36.5 M parameters of WRN-16-4 (there 2.8 M with
    /// other shortcuts), 40-4, 16-8 and 28-10.
    #[test]
    fn parameters_are_those_of_the_paper() {
        let millions = |(depth, widen): (usize, usize)| {
            let layout = layout(&WideResnet { depth, widen, ..WideResnet::default() });
            let all: usize = layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.count()).sum();
            (all as f64 / 1e5).round() / 10.0
        };
        assert_eq!([(16, 4), (40, 4), (16, 8), (28, 10)].map(millions), [2.7, 8.9, 11.0, 36.5]);
    }

    #[test]
    fn channels_inside_of_blocks_and_between_them_are_units() {
        let names = |model: &WideResnet| {
            layout(model).groups.iter().map(|g| format!("{} {}", g.name, g.units)).collect::<Vec<_>>().join(", ")
        };
        let ten = |widen| WideResnet { depth: 10, widen, ..WideResnet::default() };
        let three = "residual2 64, stage2.0.conv1 64, residual3 128, stage3.0.conv1 128";
        assert_eq!(names(&ten(2)), format!("stem 16, residual1 32, stage1.0.conv1 32, {three}"));
        let three = "residual2 32, stage2.0.conv1 32, residual3 64, stage3.0.conv1 64";
        assert_eq!(names(&ten(1)), format!("residual1 16, stage1.0.conv1 16, {three}"));
    }
}
