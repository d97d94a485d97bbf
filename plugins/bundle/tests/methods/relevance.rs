//! Layer-wise relevance propagation: in whole runs, on every network, and from a library.

use super::*;
use secateur::network::init::Init;
use secateur::network::params::ParamStore;
use secateur::options::Table;
use secateur::plugins::registry::Registry;
use secateur_criteria::relevance::{Rule, Sharing, flow};
use std::collections::BTreeSet;

fn units() -> PruneConfig {
    PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply: Apply::Shrink, ..PruneConfig::default() }
}

#[test]
fn relevance_flows_backwards_through_the_trace() {
    let lrp = secateur_bundle::registry().unwrap().criterion::<Cpu>("lrp", &Table::new()).unwrap();
    let (outcome, _) = run(Boxed(lrp), At(vec![(20, 0.5)]), units());
    assert_eq!(outcome.summary.units.0, [("fc1".to_string(), 10), ("fc2".to_string(), 5)].into());
}

struct Boxed(Box<dyn Criterion<Cpu>>);

impl Criterion<Cpu> for Boxed {
    fn needs(&self) -> Needs {
        self.0.needs()
    }
    fn window(&self) -> Window {
        self.0.window()
    }
    fn observe(&mut self, seen: &Observation<'_, Cpu>) -> Result<()> {
        self.0.observe(seen)
    }
    fn score(&mut self, target: &Target<'_, Cpu>) -> Result<Scores<Cpu>> {
        self.0.score(target)
    }
    fn cut(&mut self, cut: &Cut<'_>) -> Result<()> {
        self.0.cut(cut)
    }
    fn reset(&mut self) -> Result<()> {
        self.0.reset()
    }
}

