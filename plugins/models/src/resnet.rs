//! Residual networks (He et al. 2016), in their form for CIFAR (section 4.2) and for ImageNet (table 1).

use crate::parts::{convolution, mean_over_image, residual, same};
use secateur::backend::{Conv2d, Weight};
use secateur::prelude::*;

choices! {
    /// For which images it is made.
    pub enum Form {
        /// A 3x3 convolution, then three stages of blocks of two convolutions.
        Cifar = "cifar",
        /// A 7x7 convolution of stride 2 and a 3x3 maximum of stride 2, then four stages; blocks of two convolutions in
        /// 18 and 34 layers, bottlenecks of three in 50, 101 and 152, whose stride is in the 3x3 convolution as in
        /// torchvision.
        Imagenet = "imagenet",
    }
}

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
    /// A convolution `conv1`, then stages of blocks `stageS.B`, each of two 3x3 convolutions with batch normalisation
    /// around which a shortcut leads, then the mean over the image and the linear layer `fc`: of 16, 32 and 64 channels
    /// in the form `cifar` and of 64 to 512 in the form `imagenet`, whose bottlenecks have three convolutions and four
    /// times the channels outside; the first block of each stage but the first halves the image.
    ///
    /// Unit groups: `stageS.B.conv1`, and in bottlenecks `stageS.B.conv2`, the channels inside of a block; and
    /// `residual1`, `residual2`, ..., the channels that blocks add to. With the shortcut `pad` a channel of the first
    /// stage is the same channel in all that follow and goes from all of them at once: `residual2` and so on are the
    /// channels that a stage adds at the end. With `project` each stage has channels of its own. Those of `conv1` are
    /// `residual1`, and before bottlenecks `stem`.
    pub struct Resnet {
        /// Number of layers with weights: 6n + 2 in the form `cifar`, 20, 32, 44, 56 or 110 in the paper; 18, 34, 50,
        /// 101 or 152 in the form `imagenet`.
        #[acts(always)]
        pub depth: usize = 20,
        /// For which images it is made: `cifar` or `imagenet`.
        #[acts(always)]
        pub form: Form = Form::Cifar,
        /// Factor of all channel counts.
        #[acts(always)]
        pub width: f64 = 1.0,
        /// The shortcut where the channels grow: `pad` or `project`.
        #[acts(always)]
        pub shortcut: Shortcut = Shortcut::Pad,
        /// What normalisations add to variances.
        #[acts(always)]
        pub norm_eps: f64 = 1e-5,
        /// Share of a batch in the running statistics of normalisations.
        #[acts(always)]
        pub norm_momentum: f64 = 0.1,
    }

    fn check(&self, checks: &mut Checks) {
        match self.form {
            Form::Cifar => {
                let layers = self.depth >= 8 && self.depth <= 4096 && (self.depth - 2).is_multiple_of(6);
                let allowed = "must be 6n + 2 with n at least 1: 8, 14, 20, 26, 32, 44, 56, 110; 18, 34, 50, 101 and 152 \
                               are of form = \"imagenet\"";
                checks.ensure("depth", layers, allowed);
            }
            Form::Imagenet => {
                let known = self.imagenet_blocks().is_some();
                checks.ensure("depth", known, "must be 18, 34, 50, 101 or 152 with form = \"imagenet\"");
            }
        }
        let first = self.dense()[0];
        let (least, most) = (1.0 / first as f64, 1024.0);
        let allowed = format!("must be a number that leaves at least one of {first} channels, and at most {most}");
        checks.ensure("width", (least..=most).contains(&self.width), allowed);
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("norm_momentum", self.norm_momentum, 0.0..=1.0);
    }
}

/// One block: its name, its stage from 0, how it moves over the image, and whether the channels grow in it.
struct Block {
    name: String,
    stage: usize,
    stride: usize,
    grows: bool,
}

