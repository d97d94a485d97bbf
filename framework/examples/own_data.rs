//! Trains and prunes a network of one's own on data of one's own, with the library alone:
//! `cargo run --release -p secateur --example own_data`
//!
//! The data: points of a square, inside or outside of a circle. The network: two inputs, 64 hidden units, two classes.

use secateur::data::{DataConfig, Examples, Pool};
use secateur::prelude::*;
use secateur::pruning::{GrowConfig, PruneConfig};
use secateur::training::{Run, Silent, TrainConfig};

struct Net;

impl<B: Backend> Model<B> for Net {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let hidden = layout.units("hidden", 64);
        layout.linear("hidden", &input.features().into(), &hidden, true);
        layout.linear("out", &hidden, &input.classes.into(), true);
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, B>, batch: &Batch<B>) -> Result<Output<B>> {
        let x = cx.linear("hidden", &batch.input, Act::Relu)?;
        Ok(Output::Logits(cx.linear("out", &x, Act::None)?))
    }
}

struct Magnitude;

impl<B: Backend> Criterion<B> for Magnitude {
    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.abs()?.into())
    }
}

/// 80 % of the weights, after half of the run.
struct Halfway;

impl Schedule for Halfway {
    fn target(&self, step: Step, run: &RunLength) -> Result<Option<Amount>> {
        Ok((step == run.at_fraction(0.5)).then_some(Amount::Sparsity(0.8)))
    }
}

fn points(count: u32, seed: u32) -> Pool {
    let number = |i: u32| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    let values: Vec<f32> = (0..2 * count).map(number).collect();
    let inside = values.chunks(2).map(|p| u32::from(p[0] * p[0] + p[1] * p[1] < 0.6)).collect();
    Pool::floats(values, inside)
}

fn main() -> Result<()> {
    let examples = Examples::in_memory("circle", &[2], &["outside", "inside"], points(4000, 1), points(1000, 9))?;
    let data = examples.dataset(&DataConfig::default(), 0)?;
    let run = Run {
        name: "circle".into(),
        device: Cpu::default(),
        seeds: Seed(0).into(),
        data: &data,
        model: Box::new(Net),
        criterion: Box::new(Magnitude),
        schedule: Box::new(Halfway),
        compressor: Box::new(NoCompression {}),
        prune: PruneConfig::default(),
        grow: GrowConfig::default(),
        train: TrainConfig { epochs: 40, lr: 0.3, momentum: 0.9, ..TrainConfig::default() },
        given: None,
        make_criterion: &|name, _| Err(Error::Config(format!("there is no criterion `{name}` to wrap"))),
    };
    let summary = run.execute(&mut Silent)?.summary;
    let (remaining, of) = (summary.params_kept, summary.params_dense);
    let accuracy = summary.test_accuracy.unwrap_or_default();
    println!("test accuracy {:.1} % with {remaining} of {of} parameters", 100.0 * accuracy);
    Ok(())
}