/// Model, its options, compressor, side of the images and their channels.
type Network = (&'static str, &'static str, &'static str, [usize; 3]);

const VIT: &str = "dim = 12\ndepth = 2\nheads = 3\npatch = 4\nmlp_ratio = 2.0";
const MEAN: &str = "pool = \"mean\"\ndim = 12\ndepth = 2\nheads = 3\npatch = 4\nmlp_ratio = 2.0";
const DROPOUT: &str = "dropout = 0.2\ndim = 12\ndepth = 2\nheads = 3\npatch = 4\nmlp_ratio = 2.0";

const NETWORKS: [Network; 12] = [
    ("mlp", "hidden = [20, 10]", "", [1, 8, 8]),
    ("mlp", "hidden = [20, 10]\nactivation = \"tanh\"", "", [1, 8, 8]),
    ("mlp", "hidden = [20, 10]\nactivation = \"gelu-exact\"\nbias = false", "", [1, 8, 8]),
    ("cnn", "channels = [4, 6]\nhidden = [10]\nbias = true", "", [3, 12, 12]),
    ("cnn", "channels = [4, 6]\nhidden = [10]\nbatch_norm = true", "", [3, 12, 12]),
    ("vgg", "width = 0.05", "", [3, 32, 32]),
    ("vae", "channels = [4, 6]\nhidden = [24, 16]\nlatent = 4", "", [1, 12, 12]),
    ("vit", VIT, "", [1, 16, 16]),
    ("vit", MEAN, "", [1, 16, 16]),
    ("vit", DROPOUT, "", [1, 16, 16]),
    ("vit", VIT, "at = \"before-encoder\"\nratio = 0.4", [1, 16, 16]),
    ("vit", MEAN, "at = \"blocks\"\nr = 3", [1, 16, 16]),
];

/// The model's layout, with biases, scales and positions that are not zero or one.
fn drawn(model: &dyn Model<Cpu>, input: &InputSpec) -> Layout {
    let mut layout = model.layout(input, &Sizes::default()).unwrap();
    let plain = |init| matches!(init, Init::Zeros | Init::Ones);
    layout.params.iter_mut().filter(|spec| !spec.buffer && plain(spec.init)).for_each(|spec| {
        spec.init = Init::TruncatedNormal { std: 0.5 };
    });
    layout
}

/// In parts of the relevance that was sent: what comes to the examples, what was absorbed on the way, and the largest
/// difference, behind any operation, between what was sent and what is on its way or absorbed; the latter in parts of the
/// largest sum of magnitudes on the way. (The epsilon rule divides by sums that can be near zero, so that what it shares
/// out has both signs and is many times what was sent: rounding is relative to that.)
fn books(network: Network, rule: Rule) -> [f64; 3] {
    let (name, options, compressor, image) = network;
    let registry = secateur_bundle::registry().unwrap();
    let model = registry.model::<Cpu>(name, &options.parse().unwrap()).unwrap();
    let merging = registry.compressor::<Cpu>("token-merging", &compressor.parse().unwrap()).unwrap();
    let layout = drawn(model.as_ref(), &InputSpec { shape: image.to_vec(), classes: 4 });
    let params = ParamStore::new(&Cpu::default(), layout, Seed(2), Masking::Held).unwrap();
    let number = |i: usize| ((i * 7919 + 104_729) % 10_007) as f32 / 10_007.0;
    let count = 6 * image.iter().product::<usize>();
    let shape = [6, image[0], image[1], image[2]];
    let input = Tensor::from_vec(&Cpu::default(), (0..count).map(number).collect(), shape).unwrap();
    let batch = Batch { input, classes: (0..6).map(|i| i % 4).collect(), responses: vec![] };
    let mut cx = Forward::training(&params, Needs::TRACE, Seed(3));
    if !compressor.is_empty() {
        cx = cx.with_compressor(merging.as_ref());
    }
    let output = model.forward(&mut cx, &batch).unwrap();
    let (tape, mut taps, _) = cx.finish();
    taps.conclude(&output, &batch.classes, params.layout());
    let root = match &output {
        Output::Logits(root) | Output::Loss { loss: root, .. } => root.clone(),
    };
    let grads = tape.backward(&root, root.detach()).unwrap();
    let seen = Observation { step: Step(0), epoch: 0, examples: 6, params: &params, grads: &grads, taps: &taps };
    let trace = seen.trace().unwrap();
    let output = trace.output.as_ref().unwrap();
    let sum = |t: &Tensor<Cpu>| t.host().iter().map(|v| f64::from(*v)).sum::<f64>();
    let start = Tensor::from_vec(&Cpu::default(), output.host().iter().map(|v| v.max(0.0)).collect(), output.shape());
    let start = start.unwrap();
    let total = sum(&start);
    assert!(total > 0.0, "{network:?}: there is something to send");
    let magnitudes = |t: &Tensor<Cpu>| t.host().iter().map(|v| f64::from(v.abs())).sum::<f64>();
    let (mut on_the_way, mut absorbed, mut lost, mut layers) = (total, 0.0, 0.0, BTreeSet::new());
    let mut largest = total;
    flow(trace, &rule, (output, start), |call, relevance, shares| {
        on_the_way += shares.inputs.iter().map(sum).sum::<f64>() - sum(relevance);
        absorbed += shares.absorbed.as_ref().map_or(0.0, sum);
        largest = largest.max(magnitudes(relevance)).max(shares.inputs.iter().map(magnitudes).sum());
        lost = f64::max(lost, (on_the_way + absorbed - total).abs() / largest);
        layers.insert(call.layer.clone());
        Ok(())
    })
    .unwrap();
    let weights = params.iter().filter(|p| p.spec().prunable || p.spec().output && p.spec().shape.len() > 1);
    for layer in weights.filter_map(|p| p.spec().name.strip_suffix(".weight")) {
        assert!(layers.contains(layer), "{network:?}: relevance comes by {layer}");
    }
    [on_the_way / total, absorbed / total, lost]
}

#[test]
fn relevance_is_conserved_in_every_network() {
    let sharings = [Sharing::AlphaBeta { beta: 0.0 }, Sharing::AlphaBeta { beta: 1.0 }, Sharing::Epsilon];
    let mut faults = vec![];
    for network in NETWORKS {
        for (sharing, redistribute) in sharings.into_iter().flat_map(|s| [(s, true), (s, false)]) {
            let [inputs, absorbed, lost] = books(network, Rule { sharing, epsilon: 1e-9, redistribute });
            let found = format!("{inputs:.5} of inputs, {absorbed:.5} absorbed, {lost:.1e} lost");
            println!("{network:?} {sharing:?} redistribute={redistribute}: {found}");
            // A class token does not come from the examples: what is owed to it has nowhere to go. Nor has what is owed
            // to an output whose inputs are all zero, as narrow deep networks have some.
            let most = match network.0 {
                _ if !redistribute => f64::INFINITY,
                "vit" if network.1 != MEAN => f64::INFINITY,
                "vgg" | "vae" | "vit" if sharing == Sharing::Epsilon => f64::INFINITY,
                "vgg" | "vae" => 1e-2,
                _ => 1e-4,
            };
            if lost > 1e-4 || absorbed.abs() > most {
                faults.push(format!("{network:?} {sharing:?} redistribute={redistribute}: {found}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A library of built-in plugins, which Cargo builds beside this test.
fn library(name: &str) -> Registry {
    let file = format!("{}secateur_{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let mut registry = Registry::default();
    registry.load(&std::env::current_exe().unwrap().with_file_name(file), None).unwrap();
    registry
}

#[test]
fn loaded_from_a_library_it_gives_the_same_bits() {
    let linked = secateur_bundle::registry().unwrap();
    let (criteria, models) = (library("criteria"), library("models"));
    let data = common::glyphs(120, 40, DataConfig::default());
    let merging = Some(("token-merging", "at = \"before-encoder\""));
    let networks = [
        (("cnn", "channels = [4, 6]\nhidden = [10]\nbatch_norm = true"), None),
        (("vit", "dim = 12\ndepth = 2\nheads = 3\npatch = 7\nmlp_ratio = 1.0"), None),
        (("vit", "dim = 12\ndepth = 2\nheads = 3\npatch = 7\nmlp_ratio = 1.0"), merging),
    ];
    for (model, compressor) in networks {
        let train = TrainConfig { epochs: 1, batch_size: 40, lr: 0.1, ..TrainConfig::default() };
        let trial = Trial { prune: units(), train, model, compressor, ..Trial::default() };
        let of = |criterion: &Registry, from: &Registry| -> Result<Vec<Vec<u32>>> {
            let outcome = trial.with(&linked, Cpu::default(), &data, |mut run| {
                run.criterion = criterion.criterion("lrp", &Table::new())?;
                run.model = from.model(model.0, &model.1.parse().unwrap())?;
                run.schedule = Box::new(At(vec![(1, 0.5)]));
                run.execute(&mut Log::default())
            })?;
            let bits = |t: &Tensor<Cpu>| t.host().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            Ok(outcome.params.iter().map(|p| bits(p.value())).collect::<Vec<_>>())
        };
        let expected = of(&linked, &linked).unwrap();
        assert!(of(&criteria, &linked).unwrap() == expected, "{model:?}: a loaded criterion");
        if compressor.is_none() {
            assert!(of(&linked, &models).unwrap() == expected, "{model:?}: a loaded model");
            assert!(of(&criteria, &models).unwrap() == expected, "{model:?}: both");
        } else {
            let lost: Error = of(&linked, &models).unwrap_err();
            assert!(lost.to_string().contains("a compressor of another library"), "{lost}");
        }
    }
}
