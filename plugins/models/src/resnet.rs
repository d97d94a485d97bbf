//! Residual networks in their form for CIFAR (He et al. 2016, section 4.2).

use secateur::backend::{Conv2d, Weight};
use secateur::prelude::*;

choices! {
    /// What a shortcut does where the image is halved and the channels grow.
    pub enum Shortcut {
        /// Every second pixel, and zeros for the new channels: no parameters (option A).
        Pad = "pad",
        /// A 1x1 convolution with batch normalisation (option B).
        Project = "project",
    }
}

options! {
    /// A convolution `conv1`, then three stages of (depth - 2) / 6 blocks `stageS.B`, each of two 3x3 convolutions with
    /// batch normalisation around which a shortcut leads, then the mean over the image and the linear layer `fc`: 16,
    /// 32 and 64 channels, the first block of the second and third stage halving the image.
    ///
    /// Unit groups: `stageS.B.conv1`, the channels inside of a block; and `residual1`, `residual2`, `residual3`, the
    /// channels that blocks add to. With the shortcut `pad` a channel of the first stage is the same channel in all
    /// that follow and goes from all of them at once: `residual2` and `residual3` are the channels that the second and
    /// third stage add at the end. With `project` each stage has channels of its own.
    pub struct Resnet {
        /// Number of layers with weights, 6n + 2: 20, 32, 44, 56 or 110 in the paper.
        #[acts(always)]
        pub depth: usize = 20,
        /// Factor of all channel counts.
        #[acts(always)]
        pub width: f64 = 1.0,
        /// The shortcut where the channels grow: `pad` or `project`.
        #[acts(always)]
        pub shortcut: Shortcut = Shortcut::Pad,
    }

    fn check(&self, checks: &mut Checks) {
        let layers = self.depth >= 8 && self.depth <= 4096 && (self.depth - 2).is_multiple_of(6);
        checks.ensure("depth", layers, "must be 6n + 2 with n at least 1: 8, 14, 20, 26, 32, 44, 56, 110");
        let (least, most) = (1.0 / CHANNELS[0] as f64, 1024.0);
        let allowed = format!("must be a number that leaves at least one of 16 channels, and at most {most}");
        checks.ensure("width", (least..=most).contains(&self.width), allowed);
    }
}

/// Channels of the stages.
const CHANNELS: [usize; 3] = [16, 32, 64];

/// One block: its name, its stage from 0, and whether the channels grow and the image is halved in it.
struct Block {
    name: String,
    stage: usize,
    grows: bool,
}

impl Resnet {
    fn channels(&self, stage: usize) -> usize {
        (self.width * CHANNELS[stage] as f64).round() as usize
    }

    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let each = (self.depth - 2) / 6;
        let block = |stage, i| Block { name: format!("stage{}.{i}", stage + 1), stage, grows: i == 0 && stage > 0 };
        (0..CHANNELS.len()).flat_map(move |stage| (0..each).map(move |i| block(stage, i)))
    }

    /// The residual channels of each stage.
    fn residual(&self, layout: &mut LayoutBuilder<'_>) -> [Width; 3] {
        let [first, second, third] = [0, 1, 2].map(|stage| self.channels(stage));
        let mut units = |stage: usize, dense| layout.units(&residual(stage), dense);
        match self.shortcut {
            Shortcut::Project => [units(0, first), units(1, second), units(2, third)],
            Shortcut::Pad => {
                let one = units(0, first);
                let two = one.clone().then(units(1, second - first));
                let three = two.clone().then(units(2, third - second));
                [one, two, three]
            }
        }
    }

    /// Where a shortcut leads around a block: `x [batch, channels, rows, columns]` with its channels and image as the
    /// block leaves them.
    fn around<B: Backend>(&self, cx: &mut Forward<'_, B>, block: &Block, x: &Tensor<B>) -> Result<Tensor<B>> {
        if !block.grows {
            return Ok(x.clone());
        }
        let options = ConvOptions { stride: 2, padding: 0, pool: false };
        if self.shortcut == Shortcut::Project {
            let [conv, norm] = ["shortcut", "shortcut_norm"].map(|part| format!("{}.{part}", block.name));
            return cx.conv2d_norm(&conv, &norm, x, options, Act::None);
        }
        // Every second pixel of each channel, and channels of zeros behind them, as a convolution that nothing learns.
        let (from, added) = (x.shape()[1], cx.units(&residual(block.stage)));
        let mut values = vec![0.0; (from + added) * from];
        (0..from).for_each(|channel| values[channel * from + channel] = 1.0);
        let value = Tensor::from_vec(x.device(), values, [from + added, from, 1, 1])?;
        let w = Weight::plain(value);
        let op = Conv2d { x: x.clone(), w, b: None, stride: 2, padding: 0, act: Act::None, pool: false };
        cx.tape().conv2d(op)
    }
}

fn residual(stage: usize) -> String {
    format!("residual{}", stage + 1)
}

/// A convolution without bias, with He's initial distribution.
fn convolution(layout: &mut LayoutBuilder<'_>, name: &str, input: &Width, output: &Width, kernel: usize) {
    let init = Init::HeNormal { fan_in: input.count() * kernel * kernel };
    let shape = [output.count(), input.count(), kernel, kernel].into();
    let weight = ParamSpec::weight(format!("{name}.weight"), shape, init);
    layout.param(weight, &[(output, Role::Producer), (input, Role::Consumer)]);
}

