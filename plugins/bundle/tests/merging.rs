//! Token merging against a plain per-token reference, and in a whole run.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use rand::RngExt as _;
use secateur::backend::TokenOps as _;
use secateur::data::DataConfig;
use secateur::network::params::{Masking, ParamStore};
use secateur::plugins::conformance::Trial;
use secateur::prelude::*;
use secateur::pruning::PruneConfig;
use secateur::training::event::Event;
use secateur::training::{LrSchedule, Optimizer, TrainConfig};
use std::collections::BTreeSet;

const DIM: usize = 8;

fn tokens(batch: usize, count: usize, protected: usize) -> Tokens<Cpu> {
    let mut rng = Seed(4).stream("tokens", &[&count.to_string()]);
    let x = (0..batch * count * DIM).map(|_| rng.random_range(-1.0f32..1.0)).collect();
    let x = Tensor::from_vec(&Cpu::default(), x, [batch, count, DIM]).unwrap();
    Tokens { x, metric: None, sizes: None, source: None, protected }
}

fn merged(options: &str, tokens: Tokens<Cpu>, at: Stage) -> Tokens<Cpu> {
    let registry = secateur_bundle::registry().unwrap();
    let merging = registry.compressor::<Cpu>("token-merging", &options.parse().unwrap()).unwrap();
    merging.compress(&mut Tape::off(), tokens, at).unwrap()
}

/// Which tokens of one image go together (Bolya et al. 2022), token by token.
fn reference(x: &[Vec<f64>], r: usize, protected: usize) -> BTreeSet<BTreeSet<usize>> {
    let cosine = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let b: Vec<usize> = (protected..x.len()).filter(|i| i % 2 == 1).collect();
    let mut best: Vec<(f64, usize, usize)> = (protected..x.len())
        .filter(|i| i % 2 == 0)
        .map(|i| {
            let similarity = |&j: &usize| (cosine(&x[i], &x[j]), j);
            let (s, j) = b.iter().map(similarity).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            (s, i, j)
        })
        .collect();
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    best.truncate(r);
    let joined: BTreeSet<usize> = best.iter().map(|m| m.1).collect();
    (0..x.len())
        .filter(|i| !joined.contains(i))
        .map(|i| best.iter().filter(|m| m.2 == i).map(|m| m.1).chain([i]).collect())
        .collect()
}

fn images(x: &Tensor<Cpu>) -> Vec<Vec<Vec<f64>>> {
    let count = x.shape()[1];
    let rows: Vec<Vec<f64>> = x.host().chunks(DIM).map(|t| t.iter().map(|v| f64::from(*v)).collect()).collect();
    rows.chunks(count).map(<[_]>::to_vec).collect()
}

/// Sizes count the tokens, values are their means, and protected tokens are untouched, whatever the partition is.
fn check_means(before: &Tokens<Cpu>, after: &Tokens<Cpu>) {
    let (count, kept) = (before.x.shape()[1], after.x.shape()[1]);
    let (sizes, source) = (after.sizes.as_ref().unwrap().to_vec(), after.source.as_ref().unwrap());
    for (b, (x, y)) in images(&before.x).iter().zip(&images(&after.x)).enumerate() {
        let sizes = &sizes[b * kept..][..kept];
        assert_eq!(sizes.iter().sum::<f32>(), count as f32);
        for (k, y) in y.iter().enumerate() {
            let of: Vec<usize> = (0..count).filter(|i| source[b * count + i] as usize == k).collect();
            assert_eq!(of.len() as f32, sizes[k]);
            for (d, y) in y.iter().enumerate() {
                let mean = of.iter().map(|&i| x[i][d]).sum::<f64>() / of.len() as f64;
                assert!((mean - y).abs() < 1e-6, "{mean} and {y}");
            }
        }
        assert!((0..before.protected).all(|i| source[b * count + i] as usize == i && sizes[i] == 1.0 && x[i] == y[i]));
    }
}

