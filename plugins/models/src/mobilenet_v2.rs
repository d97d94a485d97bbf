//! MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks"), in torchvision's form and in
//! one for small images.

use crate::parts::{convolution_of, mean_over_image, residual, same};
use secateur::prelude::*;

choices! {
    /// For which images it is made.
    pub enum Form {
        /// The stem and the second stage keep the size of the image, so that 32x32 images end in maps of 4x4.
        Cifar = "cifar",
        /// The paper's table 2: the image is halved five times.
        Imagenet = "imagenet",
    }
}

options! {
    /// A 3x3 convolution `stem`, then seven stages of blocks `stageS.B`, each a 1x1 convolution `expand` to six times the
    /// channels, a depthwise 3x3 convolution `depthwise` and a 1x1 convolution `project` without an activation, around which
    /// leads a shortcut where the image and the channels stay the same; then a 1x1 convolution `head`, the mean over the
    /// image and the linear layer `fc`. Batch normalisation follows every convolution, and ReLU6 every one but `project`.
    /// The one block of the first stage expands nothing.
    ///
    /// Unit groups: `stem`, the channels of the stem and of the depthwise convolution behind it; `stageS.B.expand`, those
    /// between the first and the last convolution of a block, where a channel goes with its depthwise filter;
    /// `residual1`, `residual2`, ..., those that the blocks of a stage add to; and `head`.
    pub struct MobilenetV2 {
        /// For which images it is made: `cifar` or `imagenet`.
        #[acts(always)]
        pub form: Form = Form::Cifar,
        /// Factor of all channel counts, which are rounded to multiples of 8; those of `head` grow with it but do not shrink.
        #[acts(always)]
        pub width: f64 = 1.0,
        /// Stages, from the first; fewer than 7 leave out the last ones.
        #[acts(always)]
        pub stages: usize = 7,
        /// Channels of `head`, before the factor.
        #[acts(always)]
        pub head: usize = 1280,
        /// Dropout before `fc`: 0.2 in torchvision.
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
        checks.range("width", self.width, 0.01..=64.0);
        checks.range("stages", self.stages, 1.0..=STAGES.len() as f64);
        checks.width("head", self.head);
        checks.range("dropout", self.dropout, 0.0..1.0);
        checks.range("norm_eps", self.norm_eps, 1e-30..=1.0);
        checks.range("norm_momentum", self.norm_momentum, 0.0..=1.0);
    }
}

/// Factor of expansion, channels, blocks and first stride of every stage: the paper's table 2.
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// The nearest multiple of 8 that is no more than a tenth below, as in the authors' code.
fn rounded(channels: f64) -> usize {
    let nearest = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * channels { nearest + 8 } else { nearest }
}

/// One block: where it stands, its channels between its first and its last convolution in the dense network, how it moves
/// over the image, and whether a shortcut leads around it.
struct Block {
    stage: usize,
    number: usize,
    expands: bool,
    hidden: usize,
    stride: usize,
    shortcut: bool,
}

impl Block {
    fn part(&self, part: &str) -> String {
        format!("stage{}.{}.{part}", self.stage + 1, self.number)
    }
}

impl MobilenetV2 {
    fn stem(&self) -> usize {
        rounded(32.0 * self.width)
    }

    fn channels(&self, stage: usize) -> usize {
        rounded(STAGES[stage][1] as f64 * self.width)
    }

    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut before) = (vec![], self.stem());
        for (stage, [factor, _, count, stride]) in STAGES.into_iter().enumerate().take(self.stages) {
            let channels = self.channels(stage);
            for number in 0..count {
                let halves = number == 0 && stride == 2 && !(self.form == Form::Cifar && stage == 1);
                let (stride, shortcut) = (if halves { 2 } else { 1 }, !halves && before == channels);
                let (expands, hidden) = (factor > 1, factor * before);
                blocks.push(Block { stage, number, expands, hidden, stride, shortcut });
                before = channels;
            }
        }
        blocks
    }
}

