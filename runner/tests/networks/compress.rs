//! Networks compressed and brought back.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

/// A run of a second whose single weights are pruned.
const WEIGHTS: [&str; 8] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data.glyphs={train=600,test=200}",
    "--set=train.epochs=8",
    "--set=train.batch_size=60",
    "--set=criterion.name=magnitude",
    "--set=output.pictures=0",
];
const BY_WEIGHT: [&str; 5] = [
    "--set=prune.granularity=weight",
    "--set=prune.apply=mask",
    "--set=schedule.name=one-shot",
    "--set=schedule.sparsity=0.9",
    "--set=schedule.at=0.5",
];

fn secateur(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).args(arguments).env_remove("SECATEUR_DATA").env("HOME", folder);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Carries out a run; its folder, relative to `folder`.
fn run(folder: &Path, more: &[&str]) -> PathBuf {
    let (code, _, log) = secateur(folder, &[&WEIGHTS[..], more].concat());
    assert_eq!(code, 0, "{log}");
    let run = fs::read_dir(folder.join("runs")).unwrap().next().unwrap().unwrap();
    Path::new("runs").join(run.file_name())
}

/// What `compress --json -` says.
fn compressed(folder: &Path, run: &Path, more: &[&str]) -> Value {
    let (code, out, log) =
        secateur(folder, &[&["compress", run.to_str().unwrap(), "--json", "-", "--quiet"], more].concat());
    assert_eq!(code, 0, "{log}");
    serde_json::from_str(&out).unwrap()
}