#[test]
fn one_pass_agrees_with_the_reference_token_by_token() {
    for (count, protected) in [(17, 1), (16, 0), (9, 2)] {
        let before = tokens(3, count, protected);
        // Half of 7 would round to 4, which takes a second pass.
        for ratio in [0.2, 0.4, 0.48] {
            let after = merged(&format!("ratio = {ratio}\nsource = true"), before.clone(), Stage::BeforeEncoder);
            let r = (ratio * (count - protected) as f64).round() as usize;
            assert_eq!(after.x.shape()[1], count - r);
            check_means(&before, &after);
            let source = after.source.unwrap();
            for (b, x) in images(&before.x).iter().enumerate() {
                let group = |k: usize| (0..count).filter(|i| source[b * count + i] as usize == k).collect();
                let found: BTreeSet<BTreeSet<usize>> = (0..count - r).map(group).collect();
                assert_eq!(found, reference(x, r, protected), "image {b}, {count} tokens, ratio {ratio}");
            }
        }
    }
}

#[test]
fn every_ratio_counts_and_nothing_is_clamped() {
    let before = tokens(2, 65, 1);
    let counts = [0.2, 0.4, 0.6, 0.8].map(|ratio| {
        let after = merged(&format!("ratio = {ratio}\nsource = true"), before.clone(), Stage::BeforeEncoder);
        check_means(&before, &after);
        after.x.shape()[1]
    });
    assert_eq!(counts, [1 + 51, 1 + 38, 1 + 26, 1 + 13]);
    let kept = merged("ratio = 0.2\nreading = \"kept\"", before.clone(), Stage::BeforeEncoder);
    assert_eq!(kept.x.shape()[1], 1 + 13);
    let one = merged("ratio = 0.8\nreading = \"one-pass\"", before, Stage::BeforeEncoder);
    assert_eq!(one.x.shape()[1], 65 - 26);
}

#[test]
fn blocks_merge_by_their_metric_and_carry_sizes_on() {
    let options = "at = \"blocks\"\nr = 3\nacross = \"decreasing\"\nsource = true";
    let before = tokens(2, 21, 1);
    assert_eq!(merged(options, before.clone(), Stage::BeforeEncoder).x.shape()[1], 21);
    let mut now = before.clone();
    let counts = [0, 1, 2].map(|index| {
        now = merged(options, now.clone(), Stage::Block { index, of: 3 });
        check_means(&before, &now);
        now.x.shape()[1]
    });
    assert_eq!(counts, [15, 12, 12]);
    let metric =
        Tensor::from_vec(&Cpu::default(), (0..42).map(|i| (i % 7) as f32 + 1.0).collect(), [2, 21, 1]).unwrap();
    let after = merged(options, Tokens { metric: Some(metric), ..before.clone() }, Stage::Block { index: 0, of: 3 });
    check_means(&before, &after);
}