/// A convolution without bias and the normalisation behind it; what it makes is taken for its inputs in He's initial
/// distribution, as in torchvision.
fn normed(layout: &mut LayoutBuilder<'_>, name: &str, input: &Width, output: &Width, kernel: usize) {
    let init = Init::HeNormal { fan_in: output.count() * kernel * kernel };
    convolution_of(layout, name, input, output, kernel, init);
    layout.batch_norm(&format!("{name}_norm"), output);
}

impl<B: Backend> Model<B> for MobilenetV2 {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let [channels, ..] = input.image()?;
        let (mut layout, one) = (LayoutBuilder::new(sizes), Width::from(1));
        let mut x = layout.units("stem", self.stem());
        normed(&mut layout, "stem", &channels.into(), &x, 3);
        for block in self.blocks() {
            // With a shortcut the channels are those before the block, also at the begin of a stage.
            let after = match block.shortcut {
                true => x.clone(),
                false => layout.units(&residual(block.stage), self.channels(block.stage)),
            };
            let mut hidden = x;
            if block.expands {
                let expand = block.part("expand");
                let inner = layout.units(&expand, block.hidden);
                normed(&mut layout, &expand, &hidden, &inner, 1);
                hidden = inner;
            }
            let depthwise = block.part("depthwise");
            let init = Init::HeNormal { fan_in: hidden.count() * 9 };
            layout.grouped_weight(&depthwise, &hidden, (&one, &one), 3, init);
            layout.batch_norm(&format!("{depthwise}_norm"), &hidden);
            normed(&mut layout, &block.part("project"), &hidden, &after, 1);
            x = after;
        }
        let head = layout.units("head", rounded(self.head as f64 * self.width.max(1.0)));
        normed(&mut layout, "head", &x, &head, 1);
        layout.linear("fc", &head, &input.classes.into(), true);
        layout.output("fc");
        layout.build()
    }

    /// The names of torchvision, which counts blocks, and those of timm, which counts stages from 0.
    fn known_names(&self) -> Vec<(String, String)> {
        let mut names = vec![];
        let mut add = |from: String, to: String| names.push((format!("{from}.*"), format!("{to}.*")));
        let blocks = self.blocks();
        for (at, block) in blocks.iter().enumerate() {
            let timm = |part: &str| format!("blocks.{}.{}.{part}", block.stage, block.number);
            let parts: &[&str] = if block.expands { &["expand", "depthwise"] } else { &["depthwise"] };
            for (i, part) in parts.iter().enumerate() {
                let (part, norm) = (block.part(part), block.part(&format!("{part}_norm")));
                add(format!("features.{}.conv.{i}.0", at + 1), part);
                add(format!("features.{}.conv.{i}.1", at + 1), norm.clone());
                add(timm(&format!("bn{}", i + 1)), norm);
            }
            let (project, norm, i) = (block.part("project"), block.part("project_norm"), parts.len());
            add(format!("features.{}.conv.{i}", at + 1), project.clone());
            add(format!("features.{}.conv.{}", at + 1, i + 1), norm.clone());
            add(timm(&format!("bn{}", i + 1)), norm);
            add(timm("conv_dw"), block.part("depthwise"));
            let pointwise = if block.expands {
                add(timm("conv_pw"), block.part("expand"));
                "conv_pwl"
            } else {
                "conv_pw"
            };
            add(timm(pointwise), project);
        }
        let [head, head_norm] = [0, 1].map(|part| format!("features.{}.{part}", blocks.len() + 1));
        let ends: [(&str, &str); 10] = [
            ("features.0.0", "stem"),
            ("features.0.1", "stem_norm"),
            (&head, "head"),
            (&head_norm, "head_norm"),
            ("classifier.1", "fc"),
            ("conv_stem", "stem"),
            ("bn1", "stem_norm"),
            ("conv_head", "head"),
            ("bn2", "head_norm"),
            ("classifier", "fc"),
        ];
        ends.iter().for_each(|(from, to)| add((*from).to_owned(), (*to).to_owned()));
        names
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        cx.set_norms(Norms { eps: self.norm_eps, momentum: self.norm_momentum });
        let normed = |cx: &mut Forward<'_, B>, name: &str, x: &Tensor<B>, (kernel, stride): (usize, usize), act| {
            cx.conv2d_norm(name, &format!("{name}_norm"), x, same(kernel, stride), act)
        };
        let stride = if self.form == Form::Imagenet { 2 } else { 1 };
        let mut x = normed(cx, "stem", &batch.input, (3, stride), Act::Relu6)?;
        for block in self.blocks() {
            let mut y = x.clone();
            if block.expands {
                y = normed(cx, &block.part("expand"), &y, (1, 1), Act::Relu6)?;
            }
            y = normed(cx, &block.part("depthwise"), &y, (3, block.stride), Act::Relu6)?;
            y = normed(cx, &block.part("project"), &y, (1, 1), Act::None)?;
            x = if block.shortcut { cx.tape().add(&y, &x)? } else { y };
        }
        let x = normed(cx, "head", &x, (1, 1), Act::Relu6)?;
        let x = mean_over_image(cx, &x)?;
        let x = cx.dropout("fc", &x, self.dropout)?;
        Ok(Output::Logits(cx.linear("fc", &x, Act::None)?))
    }
}

