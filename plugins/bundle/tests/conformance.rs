//! Every built-in plugin passes the conformance kit.
#![allow(clippy::unwrap_used, reason = "tests")]

use secateur::backend::Cpu;
use secateur::network::compressor::NoCompression;
use secateur::network::forward::Forward;
use secateur::network::layout::Sizes;
use secateur::network::model::{Batch, InputSpec, Output};
use secateur::network::params::{Masking, ParamStore};
use secateur::network::plan::Plan;
use secateur::options::Table;
use secateur::plugins::conformance::check;
use secateur::plugins::registry::Kind;
use secateur::seed::Seed;
use secateur::tensor::Tensor;

/// Baselines that rank against, or without regard to, what matters.
const BASELINES: [&str; 5] = ["random", "random-redrawn", "shuffled", "shuffled-redrawn", "worst"];
/// They compare the weights of one neuron with each other alone; the kit's weak neurons are weak as a whole.
const WITHIN_OUTPUTS: [&str; 2] = ["awsc", "wanda"];
/// A rank stays what it is when a unit gets weaker.
const WITHOUT_SCALE: [&str; 1] = ["hrank"];

#[test]
fn every_built_in_plugin_passes() {
    let registry = secateur_bundle::registry().unwrap();
    let mut failed = vec![];
    for kind in Kind::ALL {
        let names: Vec<String> = registry.of_kind(kind).map(|(n, _)| n.to_string()).collect();
        assert!(!names.is_empty());
        for name in names {
            let rows = check(&registry, kind, &name, &options(kind, &name)).unwrap();
            assert!(rows.len() >= 5, "{kind} {name}");
            for row in rows {
                let exempt = [&BASELINES[..], &WITHIN_OUTPUTS, &WITHOUT_SCALE].concat().contains(&name.as_str());
                let reversed = row.name.starts_with("higher is kept") && exempt;
                // It is there to prune nothing, which is what the row warns others of.
                let idle = name == "never" && row.detail.starts_with("nothing is pruned");
                if !row.passed && !reversed && !idle {
                    failed.push(format!("{kind} {name}: {}: {}", row.name, row.detail));
                }
                assert!(!(row.passed && reversed && name == "worst"), "worst must not pass: {}", row.detail);
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Large networks by default, small ones here.
fn options(kind: Kind, name: &str) -> Table {
    let text = match (kind, name) {
        (Kind::Model, "vit") => "dim = 16\ndepth = 2\nheads = 2\npatch = 4",
        (Kind::Model, "vae") => "channels = [4, 6]\nhidden = [24, 16]\nlatent = 4",
        (Kind::Model, "resnet") => "depth = 8\nwidth = 0.25",
        (Kind::Model, "mobilenet-v2") => "width = 0.1\nstages = 2\nhead = 16",
        (Kind::Model, "wide-resnet") => "depth = 10\nwiden = 1",
        (Kind::Model, "vgg") => "width = 0.1",
        (Kind::Data, "glyphs") => "train = 300\ntest = 50",
        (Kind::Data, "cubist-spiral") => "per_class = 500",
        _ => "",
    };
    text.parse().unwrap()
}

#[test]
fn rows_tell_a_wrong_plugin_from_a_right_one() {
    let registry = secateur_bundle::registry().unwrap();
    let rows = check(&registry, Kind::Criterion, "worst", &Table::new()).unwrap();
    let failed: Vec<_> = rows.iter().filter(|r| !r.passed).collect();
    assert_eq!(failed.len(), 1, "{rows:?}");
    assert!(failed[0].detail.contains("is the sign turned?"), "{failed:?}");
    assert!(
        check(&registry, Kind::Criterion, "magnitud", &Table::new()).unwrap_err().to_string().contains("magnitude")
    );
}

#[test]
fn plans_of_built_in_networks_answer_as_the_networks_do() {
    let (registry, device) = (secateur_bundle::registry().unwrap(), Cpu::default());
    let input = InputSpec { shape: vec![3, 32, 32], classes: 5 };
    for (name, _) in registry.of_kind(Kind::Model) {
        let model = registry.model::<Cpu>(name, &options(Kind::Model, name)).unwrap();
        let params =
            ParamStore::new(&device, model.layout(&input, &Sizes::default()).unwrap(), Seed(5), Masking::Held).unwrap();
        let plan = Plan::of(model.as_ref(), &NoCompression {}, &params, &input.shape).unwrap();
        let values = (0..7 * input.features() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1.7e7);
        let images = Tensor::from_vec(&device, values.collect(), [7, 3, 32, 32]).unwrap();
        let batch = Batch { input: images.clone(), classes: vec![0; 7], responses: vec![] };
        let Output::Logits(expected) = model.forward(&mut Forward::evaluation(&params), &batch).unwrap() else {
            assert!(plan.is_none(), "{name} has a loss of its own");
            continue;
        };
        let found = plan.unwrap_or_else(|| panic!("{name} has no plan")).run(&images).unwrap();
        let largest = expected.host().iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        let apart = found.host().iter().zip(expected.host().iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest > 0.0 && apart <= 1e-5 * largest, "{name}: {apart} of {largest}");
    }
}
