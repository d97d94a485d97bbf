use super::*;
use crate::backend::Act;
use crate::network::compressor::NoCompression;
use crate::network::forward::ConvOptions;
use crate::network::layout::{Layout, LayoutBuilder, Sizes};
use crate::network::model::InputSpec;
use crate::network::params::{Masking, Param};
use crate::seed::Seed;

/// Blocks of every kind: normalised with an activation and a maximum, a sum before the activation, depthwise, a stride, a
/// linear layer with a sum behind the activation.
struct Net {
    own_loss: bool,
    untold: bool,
}

const SAME: ConvOptions = ConvOptions { stride: 1, padding: 1, pool: false };

impl Model<Cpu> for Net {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let [channels, ..] = input.image()?;
        let wide = layout.units("conv1", 9);
        layout.conv2d("conv1", &channels.into(), &wide, 3, true);
        layout.batch_norm("norm1", &wide);
        for i in 2..=3 {
            layout.conv2d(&format!("conv{i}"), &wide, &wide, 3, false);
            layout.batch_norm(&format!("norm{i}"), &wide);
        }
        layout.conv2d("shortcut", &wide, &wide, 1, false);
        layout.conv2d("last", &wide, &wide, 3, true);
        let hidden = layout.units("fc1", 9);
        layout.linear("fc1", &wide.clone().each(16), &hidden, true);
        layout.linear("fc2", &hidden, &hidden, true);
        layout.linear("fc3", &hidden, &input.classes.into(), true);
        layout.output("fc3");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        let pooled = ConvOptions { pool: true, ..SAME };
        let x = cx.conv2d_norm("conv1", "norm1", &batch.input, pooled, Act::Relu6)?;
        let inner = cx.conv2d_norm("conv2", "norm2", &x, SAME, Act::Relu)?;
        let inner = cx.conv2d_norm("conv3", "norm3", &inner, SAME, Act::None)?;
        // Computed behind what it is added to.
        let around = cx.conv2d("shortcut", &x, ConvOptions { padding: 0, ..SAME }, Act::None)?;
        let sum = cx.tape().add(&inner, &around)?;
        let x = cx.tape().act(&sum, Act::Relu)?;
        let x = cx.conv2d("last", &x, ConvOptions { stride: 2, ..SAME }, Act::Tanh)?;
        let x = x.reshape([batch.len(), x.count() / batch.len()])?;
        let x = cx.linear("fc1", &x, Act::Gelu)?;
        let x = cx.linear_residual("fc2", &x, Act::Relu, Some(&x))?;
        let x = if self.untold { x.scale(2.0)? } else { x };
        let y = cx.linear("fc3", &x, Act::None)?;
        if self.own_loss { Ok(Output::Loss { loss: y.clone(), prediction: y }) } else { Ok(Output::Logits(y)) }
    }
}

const EXAMPLE: [usize; 3] = [2, 16, 16];

/// Parameters whose normalisations do something.
fn params(net: &Net) -> ParamStore<Cpu> {
    let layout = net.layout(&InputSpec { shape: EXAMPLE.to_vec(), classes: 4 }, &Sizes::default()).unwrap();
    let mut params = ParamStore::new(&Cpu::default(), layout, Seed(3), Masking::Held).unwrap();
    let mut at = 0;
    let mut value = |p: &Param<Cpu>| {
        at += 1;
        if !p.spec().name.starts_with("norm") {
            return p.value().clone();
        }
        let value = |i: usize| 0.4 + ((i + at) as u32).wrapping_mul(2_654_435_761) as f32 / 4_294_967_296.0;
        Tensor::from_vec(&Cpu::default(), (0..p.value().count()).map(value).collect(), p.spec().shape).unwrap()
    };
    let values = params.iter().map(&mut value).collect();
    params.set_values(values).unwrap();
    params
}

fn plan(net: &Net) -> Option<Plan<Cpu>> {
    Plan::of(net, &NoCompression {}, &params(net), &EXAMPLE).unwrap()
}

