//! What a run shows of its images: reconstructions, merged tokens, and nothing that changes the run.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use secateur::data::{DataConfig, Normalize};
use secateur::plugins::conformance::{Named, Trial};
use secateur::prelude::*;
use secateur::pruning::{Apply, Granularity, PruneConfig, Scope};
use secateur::training::event::EvalAt;
use secateur::training::picture::{Picture, Shows};
use secateur::training::{Observer, Optimizer, Outcome, TrainConfig};
use std::collections::BTreeSet;

/// Wants pictures of this many examples.
#[derive(Default)]
struct Album(usize, Vec<Picture>);

impl Observer for Album {
    fn event(&mut self, _: &secateur::training::event::Event) -> Result<()> {
        Ok(())
    }
    fn pictures(&self) -> usize {
        self.0
    }
    fn picture(&mut self, picture: &Picture) -> Result<()> {
        self.1.push(picture.clone());
        Ok(())
    }
}

struct Setup {
    trial: Trial,
    normalize: Normalize,
}

/// Eight epochs of ten steps, a third of the units removed after epochs 4 and 7.
fn run(setup: &Setup, pictures: usize) -> (Outcome<Cpu>, Vec<Picture>) {
    let registry = secateur_bundle::registry().unwrap();
    let normalize = setup.normalize.clone();
    let data = common::glyphs(300, 50, DataConfig { normalize, ..DataConfig::default() });
    let mut album = Album(pictures, vec![]);
    let outcome = setup.trial.with(&registry, Cpu::default(), &data, |run| run.execute(&mut album));
    (outcome.unwrap(), album.1)
}

fn trial(model: Named, merging: &'static str, apply: Apply) -> Trial {
    Trial {
        model,
        criterion: ("random", ""),
        schedule: ("periodic", "first = 4\nevery = 3\nfraction = 0.33\ncount = 2"),
        compressor: Some(("token-merging", merging)),
        prune: PruneConfig { granularity: Granularity::Unit, scope: Scope::Layer, apply, ..PruneConfig::default() },
        train: TrainConfig {
            epochs: 8,
            batch_size: 30,
            optimizer: Optimizer::Adam,
            lr: 2e-3,
            ..TrainConfig::default()
        },
        ..Trial::default()
    }
}

const MOMENTS: [(u64, EvalAt); 6] = [
    (0, EvalAt::Start),
    (39, EvalAt::BeforePrune),
    (39, EvalAt::AfterPrune),
    (69, EvalAt::BeforePrune),
    (69, EvalAt::AfterPrune),
    (79, EvalAt::End),
];

fn moments(pictures: &[Picture]) -> Vec<(u64, EvalAt)> {
    pictures.iter().map(|p| (p.step, p.at)).collect()
}

fn same_bits(a: &Outcome<Cpu>, b: &Outcome<Cpu>) {
    let bits =
        |o: &Outcome<Cpu>| -> Vec<u32> { o.params.iter().flat_map(|p| p.value().to_vec()).map(f32::to_bits).collect() };
    assert_eq!(bits(a), bits(b));
    assert_eq!(a.summary.test_loss.to_bits(), b.summary.test_loss.to_bits());
}

fn vae() -> Setup {
    let model = ("vae", "channels = [4, 8]\nhidden = [30, 40]\nlatent = 8");
    Setup { trial: trial(model, "", Apply::Shrink), normalize: Normalize::Unit }
}

/// `dropout` draws from the stream of training noise: looking must not draw from it too.
fn vit(merging: &'static str) -> Setup {
    let model = ("vit", "depth = 2\ndim = 24\nheads = 2\npatch = 7\ndropout = 0.1");
    Setup { trial: trial(model, merging, Apply::Mask), normalize: Normalize::Standard }
}

#[test]
fn reconstructions_are_shown_around_pruning_steps_and_learn() {
    let (_, pictures) = run(&vae(), 5);
    assert_eq!(moments(&pictures), MOMENTS);
    let distance = |picture: &Picture| {
        let Shows::Reconstructions(made) = &picture.shows else { panic!("an autoencoder gives images back") };
        assert_eq!((picture.shape, picture.count(), made.len()), ([1, 28, 28], 5, 5 * 784));
        assert!(picture.images.iter().chain(made).all(|v| (0.0..=1.0).contains(v)));
        picture.images.iter().zip(made).map(|(a, b)| (a - b).abs()).sum::<f32>() / made.len() as f32
    };
    let distances: Vec<f32> = pictures.iter().map(distance).collect();
    assert!(pictures.iter().all(|p| p.images == pictures[0].images), "the same examples each time");
    assert!(distances[1] < 0.6 * distances[0], "trained against untrained: {distances:?}");
    assert!(
        distances[2] > distances[1] && distances[5] < distances[4],
        "units are missed, and it recovers: {distances:?}"
    );
}

#[test]
fn merged_tokens_are_followed_to_their_patches() {
    for (merging, left) in [("ratio = 0.5", 8), ("at = \"blocks\"\nr = 3", 16 - 6)] {
        let (_, pictures) = run(&vit(merging), 3);
        assert_eq!(moments(&pictures), MOMENTS);
        for picture in &pictures {
            let Shows::Groups { patch, holder } = &picture.shows else { panic!("a classifier gives no images back") };
            assert_eq!((*patch, holder.len()), (7, 3 * 16));
            for image in holder.chunks(16) {
                let groups: BTreeSet<u32> = image.iter().copied().collect();
                assert_eq!(groups.len(), left, "{merging}");
                // Token 0 is the class token, which holds no patch.
                assert_eq!((groups.first(), groups.last()), (Some(&1), Some(&(left as u32))));
            }
            // Standardised inputs come back as the images they were.
            assert!(picture.images.iter().all(|v| (0.0..=1.0).contains(v)) && picture.images.iter().any(|v| *v > 0.9));
        }
        assert_ne!(pictures[0].shows, pictures[5].shows, "what is similar is learned");
    }
}

#[test]
fn looking_changes_no_bit_of_a_run() {
    for setup in [vae(), vit("ratio = 0.5")] {
        let ((shown, some), (unseen, none)) = (run(&setup, 4), run(&setup, 0));
        assert_eq!((some.len(), none.len()), (6, 0));
        same_bits(&shown, &unseen);
    }
}

#[test]
fn a_network_with_nothing_to_show_is_not_shown() {
    let merging_nothing = vit("ratio = 0.0");
    assert!(run(&merging_nothing, 4).1.is_empty());
    let mut mlp = vit("ratio = 0.5");
    mlp.trial.model = ("mlp", "hidden = [20]");
    assert!(run(&mlp, 4).1.is_empty());
}