/// What is merged are the tokens, positions and all, whatever they are compared by.
#[test]
fn content_decides_and_tokens_with_their_positions_are_merged() {
    let (count, protected) = (17, 1);
    let (before, content) = (tokens(3, count, protected), images(&tokens(3, count + 1, protected).x));
    // The similarity of other tokens, of another width.
    let content: Vec<Vec<Vec<f64>>> =
        content.iter().map(|x| x[1..].iter().map(|t| t[..5].to_vec()).collect()).collect();
    let flat = content.iter().flatten().flatten().map(|&v| v as f32).collect();
    let metric = Tensor::from_vec(&Cpu::default(), flat, [3, count, 5]).unwrap();
    let given = Tokens { metric: Some(metric), ..before.clone() };
    let options = |ratio| format!("ratio = {ratio}\nsimilarity = \"content\"\nsource = true");
    let groups = |after: &Tokens<Cpu>, b: usize| -> BTreeSet<BTreeSet<usize>> {
        let source = after.source.as_ref().unwrap();
        let group = |k| (0..count).filter(|i| source[b * count + i] as usize == k).collect();
        (0..after.x.shape()[1]).map(group).collect()
    };
    let once = merged(&options(0.4), given.clone(), Stage::BeforeEncoder);
    check_means(&before, &once);
    for (b, content) in content.iter().enumerate() {
        assert_eq!(groups(&once, b), reference(content, 6, protected), "image {b}");
    }
    // By the tokens themselves others go together, though the same metric lies there.
    let other = merged("ratio = 0.4\nsource = true", given.clone(), Stage::BeforeEncoder);
    check_means(&before, &other);
    for (b, x) in images(&before.x).iter().enumerate() {
        assert_eq!(groups(&other, b), reference(x, 6, protected), "image {b}");
        assert_ne!(groups(&other, b), groups(&once, b), "image {b}");
    }
    // 8 of 16 in the first pass, 4 in the second, by the means of what the first one merged.
    let twice = merged(&options(0.75), given, Stage::BeforeEncoder);
    assert!(twice.metric.is_none());
    check_means(&before, &twice);
    for (b, content) in content.iter().enumerate() {
        let first = reference(content, 8, protected);
        // Kept tokens stand as the matching leaves them: the protected one, the rest of A (here none), then B.
        let mut first: Vec<BTreeSet<usize>> = first.into_iter().collect();
        let in_b = |group: &BTreeSet<usize>| *group.iter().find(|i| **i % 2 == 1).unwrap_or(&0);
        first.sort_by_key(in_b);
        let mean =
            |group: &BTreeSet<usize>, d: usize| group.iter().map(|&i| content[i][d]).sum::<f64>() / group.len() as f64;
        let means: Vec<Vec<f64>> = first.iter().map(|group| (0..5).map(|d| mean(group, d)).collect()).collect();
        let second = reference(&means, 4, protected).into_iter();
        let joined = |group: BTreeSet<usize>| group.into_iter().flat_map(|i| first[i].clone()).collect();
        assert_eq!(groups(&twice, b), second.map(joined).collect(), "image {b}");
    }
}

#[test]
fn content_that_no_model_shows_is_an_error_with_its_key() {
    let registry = secateur_bundle::registry().unwrap();
    let options = "similarity = \"content\"".parse().unwrap();
    let merging = registry.compressor::<Cpu>("token-merging", &options).unwrap();
    let error = merging.compress(&mut Tape::off(), tokens(1, 5, 1), Stage::BeforeEncoder).unwrap_err().to_string();
    assert!(error.contains("`compressor.similarity` = content") && error.contains("set it to `tokens`"), "{error}");
}

/// A vision transformer shows a compressor its embedding before positions are added, where that is wanted.
#[test]
fn a_vit_merges_by_content_without_positions() {
    struct Seen(std::sync::Mutex<Vec<Tokens<Cpu>>>, bool);
    impl Compressor<Cpu> for Seen {
        fn compress(&self, _: &mut Tape<Cpu>, tokens: Tokens<Cpu>, at: Stage) -> Result<Tokens<Cpu>> {
            if at == Stage::BeforeEncoder {
                self.0.lock().unwrap().push(tokens.clone());
            }
            Ok(tokens)
        }
        fn needs_metric(&self, _: Stage) -> bool {
            self.1
        }
    }
    let registry = secateur_bundle::registry().unwrap();
    let vit = registry.model::<Cpu>("vit", &"depth = 1\ndim = 8\nheads = 2\npatch = 7".parse().unwrap()).unwrap();
    let input = InputSpec { shape: vec![1, 28, 28], classes: 10 };
    let layout = vit.layout(&input, &Sizes::default()).unwrap();
    let params = ParamStore::<Cpu>::new(&Cpu::default(), layout, Seed(1), Masking::Held).unwrap();
    let x = (0..2 * 28 * 28).map(|i| (i % 13) as f32 / 13.0).collect();
    let batch = Batch {
        input: Tensor::from_vec(&Cpu::default(), x, [2, 1, 28, 28]).unwrap(),
        classes: vec![0, 1],
        responses: vec![],
    };
    let seen = |needs| {
        let seen = Seen(std::sync::Mutex::default(), needs);
        vit.forward(&mut Forward::evaluation(&params).with_compressor(&seen), &batch).unwrap();
        seen.0.into_inner().unwrap().remove(0)
    };
    assert!(seen(false).metric.is_none());
    let tokens = seen(true);
    let (x, content) = (images(&tokens.x), images(&tokens.metric.unwrap()));
    let positions = params.get("position").unwrap().value().to_vec();
    for (x, content) in x.iter().zip(&content) {
        for (t, (x, content)) in x.iter().zip(content).enumerate() {
            let position = &positions[t * DIM..][..DIM];
            let close = |((x, c), p): ((&f64, &f64), &f32)| (x - c - f64::from(*p)).abs() < 1e-6;
            assert!(x.iter().zip(content).zip(position).all(close), "token {t}");
        }
    }
}