impl Resnet {
    /// Channels of the stages, inside of bottlenecks where there are any.
    fn dense(&self) -> &'static [usize] {
        match self.form {
            Form::Cifar => &[16, 32, 64],
            Form::Imagenet => &[64, 128, 256, 512],
        }
    }

    /// Blocks of the stages.
    fn imagenet_blocks(&self) -> Option<[usize; 4]> {
        match self.depth {
            18 => Some([2, 2, 2, 2]),
            34 | 50 => Some([3, 4, 6, 3]),
            101 => Some([3, 4, 23, 3]),
            152 => Some([3, 8, 36, 3]),
            _ => None,
        }
    }

    fn bottlenecks(&self) -> bool {
        self.form == Form::Imagenet && self.depth >= 50
    }

    fn channels(&self, stage: usize) -> usize {
        (self.width * self.dense()[stage] as f64).round() as usize
    }

    /// Channels that the blocks of a stage add to.
    fn outside(&self, stage: usize) -> usize {
        self.channels(stage) * if self.bottlenecks() { 4 } else { 1 }
    }

    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let counts = match self.form {
            Form::Cifar => vec![(self.depth - 2) / 6; 3],
            Form::Imagenet => self.imagenet_blocks().unwrap_or_default().to_vec(),
        };
        let bottlenecks = self.bottlenecks();
        let block = move |stage: usize, i: usize| {
            let halves = i == 0 && stage > 0;
            let name = format!("stage{}.{i}", stage + 1);
            Block { name, stage, stride: if halves { 2 } else { 1 }, grows: halves || i == 0 && bottlenecks }
        };
        counts.into_iter().enumerate().flat_map(move |(stage, each)| (0..each).map(move |i| block(stage, i)))
    }

    /// The channels before the first block, and the residual ones of each stage.
    fn residual(&self, layout: &mut LayoutBuilder<'_>) -> (Width, Vec<Width>) {
        let stem = self.bottlenecks().then(|| layout.units("stem", self.channels(0)));
        let mut all: Vec<Width> = vec![];
        for stage in 0..self.dense().len() {
            let before = all.last().or(stem.as_ref()).filter(|_| self.shortcut == Shortcut::Pad).cloned();
            let added = self.outside(stage) - before.as_ref().map_or(0, |_| self.before(stage));
            let own = layout.units(&residual(stage), added);
            all.push(before.map_or(own.clone(), |before| before.then(own)));
        }
        (stem.unwrap_or_else(|| all[0].clone()), all)
    }

    /// Channels that a stage finds.
    fn before(&self, stage: usize) -> usize {
        if stage == 0 { self.channels(0) } else { self.outside(stage - 1) }
    }

    /// The kernels of a block's convolutions, and which of them has the block's stride; the last one leads to the
    /// residual channels.
    fn convolutions(&self) -> &'static [(usize, bool)] {
        if self.bottlenecks() { &[(1, false), (3, true), (1, false)] } else { &[(3, true), (3, false)] }
    }

    /// Where a shortcut leads around a block: `x [batch, channels, rows, columns]` with its channels and image as the
    /// block leaves them.
    fn around<B: Backend>(&self, cx: &mut Forward<'_, B>, block: &Block, x: &Tensor<B>) -> Result<Tensor<B>> {
        if !block.grows {
            return Ok(x.clone());
        }
        let options = ConvOptions { stride: block.stride, padding: 0, pool: false };
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
        let (x, stride) = (x.clone(), block.stride);
        let op = Conv2d { x, w, b: None, stride, padding: 0, groups: 1, act: Act::None, pool: false };
        cx.tape().conv2d(op)
    }
}

/// The names of torchvision and timm, and of the usual scripts for CIFAR, whose shortcuts are `shortcut` and whose last
/// layer is `linear`.
const KNOWN: &[[&str; 2]] = &[
    ["bn1.*", "norm1.*"],
    ["layer*.*.conv*.*", "stage*.*.conv*.*"],
    ["layer*.*.bn*.*", "stage*.*.norm*.*"],
    ["layer*.*.downsample.0.*", "stage*.*.shortcut.*"],
    ["layer*.*.downsample.1.*", "stage*.*.shortcut_norm.*"],
    ["layer*.*.shortcut.0.*", "stage*.*.shortcut.*"],
    ["layer*.*.shortcut.1.*", "stage*.*.shortcut_norm.*"],
    ["linear.*", "fc.*"],
];