#[test]
fn answers_are_those_of_the_model_whatever_the_batch() {
    let net = Net { own_loss: false, untold: false };
    let (params, plan) = (params(&net), plan(&net).unwrap());
    // Seven layers and a pooled image by nothing else, since each takes along what follows it.
    assert_eq!(plan.steps.len(), 8);
    for size in [1, 2, 5, 30] {
        let batch = examples(&Cpu::default(), &EXAMPLE, size).unwrap();
        let Output::Logits(expected) = net.forward(&mut Forward::evaluation(&params), &batch).unwrap() else {
            panic!("logits were asked for")
        };
        for part in [PART, 1 << 20] {
            let found = Plan { part, ..self::plan(&net).unwrap() }.run(&batch.input).unwrap();
            assert_eq!(found.shape(), expected.shape());
            let largest = expected.host().iter().fold(0.0_f32, |most, v| most.max(v.abs()));
            for (found, expected) in found.host().iter().zip(expected.host().iter()) {
                assert!((found - expected).abs() <= 1e-5 * largest, "{found} for {expected} of a batch of {size}");
            }
        }
    }
    let other = Tensor::zeros(&Cpu::default(), [2, 2, 16, 15]).unwrap();
    assert!(plan.run(&other).unwrap_err().to_string().contains("[2, 16, 16]"));
}

#[test]
fn networks_that_no_plan_can_say_have_none() {
    assert!(plan(&Net { own_loss: true, untold: false }).is_none());
    assert!(plan(&Net { own_loss: false, untold: true }).is_none());
}

/// Layers that follow each other, of which the second is read twice and the last is added to something.
struct Layers;

impl Model<Cpu> for Layers {
    fn layout(&self, input: &InputSpec, sizes: &Sizes) -> Result<Layout> {
        let mut layout = LayoutBuilder::new(sizes);
        let mut from = input.features().into();
        for i in 1..=5 {
            let to = layout.units(&format!("fc{i}"), 24);
            layout.linear(&format!("fc{i}"), &from, &to, i != 4);
            from = to;
        }
        layout.linear("fc6", &from, &input.classes.into(), true);
        layout.output("fc6");
        layout.build()
    }

    fn forward(&self, cx: &mut Forward<'_, Cpu>, batch: &Batch<Cpu>) -> Result<Output<Cpu>> {
        let x = cx.linear("fc1", &batch.input, Act::Relu)?;
        let x = cx.linear("fc2", &x, Act::Relu)?;
        let inner = cx.linear("fc3", &x, Act::Gelu)?;
        let x = cx.linear_residual("fc4", &inner, Act::None, Some(&x))?;
        let x = cx.linear("fc5", &x, Act::Tanh)?;
        Ok(Output::Logits(cx.linear("fc6", &x, Act::None)?))
    }
}

#[test]
fn linear_layers_that_follow_each_other_are_one_step() {
    let layout = Layers.layout(&InputSpec { shape: vec![30], classes: 4 }, &Sizes::default()).unwrap();
    let params = ParamStore::new(&Cpu::default(), layout, Seed(3), Masking::Held).unwrap();
    let plan = Plan::of(&Layers, &NoCompression {}, &params, &[30]).unwrap().unwrap();
    // Up to what is read twice, up to the sum, and from there.
    assert_eq!(plan.steps.len(), 3);
    for size in [1, 7, 300] {
        let batch = examples(&Cpu::default(), &[30], size).unwrap();
        let Output::Logits(expected) = Layers.forward(&mut Forward::evaluation(&params), &batch).unwrap() else {
            panic!("logits were asked for")
        };
        let found = plan.run(&batch.input).unwrap();
        assert_eq!(found.shape(), expected.shape());
        for (found, expected) in found.host().iter().zip(expected.host().iter()) {
            assert!((found - expected).abs() <= 1e-5, "{found} for {expected} of a batch of {size}");
        }
    }
}

#[test]
fn answers_are_the_same_whichever_way_and_on_any_threads() {
    let net = Net { own_loss: false, untold: false };
    let batch = examples(&Cpu::default(), &EXAMPLE, 12).unwrap();
    let mut all: Vec<Vec<f32>> = vec![];
    for threads in [1, 2, 4] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        all.extend(pool.install(|| {
            let (plan, input) =
                (plan(&net).unwrap(), Tensor::from_slice(&Cpu::default(), &batch.input.host(), batch.input.shape()));
            let input = input.unwrap();
            assert!(12 * plan.work >= TOGETHER && plan.steps.len() >= STEPS, "there are two ways");
            (0..3).map(|_| plan.run(&input).unwrap().to_vec()).collect::<Vec<_>>()
        }));
    }
    assert!(all.iter().all(|answer| *answer == all[0]));
}