#[test]
fn merging_with_nothing_to_merge_is_the_identity() {
    let before = tokens(2, 5, 1);
    let after = merged("ratio = 0.1", before.clone(), Stage::BeforeEncoder);
    assert_eq!(after.x.to_vec(), before.x.to_vec());
    assert_eq!(Cpu::match_tokens(&tokens(1, 1, 1).x, 3, 1).unwrap().kept, 1);
}

/// The "Neural Burden" pipeline in small: merging, dynamic masks with regrowth, cubic schedule.
#[test]
fn a_vit_with_merged_tokens_reaches_its_sparsity_while_weights_return() {
    let trial = Trial {
        seed: 2,
        model: ("vit", "depth = 2\ndim = 32\nheads = 2\npatch = 7"),
        schedule: ("cubic", "sparsity = 0.9\nevery = 5"),
        compressor: Some(("token-merging", "ratio = 0.4\nsimilarity = \"content\"")),
        prune: PruneConfig { regrow: true, ..PruneConfig::default() },
        train: TrainConfig {
            epochs: 10,
            batch_size: 30,
            optimizer: Optimizer::AdamW,
            lr: 3e-3,
            lr_schedule: LrSchedule::Cosine,
            lr_warmup: 1.0,
            weight_decay: 0.05,
            ..TrainConfig::default()
        },
        ..Trial::default()
    };
    let data = common::glyphs(1200, 300, DataConfig::default());
    let (outcome, events) = trial.run(&secateur_bundle::registry().unwrap(), Cpu::default(), &data).unwrap();
    // Everything with two axes but positions and head: patch embedding, qkv, proj, two MLP matrices a block.
    let total = 49 * 32 + 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128);
    let (mut prunes, mut back) = (0, 0);
    for event in &events {
        if let Event::Prune { target, achieved, regrown, .. } = event {
            let gone = (target.unwrap() * f64::from(total) + 1e-9).floor() as i32;
            assert_eq!((achieved * f64::from(total)).round() as i32, gone, "to the last weight");
            (prunes, back) = (prunes + 1, back + regrown);
        }
    }
    assert!(prunes > 20 && back > 0, "{prunes} updates, {back} weights regrown");
    let nonzero =
        |n: &str| outcome.params.get(n).unwrap().effective().unwrap().host().iter().filter(|w| **w != 0.0).count();
    let names = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"];
    let blocks = (0..2).flat_map(|i| names.map(|n| format!("blocks.{i}.{n}.weight")));
    let left: usize = blocks.map(|n| nonzero(&n)).sum::<usize>() + nonzero("patch.weight");
    assert_eq!(left, (f64::from(total) * 0.1).ceil() as usize);
    assert!(outcome.summary.test_accuracy.unwrap() > 0.3, "{:?}", outcome.summary.test_accuracy);
}