/// Puts what a compressed file holds in the place of the run's own network, and measures that.
fn measured_again(folder: &Path, run: &Path, file: &str) -> Value {
    let (code, out, log) = secateur(folder, &["decompress", file]);
    assert!(code == 0 && out.trim_end() == format!("{file}.safetensors"), "{out}{log}");
    let other = folder.join("other");
    fs::create_dir_all(&other).unwrap();
    for name in ["config.toml", "summary.json"] {
        fs::copy(folder.join(run).join(name), other.join(name)).unwrap();
    }
    fs::copy(folder.join(format!("{file}.safetensors")), other.join("model.safetensors")).unwrap();
    compressed(folder, Path::new("other"), &["--epochs", "0"])
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn what_is_compressed_and_restored_does_the_same() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let run = run(folder, &BY_WEIGHT);
    let file = run.join("model.compressed");
    let sizes = compressed(folder, &run, &["--epochs", "2", "--bits", "4,fc2=3", "--offset-bits", "fc1.weight=6"]);
    let on_disk = fs::metadata(folder.join(&file)).unwrap().len();
    let total = &sizes["total"];
    assert_eq!(number(&total["bytes_file"]), on_disk as f64);
    let rate = number(&total["bytes_dense"]) / on_disk as f64;
    assert!((number(&total["compression_rate"]) - rate).abs() < 1e-9 && rate > 15.0, "{total}");
    let order = ["bytes_dense", "bytes_pruned", "bytes_quantised", "bytes_huffman"].map(|key| number(&total[key]));
    assert!(order.windows(2).all(|pair| pair[0] > pair[1]), "{order:?}");
    let layers = sizes["layers"].as_array().unwrap();
    let column = |key: &str| layers.iter().map(|layer| layer[key].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(layers.iter().map(|l| l["name"].as_str().unwrap()).collect::<Vec<_>>().len(), 3);
    assert_eq!(column("weights_dense"), [784 * 50, 50 * 30, 30 * 10]);
    assert_eq!((column("index_bits"), column("offset_bits")), (vec![4, 3, 4], vec![6, 5, 0]));
    assert!(column("kept")[0] * 5 < 784 * 50 && column("kept")[2] == 300, "{layers:?}");
    assert!(column("shared_values").iter().zip([15, 7, 15]).all(|(found, most)| *found <= most && *found > 1));
    let accuracy = |stage: &str| number(&sizes["test"][stage]["accuracy"]);
    assert!(accuracy("pruned") > 0.5, "{sizes}");
    assert!(sizes["losses"].as_array().unwrap().len() == 2 && sizes["pruned"] == true);
    let summary: Value = serde_json::from_slice(&fs::read(folder.join(&run).join("summary.json")).unwrap()).unwrap();
    assert_eq!(accuracy("pruned"), number(&summary["test_accuracy"]));

    let again = measured_again(folder, &run, file.to_str().unwrap());
    assert_eq!(again["test"]["pruned"], sizes["test"]["trained"]);
    // The shared values are now all that there are: their clusters are themselves.
    let (code, _, log) = secateur(folder, &["decompress", file.to_str().unwrap()]);
    assert!(code == 2 && log.contains("there is such a file") && log.contains("--force"), "{log}");
    assert_eq!(secateur(folder, &["decompress", run.to_str().unwrap(), "--force"]).0, 0);
}

#[test]
fn the_table_has_every_layer_and_every_stage() {
    let here = tempfile::tempdir().unwrap();
    let run = run(here.path(), &BY_WEIGHT);
    let name = run.to_str().unwrap();
    let (code, out, log) =
        secateur(here.path(), &["compress", name, "--epochs", "1", "--out", "small", "--json", "sizes.json"]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("epoch 1 of 1 with shared weights: loss "), "{log}");
    assert!(here.path().join("small").exists() && !here.path().join(&run).join("model.compressed").exists());
    let sizes: Value = serde_json::from_slice(&fs::read(here.path().join("sizes.json")).unwrap()).unwrap();
    let shown = ["fc1.weight", "fc3.weight", "39,200", "5 / ", "not shared: biases, norms", "description", "whole"];
    for text in
        shown.into_iter().chain(["compression rate: ", " pruned, ", " quantised, ", " trained on", "test accuracy"])
    {
        assert!(out.contains(text), "{text} is not in {out}");
    }
    assert!(out.starts_with("small\n") && !out.contains("note:"), "{out}");
    assert_eq!(sizes["layers"][0]["index_bits"], 5);
    // The same command gives the same bytes.
    let before = fs::read(here.path().join("small")).unwrap();
    compressed(here.path(), &run, &["--epochs", "1", "--out", "small"]);
    assert!(before == fs::read(here.path().join("small")).unwrap());
}

#[test]
fn units_that_were_cut_out_are_counted_and_stay_out() {
    let here = tempfile::tempdir().unwrap();
    let run = run(here.path(), &["--set=schedule.first=2", "--set=schedule.every=2"]);
    let sizes = compressed(here.path(), &run, &["--epochs", "1"]);
    let first = &sizes["layers"][0];
    assert_eq!(first["weights_dense"], 784 * 50);
    assert!(number(&first["weights"]) < 784.0 * 50.0 && first["weights"] == first["kept"] && first["offset_bits"] == 0);
    assert_eq!(sizes["pruned"], true);
    let file = run.join("model.compressed");
    let again = measured_again(here.path(), &run, file.to_str().unwrap());
    assert_eq!(again["test"]["pruned"], sizes["test"]["trained"]);
}

#[test]
fn a_network_that_was_not_pruned_is_compressed_and_told_so() {
    let here = tempfile::tempdir().unwrap();
    let run = run(here.path(), &["--set=schedule.name=never"]);
    let (code, out, log) = secateur(here.path(), &["compress", run.to_str().unwrap(), "--epochs", "0"]);
    assert_eq!(code, 0, "{log}");
    assert!(out.contains("note: nothing of this network was pruned"), "{out}");
    assert!(!out.contains("trained on"), "{out}");
}

#[test]
fn an_autoencoder_is_measured_by_its_loss() {
    let here = tempfile::tempdir().unwrap();
    let vae = ["model/vae", "--set=data.normalize=unit", "--set=schedule.first=1", "--set=schedule.count=1"];
    let small = ["--set=model.hidden=[40,20]", "--set=model.latent=8", "--set=train.epochs=3", "--set=train.lr=0.0001"];
    let run = run(here.path(), &[&vae[..], &small].concat());
    let sizes = compressed(here.path(), &run, &["--epochs", "1", "--lr", "1e-7"]);
    assert!(
        sizes["test"]["pruned"]["accuracy"].is_null() && number(&sizes["test"]["trained"]["loss"]) > 0.0,
        "{sizes}"
    );
    let (code, out, log) = secateur(here.path(), &["compress", run.to_str().unwrap(), "--epochs", "0"]);
    assert!(code == 0 && out.contains("test loss: "), "{out}{log}");
}

#[test]
fn what_cannot_be_compressed_is_told_apart() {
    let here = tempfile::tempdir().unwrap();
    let folder = here.path();
    let refused = |arguments: &[&str]| {
        let (code, out, log) = secateur(folder, arguments);
        assert!(out.is_empty() && !log.contains("panicked"), "{out}{log}");
        (code, log)
    };
    let (code, log) = refused(&["compress", "nowhere"]);
    assert!(code == 2 && log.contains("nowhere: this is not the folder of a run"), "{log}");
    let run = run(folder, &BY_WEIGHT);
    let name = run.to_str().unwrap();
    let (code, log) = refused(&["compress", name, "--bits", "conv=8"]);
    assert!(code == 2 && log.contains("--bits conv=...: the network has no such layer"), "{log}");
    assert!(log.contains("fc1.weight, fc2.weight, fc3.weight"), "{log}");
    let (code, log) = refused(&["compress", name, "--bits", "13"]);
    assert!(code == 2 && log.contains("a number from 1 to 12"), "{log}");
    let (code, log) = refused(&["compress", name, "--lr", "0"]);
    assert!(code == 2 && log.contains("must be a number above 0"), "{log}");
    let (code, log) = refused(&["compress", name, "--lr", "1e30", "--quiet"]);
    assert!(code == 1 && log.contains("fix: lower --lr, which is 1e30"), "{log}");
    let (code, log) = refused(&["compress", name, "--data-dir", "elsewhere"]);
    assert!(code == 2 && log.contains("--data-dir does nothing here: \"glyphs\" reads no file"), "{log}");
    let (code, log) = refused(&["compress", name, "--lr", "0.1", "--epochs", "0"]);
    assert!(code == 2 && log.contains("--lr does nothing with --epochs 0"), "{log}");
    assert!(!folder.join(&run).join("model.compressed").exists());

    compressed(folder, &run, &["--epochs", "0"]);
    let file = folder.join(&run).join("model.compressed");
    let whole = fs::read(&file).unwrap();
    for (content, told) in [
        (&whole[..whole.len() - 1], "it is cut short"),
        (&b"PK"[..], "it does not begin as one"),
        (&[&whole[..200], &[whole[200] ^ 1], &whole[201..]].concat(), "it is damaged"),
    ] {
        fs::write(&file, content).unwrap();
        let (code, log) = refused(&["decompress", name]);
        assert!(code == 1 && log.contains(told) && log.contains("fix: compress the run again"), "{log}");
    }
    let (code, log) = refused(&["decompress", "nothing"]);
    assert!(code == 1 && log.contains("nothing: cannot read it"), "{log}");

    fs::write(folder.join(&run).join("model.safetensors"), b"no network").unwrap();
    let (code, log) = refused(&["compress", name]);
    assert!(code == 1 && log.contains("model.safetensors: this is no model.safetensors of a run"), "{log}");
    for command in ["predict", "verify", "latency"] {
        let (code, log) = refused(&[command, name]);
        assert!(code == 1 && log.contains("model.safetensors: this is no model.safetensors of a run"), "{log}");
    }
    fs::remove_file(folder.join(&run).join("model.safetensors")).unwrap();
    let (code, log) = refused(&["compress", name]);
    assert!(code == 1 && log.contains("model.safetensors: cannot read the run's network"), "{log}");
    fs::write(folder.join(&run).join("summary.json"), "{\"status\": \"failed\"}").unwrap();
    let (code, log) = refused(&["compress", name]);
    assert!(code == 2 && log.contains("this run is not finished"), "{log}");
    // What is advised can be done: nothing is left to go on from.
    assert!(log.contains("it left no checkpoint: run it again") && !log.contains("--resume"), "{log}");
}