impl<B: Backend> Model<B> for Resnet {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, ..] = input.image()?;
        let mut layout = LayoutBuilder::new(sizes);
        let (stem, residual) = self.residual(&mut layout);
        convolution(&mut layout, "conv1", &channels.into(), &stem, if self.form == Form::Cifar { 3 } else { 7 });
        layout.batch_norm("norm1", &stem);
        let mut x = stem;
        for Block { name, stage, grows, .. } in self.blocks() {
            let after = &residual[stage];
            let mut within = x.clone();
            let convolutions = self.convolutions();
            for (i, (kernel, _)) in (1..).zip(convolutions) {
                let part = format!("{name}.conv{i}");
                let next =
                    if i == convolutions.len() { after.clone() } else { layout.units(&part, self.channels(stage)) };
                convolution(&mut layout, &part, &within, &next, *kernel);
                layout.batch_norm(&format!("{name}.norm{i}"), &next);
                within = next;
            }
            if grows && self.shortcut == Shortcut::Project {
                convolution(&mut layout, &format!("{name}.shortcut"), &x, after, 1);
                layout.batch_norm(&format!("{name}.shortcut_norm"), after);
            }
            x = after.clone();
        }
        layout.linear("fc", &x, &input.classes.into(), true);
        layout.output("fc");
        layout.build()
    }

    fn known_names(&self) -> Vec<(String, String)> {
        KNOWN.iter().map(|[from, to]| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        cx.set_norms(Norms { eps: self.norm_eps, momentum: self.norm_momentum });
        let mut x = match self.form {
            Form::Cifar => cx.conv2d_norm("conv1", "norm1", &batch.input, same(3, 1), Act::Relu)?,
            Form::Imagenet => {
                let x = cx.conv2d_norm("conv1", "norm1", &batch.input, same(7, 2), Act::Relu)?;
                cx.max_pool("conv1", &x, (3, 2, 1))?
            }
        };
        for block in self.blocks() {
            let (mut y, convolutions) = (x.clone(), self.convolutions());
            for (i, (kernel, moves)) in (1..).zip(convolutions) {
                let [conv, norm] = ["conv", "norm"].map(|part| format!("{}.{part}{i}", block.name));
                let act = if i == convolutions.len() { Act::None } else { Act::Relu };
                y = cx.conv2d_norm(&conv, &norm, &y, same(*kernel, if *moves { block.stride } else { 1 }), act)?;
            }
            let around = self.around(cx, &block, &x)?;
            let sum = cx.tape().add(&y, &around)?;
            x = cx.tape().act(&sum, Act::Relu)?;
        }
        let x = mean_over_image(cx, &x)?;
        Ok(Output::Logits(cx.linear("fc", &x, Act::None)?))
    }
}

register!(
    Model,
    "resnet",
    Resnet,
    "Residual networks: for small images of 20, 32, 56, ... layers, for ImageNet of 18 to 152."
);

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

    /// The counts of torchvision 0.29's resnet18, 34, 50, 101 and 152.
    #[test]
    fn parameters_for_imagenet_are_those_of_torchvision() {
        let count = |depth| {
            let resnet = Resnet { depth, form: Form::Imagenet, shortcut: Shortcut::Project, ..Resnet::default() };
            let input = InputSpec { shape: vec![3, 224, 224], classes: 1000 };
            params(&Model::<Cpu>::layout(&resnet, &input, &Sizes::default()).unwrap())
        };
        let expected = [11_689_512, 21_797_672, 25_557_032, 44_549_160, 60_192_808];
        assert_eq!([18, 34, 50, 101, 152].map(count), expected);
    }

    #[test]
    fn bottlenecks_add_to_four_times_their_channels() {
        let resnet = Resnet { depth: 50, form: Form::Imagenet, ..Resnet::default() };
        let layout = layout(&resnet, &Sizes::default());
        let units = |group: &str| layout.group(group).unwrap().units;
        assert_eq!(["stem", "residual1", "residual2", "stage1.0.conv2"].map(units), [64, 192, 256, 64]);
        assert_eq!(layout.spec("stage2.0.conv3.weight").unwrap().shape[..], [512, 128, 1, 1]);
        assert!(layout.spec("stage1.0.shortcut.weight").is_none(), "zeros are padded");
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
        for depth in [20, 19, 56] {
            assert_eq!(keys(Resnet { depth, form: Form::Imagenet, ..Resnet::default() }), ["depth"], "{depth}");
        }
        assert_eq!(keys(Resnet { width: 0.01, ..Resnet::default() }), ["width"]);
    }
}
