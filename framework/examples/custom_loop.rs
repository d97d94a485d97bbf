//! A training loop of one's own around a criterion that needs gradients, |w g|:
//! `cargo run --release -p secateur --example custom_loop`
//!
//! What [`Run`](secateur::training::Run) does for its users is written out: batches, the pass, the criterion, the
//! update, the masks.

use secateur::backend::Update;
use secateur::data::{DataConfig, Examples, Order, Pool, SplitName};
use secateur::network::params::{Masking, ParamStore};
use secateur::prelude::*;
use secateur::pruning::schedule::Position;
use secateur::pruning::{self, PruneConfig};
use secateur::training::{Loss, Task, evaluate, next_batch};
use std::num::NonZeroUsize;

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

/// |w g|: the first-order change of the loss when w is removed (Molchanov et al. 2017).
struct Taylor;

impl<B: Backend> Criterion<B> for Taylor {
    fn needs(&self) -> Needs {
        Needs::GRADIENTS
    }

    fn score(&mut self, target: &Target<'_, B>) -> Result<Scores<B>> {
        Ok(target.weight()?.mul(&target.grad()?)?.abs()?.into())
    }
}

fn points(count: u32, seed: u32) -> Pool {
    let number = |i: u32| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    let values: Vec<f32> = (0..2 * count).map(number).collect();
    let inside = values.chunks(2).map(|p| u32::from(p[0] * p[0] + p[1] * p[1] < 0.6)).collect();
    Pool::floats(values, inside)
}

fn main() -> Result<()> {
    let (device, seed, mut criterion) = (Cpu::default(), Seed(0), Taylor);
    let examples = Examples::in_memory("circle", &[2], &["outside", "inside"], points(4000, 1), points(1000, 9))?;
    let data = examples.dataset(&DataConfig::default(), seed.0)?;
    let input = InputSpec { shape: data.shape.clone(), classes: data.classes() };
    let layout = Model::<Cpu>::layout(&Net, &input, &Sizes::default())?;
    let mut params = ParamStore::new(&device, layout, seed, Masking::Held)?;
    let (prune, epochs, size) = (PruneConfig::default(), 40, NonZeroUsize::new(128).unwrap_or(NonZeroUsize::MIN));
    let mut step = Step(0);
    for epoch in 0..epochs {
        let mut batches = data.batches(SplitName::Train, size, Order::Shuffled { seed: seed.0, epoch });
        let mut gradients = None;
        while let Some(batch) = next_batch(&device, &data, &mut batches)? {
            let mut cx = Forward::training(&params, Needs::GRADIENTS, seed);
            let Output::Logits(logits) = Net.forward(&mut cx, &batch)? else { continue };
            let loss = Loss::CrossEntropy.of(&logits, &batch, 0.0, true)?;
            let root = loss.grad.ok_or_else(|| Error::Other("the loss has no gradient".into()))?;
            let grads = cx.finish().0.backward(&logits, root)?;
            let rule = Update::Sgd { lr: 0.3, momentum: 0.9, weight_decay: 0.0, nesterov: false };
            params.step(rule, None, |value| grads.get(value))?;
            gradients = Some(grads);
            step = Step(step.0 + 1);
        }
        // Twice in the run the weights with the smallest |w g| go.
        let (Some(grads), Some(nth)) = (&gradients, [9, 19].iter().position(|at| *at == epoch)) else { continue };
        let sparsity = [0.5, 0.8][nth];
        let position = Position { amount: Amount::Sparsity(sparsity), progress: sparsity / 0.8, nth };
        let asked = pruning::asked(&prune, &params, position)?;
        let view = |name, group| Ok(Target::new(&params, name, group, step, seed)?.with_grads(grads));
        let plan = pruning::plan(&prune, &params, &mut criterion, &asked.round(1, 1), &view)?;
        pruning::apply(&prune, &mut params, &plan, &Net, &input, step)?;
        asked.verify(&prune, &params, step)?;
        let achieved = pruning::sparsity(&prune, &params)?;
        println!("epoch {epoch}: {:.0} % of the weights that may be pruned are gone", 100.0 * achieved);
    }
    let task = Task { model: &Net, compressor: &NoCompression {}, loss: Loss::CrossEntropy };
    let found = evaluate(&task, &params, &data, SplitName::Test, 1000)?;
    println!("test loss {:.3}, accuracy {:.1} %", found.loss, 100.0 * found.accuracy.unwrap_or_default());
    Ok(())
}
