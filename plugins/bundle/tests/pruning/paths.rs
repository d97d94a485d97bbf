//! Weights on a path from an input to an output, in the built-in models with masks made by hand and in whole runs.

use crate::common;
use secateur::data::DataConfig;
use secateur::network::params::{Masking, ParamStore};
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::measure::Paths;
use secateur::pruning::{Apply, Disconnected, Granularity, PruneConfig, Scope};
use secateur::training::TrainConfig;
use secateur::training::event::Event;

fn store(name: &str, options: &str, image: [usize; 3]) -> ParamStore<Cpu> {
    let model = secateur_bundle::registry().unwrap().model::<Cpu>(name, &options.parse().unwrap()).unwrap();
    let layout = model.layout(&InputSpec { shape: image.to_vec(), classes: 3 }, &Sizes::default()).unwrap();
    ParamStore::new(&Cpu::default(), layout, Seed(0), Masking::Held).unwrap()
}

/// Keeps the elements for whose indices on the first two axes `keep` holds.
fn mask(params: &mut ParamStore<Cpu>, name: &str, keep: impl Fn(usize, usize) -> bool) {
    let shape = params.get(name).unwrap().spec().shape;
    let (inner, columns) = (shape[2..].iter().product::<usize>(), shape[1]);
    let mask = (0..shape.count()).map(|i| keep(i / inner / columns, i / inner % columns)).collect();
    params.set_masks(vec![(name.into(), mask)]).unwrap();
}

/// Effective weights and units that are cut off.
fn found(params: &ParamStore<Cpu>) -> (usize, usize) {
    let found = Paths::of(params);
    (found.nnz_effective, found.units_cut_off)
}

#[test]
fn channels_of_a_cnn_are_followed_through_the_flatten() {
    let mut params = store("cnn", "channels = [2]\nhidden = [2]\nbatch_norm = true", [1, 4, 4]);
    // conv1 2x1x3x3, fc1 2x(2 channels x 4 pixels), fc2 3x2.
    assert_eq!(found(&params), (18 + 16 + 6, 0));
    // Of channel 1 nothing is read; of channel 0 one pixel, by unit 1.
    mask(&mut params, "fc1.weight", |out, pixel| (out, pixel) == (1, 3));
    assert_eq!(found(&params), (9 + 1 + 3, 2));
    mask(&mut params, "conv1.weight", |out, _| out == 1);
    assert_eq!(found(&params), (0, 4), "the norm of channel 0 still shifts it, by a constant");
}

#[test]
fn a_vae_has_its_latent_between_encoder_and_decoder() {
    let mut params = store("vae", "channels = [2]\nhidden = [3]\nlatent = 2", [1, 4, 4]);
    let all = 2 * 16 + 3 * 8 + 2 * 2 * 3 + 3 * 2 + 8 * 3 + 2 * 16;
    assert_eq!(found(&params), (all, 0));
    // Unit 2 of the encoder reaches the variance alone, which is enough; unit 1 neither of the two.
    mask(&mut params, "mu.weight", |_, unit| unit == 0);
    mask(&mut params, "logvar.weight", |_, unit| unit != 1);
    assert_eq!(found(&params), (all - 2 * 3 * 2 + 2 + 4 - 8, 1));
    // Channel 1 of the decoder, 4 pixels of its last linear layer, goes to no output.
    mask(&mut params, "dec.conv1.weight", |channel, _| channel == 0);
    assert_eq!(found(&params), (all - 2 * 3 * 2 + 2 + 4 - 8 - 16 - 4 * 3, 2));
}

#[test]
fn the_residual_stream_of_a_vit_connects_its_blocks() {
    let mut params = store("vit", "depth = 2\ndim = 4\nheads = 2\npatch = 2\nmlp_ratio = 1", [1, 4, 4]);
    let block = 12 * 4 + 4 * 4 + 2 * 4 * 4;
    let all = 4 * 4 + 2 * block + 3 * 4;
    assert_eq!(found(&params), (all, 0));
    // A whole MLP that writes nothing: its four units are cut off, what they read counts no more, the rest goes on.
    mask(&mut params, "blocks.0.mlp.fc2.weight", |_, _| false);
    assert_eq!(found(&params), (all - 2 * 16, 4));
    // Head 1 of block 1 (dimensions 2 and 3) is not read: its queries, keys and values count no more.
    mask(&mut params, "blocks.1.attn.proj.weight", |_, inner| inner < 2);
    assert_eq!(found(&params), (all - 2 * 16 - 4 * 2 - 3 * 2 * 4, 5));
    // Nor is dimension 0 of head 0, and with it no dimension 0 at all.
    mask(&mut params, "blocks.1.attn.proj.weight", |_, inner| inner == 1);
    assert_eq!(found(&params), (all - 2 * 16 - 4 * 3 - 3 * 3 * 4, 6));
}