impl<B: Backend> Model<B> for Resnet {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, ..] = input.image()?;
        let mut layout = LayoutBuilder::new(sizes);
        let residual = self.residual(&mut layout);
        convolution(&mut layout, "conv1", &channels.into(), &residual[0], 3);
        layout.batch_norm("norm1", &residual[0]);
        let mut x = residual[0].clone();
        for Block { name, stage, grows } in self.blocks() {
            let part = |part: &str| format!("{name}.{part}");
            let (inside, after) = (layout.units(&part("conv1"), self.channels(stage)), &residual[stage]);
            convolution(&mut layout, &part("conv1"), &x, &inside, 3);
            layout.batch_norm(&part("norm1"), &inside);
            convolution(&mut layout, &part("conv2"), &inside, after, 3);
            layout.batch_norm(&part("norm2"), after);
            if grows && self.shortcut == Shortcut::Project {
                convolution(&mut layout, &part("shortcut"), &x, after, 1);
                layout.batch_norm(&part("shortcut_norm"), after);
            }
            x = after.clone();
        }
        layout.linear("fc", &x, &input.classes.into(), true);
        layout.output("fc");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let options = |stride| ConvOptions { stride, padding: 1, pool: false };
        let mut x = cx.conv2d_norm("conv1", "norm1", &batch.input, options(1), Act::Relu)?;
        for block in self.blocks() {
            let [conv1, norm1, conv2, norm2] =
                ["conv1", "norm1", "conv2", "norm2"].map(|part| format!("{}.{part}", block.name));
            let stride = if block.grows { 2 } else { 1 };
            let inside = cx.conv2d_norm(&conv1, &norm1, &x, options(stride), Act::Relu)?;
            let y = cx.conv2d_norm(&conv2, &norm2, &inside, options(1), Act::None)?;
            let around = self.around(cx, &block, &x)?;
            let sum = cx.tape().add(&y, &around)?;
            x = cx.tape().act(&sum, Act::Relu)?;
        }
        // [batch, channels, rows, columns] -> the mean over the image, [batch, channels]
        let (n, channels) = (batch.len(), x.shape()[1]);
        let pixels = x.count() / (n * channels).max(1);
        let x = cx.tape().mean_tokens(&x.reshape([n * channels, pixels, 1])?, None)?.reshape([n, channels])?;
        Ok(Output::Logits(cx.linear("fc", &x, Act::None)?))
    }
}

register!(Model, "resnet", Resnet, "Residual networks for small images, of 20, 32, 56, ... layers.");

#[cfg(test)]
mod tests {
    use super::*;
    use secateur::options::OptionSet as _;

    fn layout(model: &Resnet, sizes: &Sizes) -> Layout {
        let input = InputSpec { shape: vec![3, 32, 32], classes: 10 };
        Model::<Cpu>::layout(model, &input, sizes).unwrap()
    }

    fn params(layout: &Layout) -> usize {
        layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.count()).sum()
    }

    /// He et al. 2016, table 6: 0.27 M, 0.46 M, 0.66 M, 0.85 M and 1.7 M parameters.
    #[test]
    fn parameters_are_those_of_the_paper() {
        let count = |depth| params(&layout(&Resnet { depth, ..Resnet::default() }, &Sizes::default()));
        assert_eq!([20, 32, 44, 56, 110].map(count), [269_722, 464_154, 658_586, 853_018, 1_727_962]);
        let projected = Resnet { shortcut: Shortcut::Project, ..Resnet::default() };
        // Two 1x1 convolutions, 16 to 32 and 32 to 64, and their normalisations.
        assert_eq!(params(&layout(&projected, &Sizes::default())), 269_722 + 512 + 2048 + 2 * (32 + 64));
    }

    #[test]
    fn a_channel_of_the_first_stage_is_one_in_all_that_follow() {
        let dense = layout(&Resnet::default(), &Sizes::default());
        let first = dense.group("residual1").unwrap();
        let producers = first.by_role(Role::Producer).filter(|m| m.param.ends_with("conv2.weight")).count();
        assert_eq!((first.dense_units, producers), (16, 9), "every block adds to it");
        assert_eq!((dense.group("residual2").unwrap().units, dense.group("residual3").unwrap().units), (16, 32));
        let sizes = Sizes([("residual1".to_owned(), 10), ("residual2".to_owned(), 7)].into());
        let small = layout(&Resnet::default(), &sizes);
        let shape = |name: &str| small.spec(name).unwrap().shape.to_vec();
        assert_eq!(shape("stage2.0.conv2.weight"), [17, 32, 3, 3]);
        assert_eq!((shape("stage3.1.conv1.weight"), shape("fc.weight")), (vec![64, 49, 3, 3], vec![10, 49]));
    }

    #[test]
    fn depths_that_are_not_of_this_form_are_refused() {
        let keys = |resnet: Resnet| resnet.errors().into_iter().map(|e| e.key).collect::<Vec<_>>();
        for depth in [0, 2, 18, 21] {
            assert_eq!(keys(Resnet { depth, ..Resnet::default() }), ["depth"], "{depth}");
        }
        assert_eq!(keys(Resnet { width: 0.01, ..Resnet::default() }), ["width"]);
    }
}
