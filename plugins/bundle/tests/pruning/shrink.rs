//! A network with units masked, and the same network with these units cut out, compute the same.

use rand::RngExt as _;
use secateur::network::init::Init;
use secateur::network::layout::ParamSpec;
use secateur::network::params::{Masking, ParamStore};
use secateur::prelude::*;

const CLASSES: usize = 10;

struct Net {
    name: &'static str,
    options: &'static str,
    image: [usize; 3],
}

const NETS: &[Net] = &[
    Net { name: "cnn", options: "channels = [6, 8]\nhidden = [12, 7]\nbias = true", image: [3, 12, 12] },
    Net { name: "cnn", options: "channels = [4]\nactivation = \"sigmoid\"\nhidden = []", image: [1, 9, 7] },
    Net { name: "cnn", options: "channels = [5, 6]\nhidden = [9]\nbatch_norm = true", image: [2, 8, 8] },
    Net { name: "resnet", options: "depth = 8\nwidth = 0.25", image: [3, 12, 12] },
    Net { name: "resnet", options: "depth = 14\nwidth = 0.3\nshortcut = \"project\"", image: [1, 9, 10] },
    Net { name: "resnet", options: "form = \"imagenet\"\ndepth = 18\nwidth = 0.06", image: [3, 33, 40] },
    Net {
        name: "resnet",
        options: "form = \"imagenet\"\ndepth = 50\nwidth = 0.12\nshortcut = \"project\"",
        image: [3, 48, 48],
    },
    Net { name: "resnet", options: "form = \"imagenet\"\ndepth = 50\nwidth = 0.12", image: [1, 48, 48] },
    Net { name: "mobilenet-v2", options: "width = 0.25\nstages = 2\nhead = 24", image: [3, 8, 8] },
    // Shortcuts around the first blocks too: the channels of the stem and of two stages are one group.
    Net { name: "mobilenet-v2", options: "width = 0.1\nstages = 2\nhead = 8", image: [1, 9, 8] },
    Net {
        name: "mobilenet-v2",
        options: "form = \"imagenet\"\nwidth = 0.2\nstages = 3\nhead = 16",
        image: [3, 24, 17],
    },
    Net { name: "wide-resnet", options: "depth = 10\nwiden = 1", image: [3, 8, 8] },
    Net { name: "wide-resnet", options: "depth = 10\nwiden = 2", image: [1, 9, 6] },
    Net { name: "vgg", options: "width = 0.1\nhidden = [8]", image: [3, 32, 32] },
    Net { name: "vgg", options: "width = 0.1\nbatch_norm = false", image: [1, 32, 32] },
    Net { name: "vae", options: "channels = [4, 6]\nhidden = [20, 12]\nlatent = 5", image: [3, 16, 16] },
    Net { name: "vae", options: "channels = [4]\nhidden = [9]\nlatent = 3\nbias = false", image: [1, 8, 8] },
    Net { name: "vit", options: "depth = 2\ndim = 24\nheads = 3", image: [3, 16, 16] },
    Net { name: "vit", options: "depth = 1\ndim = 16\nheads = 4\npool = \"mean\"\nmlp_ratio = 1.5", image: [1, 8, 8] },
];

fn batch(image: [usize; 3]) -> Batch<Cpu> {
    let mut rng = Seed(3).stream("images", &[]);
    let n = 5 * image.iter().product::<usize>();
    let values = (0..n).map(|_| rng.random_range(0.0f32..1.0)).collect();
    let shape: Vec<usize> = std::iter::once(5).chain(image).collect();
    Batch {
        input: Tensor::from_vec(&Cpu::default(), values, &shape[..]).unwrap(),
        classes: vec![0; 5],
        responses: vec![],
    }
}

fn output(model: &dyn Model<Cpu>, params: &ParamStore<Cpu>, batch: &Batch<Cpu>) -> Vec<f32> {
    let mut cx = Forward::evaluation(params);
    let (Output::Logits(t) | Output::Loss { prediction: t, .. }) = model.forward(&mut cx, batch).unwrap();
    t.to_vec()
}

/// Every parameter random, norms and running means too, and signals that neither fade nor grow: nothing hides an error.
fn store(layout: Layout) -> ParamStore<Cpu> {
    let layout = Layout { params: layout.params.into_iter().map(lively).collect(), ..layout };
    ParamStore::new(&Cpu::default(), layout, Seed(5), Masking::Held).unwrap()
}

fn lively(spec: ParamSpec) -> ParamSpec {
    let init = match spec.init {
        Init::Ones => Init::Ones,
        _ if spec.prunable => Init::HeNormal { fan_in: spec.shape[1..].iter().product() },
        _ => Init::FanInUniform { fan_in: 4 },
    };
    ParamSpec { init, ..spec }
}

/// Some units of a group gone, at least one, never all.
fn alive(group: &UnitGroup) -> Vec<bool> {
    let mut rng = Seed(9).stream("alive", &[&group.name]);
    let mut keep: Vec<bool> = (0..group.units).map(|_| rng.random_range(0.0f32..1.0) < 0.6).collect();
    (keep[0], keep[group.units - 1]) = (false, true);
    keep
}

fn compare(net: &Net, groups: Vec<(String, Vec<bool>)>) {
    let registry = secateur_bundle::registry().unwrap();
    let model = registry.model::<Cpu>(net.name, &net.options.parse().unwrap()).unwrap();
    let input = InputSpec { shape: net.image.to_vec(), classes: CLASSES };
    let mut params = store(model.layout(&input, &Sizes::default()).unwrap());
    let batch = batch(net.image);
    let dense = output(model.as_ref(), &params, &batch);
    let mut sizes = params.layout().sizes();
    sizes.0.extend(groups.iter().map(|(n, k)| (n.clone(), k.iter().filter(|k| **k).count())));
    let mut small = params.clone();
    small.shrink(groups.clone(), model.layout(&input, &sizes).unwrap()).unwrap();
    params.set_alive(groups.clone()).unwrap();
    let (masked, shrunk) = (output(model.as_ref(), &params, &batch), output(model.as_ref(), &small, &batch));
    let scale = masked.iter().fold(0.1f32, |m, v| m.max(v.abs()));
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
    let names: Vec<_> = groups.iter().map(|(n, _)| n.as_str()).collect();
    assert!(far(&masked, &shrunk) <= 1e-5 * scale, "{} {names:?}: {masked:?} and {shrunk:?}", net.name);
    assert!(far(&masked, &dense) > 1e-4 * scale, "{} {names:?}: the units do not matter", net.name);
}

#[test]
fn each_group_masked_equals_it_removed() {
    for net in NETS {
        let registry = secateur_bundle::registry().unwrap();
        let model = registry.model::<Cpu>(net.name, &net.options.parse().unwrap()).unwrap();
        let input = InputSpec { shape: net.image.to_vec(), classes: CLASSES };
        let layout = model.layout(&input, &Sizes::default()).unwrap();
        assert!(!layout.groups.is_empty(), "{}", net.name);
        for group in &layout.groups {
            compare(net, vec![(group.name.clone(), alive(group))]);
        }
        compare(net, layout.groups.iter().map(|g| (g.name.clone(), alive(g))).collect());
    }
}