/// The network of 1,712 weights of which none works: every weight that is left leads nowhere.
#[test]
fn a_run_that_empties_a_layer_counts_no_effective_weight() {
    let trial = Trial {
        model: ("mlp", "hidden = [50, 30]\nbias = false"),
        criterion: ("magnitude", ""),
        schedule: ("one-shot", "sparsity = 0.9999"),
        prune: PruneConfig { granularity: Granularity::Weight, apply: Apply::Mask, ..PruneConfig::default() },
        train: TrainConfig { epochs: 3, batch_size: 60, ..TrainConfig::default() },
        ..Trial::default()
    };
    let data = common::glyphs(300, 60, DataConfig::default());
    let (outcome, events) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap();
    let (params, summary) = (&outcome.params, &outcome.summary);
    let kept = |name: &str| params.get(&format!("{name}.weight")).unwrap().kept();
    let nnz = kept("fc1") + kept("fc2") + kept("fc3");
    assert!(kept("fc1") == 0 && nnz > 0, "fc1 {} of {nnz}", kept("fc1"));
    assert_eq!((summary.nnz, summary.nnz_effective, summary.units_cut_off), (Some(nnz), Some(0), 80));
    assert_eq!((summary.metrics()["nnz"], summary.metrics()["nnz_effective"]), (nnz as f64, 0.0));
    let told: Vec<_> = events
        .iter()
        .filter_map(|e| match e {
            Event::Prune { nnz, nnz_effective, units_cut_off, .. } => Some((*nnz, *nnz_effective, *units_cut_off)),
            _ => None,
        })
        .collect();
    assert_eq!(told.last(), Some(&(Some(nnz), Some(0), 80)));
}

#[test]
fn weights_on_no_path_go_at_the_end_where_that_is_asked() {
    let data = common::glyphs(300, 60, DataConfig::default());
    let go = |disconnected, regrow| {
        let trial = Trial {
            model: ("mlp", "hidden = [50, 30]"),
            criterion: ("magnitude", ""),
            schedule: ("one-shot", "sparsity = 0.99"),
            prune: PruneConfig { disconnected, regrow, scope: Scope::Layer, ..PruneConfig::default() },
            train: TrainConfig { epochs: 3, batch_size: 60, ..TrainConfig::default() },
            ..Trial::default()
        };
        trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap()
    };
    for regrow in [false, true] {
        let (kept, _) = go(Disconnected::Keep, regrow);
        let (nnz, effective) = (kept.summary.nnz.unwrap(), kept.summary.nnz_effective.unwrap());
        assert!(effective < nnz, "{effective} of {nnz}");
        let (unread, events) = go(Disconnected::Unread, regrow);
        let left = unread.summary.nnz.unwrap();
        // What no output reads changes none of them.
        assert_eq!(unread.summary.test_loss, kept.summary.test_loss);
        assert_eq!(unread.summary.nnz_effective, Some(effective));
        assert!(effective <= left && left < nnz, "{left}");
        let text =
            format!("{} weights that lead to no output were pruned after the last step; {left} are left.", nnz - left);
        let told = events.iter().filter(|e| matches!(e, Event::Note { text: found, .. } if *found == text));
        assert_eq!(told.count(), 1);
        let (all, _) = go(Disconnected::All, regrow);
        assert_eq!((all.summary.nnz, all.summary.nnz_effective), (Some(effective), Some(effective)));
        // Biases stay as they are.
        let bias = |outcome: &secateur::training::Outcome<Cpu>| outcome.params.get("fc1.bias").unwrap().kept();
        assert_eq!(bias(&all), bias(&kept));
    }
}