register!(
    Model,
    "mobilenet-v2",
    MobilenetV2,
    "MobileNetV2: inverted residuals around depthwise convolutions, for small images or for ImageNet."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(model: &MobilenetV2, sizes: &Sizes) -> Layout {
        let input = InputSpec { shape: vec![3, 224, 224], classes: 1000 };
        Model::<Cpu>::layout(model, &input, sizes).unwrap()
    }

    /// The counts of torchvision 0.29's mobilenet_v2 with these factors of the width.
    #[test]
    fn parameters_are_those_of_torchvision() {
        let count = |width: f64| {
            let layout = layout(&MobilenetV2 { width, ..MobilenetV2::default() }, &Sizes::default());
            layout.params.iter().filter(|p| !p.buffer).map(|p| p.shape.count()).sum::<usize>()
        };
        assert_eq!([1.0, 0.5, 0.35, 1.4].map(count), [3_504_872, 1_968_680, 1_677_128, 6_108_776]);
    }

    #[test]
    fn channels_of_a_block_go_with_their_depthwise_filters() {
        let sizes = Sizes([("stage2.0.expand".to_owned(), 7), ("stem".to_owned(), 5)].into());
        let found = layout(&MobilenetV2::default(), &sizes);
        let of = |name: &str| (found.spec(name).unwrap().shape.to_vec(), found.spec(name).unwrap().groups);
        assert_eq!(of("stage2.0.depthwise.weight"), (vec![7, 1, 3, 3], 7));
        assert_eq!(of("stage1.0.depthwise.weight"), (vec![5, 1, 3, 3], 5));
        assert_eq!(of("stage2.0.project.weight"), (vec![24, 7, 1, 1], 1));
    }

    #[test]
    fn shortcuts_follow_the_dense_network() {
        let with = |model: &MobilenetV2| {
            let blocks = model.blocks();
            blocks.iter().filter(|b| b.shortcut).map(|b| (b.stage + 1, b.number)).collect::<Vec<_>>()
        };
        let expected = [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (4, 3), (5, 1), (5, 2), (6, 1), (6, 2)];
        assert_eq!(with(&MobilenetV2::default()), expected);
        // So narrow that the first stages have the same channels: then the image's size alone decides.
        let narrow = MobilenetV2 { width: 0.1, stages: 2, ..MobilenetV2::default() };
        assert_eq!(with(&narrow), [(1, 0), (2, 0), (2, 1)]);
        assert_eq!(with(&MobilenetV2 { form: Form::Imagenet, ..narrow }), [(1, 0), (2, 1)]);
    }
}
