//! Pictures in the run folder and the report.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// Five epochs, pruned after epochs 2 and 4.
const SMALL: [&str; 8] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data.glyphs={train=300,test=60}",
    "--set=train.epochs=5",
    "--set=train.batch_size=60",
    "--set=schedule.first=2",
    "--set=schedule.every=2",
];
const VAE: [&str; 3] = [
    "--set=model={name=\"vae\",channels=[4,8],hidden=[30,40],latent=8}",
    "--set=data.normalize=unit",
    "--set=train.lr=0.0005",
];
const VIT: [&str; 2] = [
    "--set=model={name=\"vit\",depth=1,dim=24,heads=2,patch=7}",
    "--set=compressor={name=\"token-merging\",ratio=0.5}",
];

fn run(folder: &Path, more: &[&str]) -> PathBuf {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).env_remove("SECATEUR_DATA").env("HOME", folder).args(SMALL).args(more);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_dir(folder.join("runs")).unwrap().next().unwrap().unwrap().path()
}

fn names(run: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(run.join("pictures")) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Events that do not depend on the clock, and are not about pictures.
fn facts(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let fact = |line: &str| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().remove("seconds");
        (!["picture", "finish"].contains(&event["event"].as_str().unwrap())).then_some(event)
    };
    text.lines().filter_map(fact).collect()
}

fn expected(noun: &str) -> Vec<String> {
    let moments = ["end", "epoch-002-after", "epoch-002-before", "epoch-004-after", "epoch-004-before", "start"];
    moments.map(|moment| format!("{noun}-{moment}.png")).to_vec()
}

fn pixels(run: &Path, name: &str) -> image::RgbaImage {
    image::open(run.join("pictures").join(name)).unwrap().to_rgba8()
}

#[test]
fn reconstructions_are_files_and_part_of_the_report() {
    let here = tempfile::tempdir().unwrap();
    let run = run(here.path(), &VAE);
    assert_eq!(names(&run), expected("reconstruction"));
    let [start, before, after, end] = ["start", "epoch-002-before", "epoch-002-after", "end"]
        .map(|moment| pixels(&run, &format!("reconstruction-{moment}.png")));
    let (wide, high) = (8 * 60 - 4, 2 * 60 - 4);
    assert_eq!(start.dimensions(), (wide, high), "eight images of 28x28, twice as large, and what becomes of them");
    let half = |picture: &image::RgbaImage, top| image::imageops::crop_imm(picture, 0, top, wide, 56).to_image();
    assert_eq!(half(&start, 0), half(&end, 0), "the same images each time");
    for (one, other) in [(&start, &before), (&before, &after), (&after, &end)] {
        assert_ne!(half(one, 60), half(other, 60), "but not the same reconstructions");
    }
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert_eq!(report.matches("src=\"data:image/png;base64,iVBOR").count(), 6);
    assert_eq!(report.matches("src=").count(), 6, "nothing is fetched");
    assert!(report.contains("epoch 2, before pruning") && report.contains("epoch 4, after pruning, "), "captions");
}

#[test]
fn merged_tokens_are_files_and_part_of_the_report() {
    let here = tempfile::tempdir().unwrap();
    let run = run(here.path(), &[&VIT[..], &["--set=output.pictures=3"]].concat());
    assert_eq!(names(&run), expected("tokens"));
    let picture = pixels(&run, "tokens-end.png");
    assert_eq!(picture.dimensions(), (3 * 256 - 4, 2 * 256 - 4), "three images, nine times as large");
    let coloured = picture.rows().skip(256).flatten().filter(|p| p.0[0] != p.0[1] || p.0[1] != p.0[2]).count();
    assert!(coloured > 1000, "glyphs are gray, outlines are not: {coloured}");
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("Merged tokens") && report.contains("4 more pictures"), "the first and the last are shown");
    assert_eq!(report.matches("src=\"data:image/png;base64,iVBOR").count(), 2);
}

#[test]
fn masks_of_the_first_layer_and_the_weights_around_pruning_steps_are_part_of_the_report() {
    let here = tempfile::tempdir().unwrap();
    let masked = ["--set=prune.granularity=weight", "--set=prune.apply=mask", "--set=criterion.name=magnitude"];
    let run = run(here.path(), &masked);
    assert_eq!(names(&run), ["mask-step-000009.png", "mask-step-000019.png"]);
    let [first, last] = ["mask-step-000009.png", "mask-step-000019.png"].map(|name| pixels(&run, name));
    assert_eq!(first.dimensions(), (224, 224), "each of 28x28 pixels eight times as large");
    assert_ne!(first, last);
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert_eq!(report.matches("src=\"data:image/png;base64,iVBOR").count(), 2);
    assert!(report.contains("fc1.weight: of each pixel, from ") && report.contains("Weights around pruning steps"));
    let log = fs::read_to_string(run.join("events.jsonl")).unwrap();
    let bars = |line: &str| -> [Vec<u64>; 2] {
        let event: Value = serde_json::from_str(line).unwrap();
        ["before", "after"].map(|key| serde_json::from_value(event["weights"][key].clone()).unwrap())
    };
    for line in log.lines().filter(|line| line.starts_with(r#"{"event":"prune""#)) {
        let [before, after] = bars(line);
        let middle = |bars: &[u64]| bars[15] + bars[16];
        assert!(middle(&after) < middle(&before) && after[31] == before[31], "magnitude takes the smallest: {line}");
    }
    let bare = self::run(here.path(), &[&masked[..], &["--set=output.pictures=0", "--force"]].concat());
    assert!(!bare.join("pictures").exists());
}

#[test]
fn pictures_can_be_left_out_and_change_nothing_else() {
    for model in [&VAE[..], &VIT] {
        let (with, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (with, without) =
            (run(with.path(), model), run(without.path(), &[model, &["--set=output.pictures=0"]].concat()));
        assert_eq!((names(&with).len(), names(&without).len()), (6, 0));
        assert_eq!(with.file_name(), without.file_name(), "the same run by its hash");
        let model = |run: &Path| fs::read(run.join("model.safetensors")).unwrap();
        assert_eq!(model(&with), model(&without));
        assert_eq!(facts(&with), facts(&without));
        assert!(!fs::read_to_string(without.join("report.html")).unwrap().contains("<img"));
    }
}

#[test]
fn a_forced_run_leaves_no_picture_of_the_one_before() {
    let here = tempfile::tempdir().unwrap();
    assert_eq!(names(&run(here.path(), &VIT)).len(), 6);
    let bare = run(here.path(), &[&VIT[..], &["--set=output.pictures=0", "--force"]].concat());
    assert!(!bare.join("pictures").exists());
}
