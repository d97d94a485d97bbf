//! What networks say of examples, what is verified of them, and how long they take.

use std::fs;

use super::scene::Scene;

/// Accuracy by the lines of a table of predictions.
fn right(csv: &str) -> (usize, usize) {
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    (rows.iter().filter(|row| row[1] == row[3]).count(), rows.len())
}

#[test]
fn predictions_are_what_the_summary_says_of_them() {
    let scene = Scene::new();
    let run = scene.run(&["--set=train.epochs=6"]);
    let summary = scene.summary(&run);
    let out = scene.done(&["predict", &run]);
    let accuracy = summary["test_accuracy"].as_f64().unwrap();
    assert!(out.contains("20 test examples") && out.contains(&format!("{accuracy:.4}  accuracy")), "{out}");
    assert!(out.contains(&format!("{:.4}  loss", summary["test_loss"].as_f64().unwrap())), "{out}");
    let csv = scene.done(&["predict", &run, "--csv", "-"]);
    assert!(csv.starts_with("example,class,probability,target\n0,"), "{csv}");
    assert_eq!(right(&csv), ((20.0 * accuracy).round() as usize, 20), "{csv}");

    // The file alone, elsewhere, when it is told the data.
    fs::copy(scene.path().join(&run).join("model.safetensors"), scene.path().join("alone.safetensors")).unwrap();
    let data = ["--set", "data.name=glyphs", "--set", "data.glyphs={train=60,test=20}"];
    let alone = scene.done(&[&["predict", "alone.safetensors", "--csv", "-"][..], &data].concat());
    assert_eq!(alone, csv);
    let (code, why) = scene.refused(&["predict", "alone.safetensors"]);
    assert!(code == 2 && why.contains("no config.toml lies beside this file") && why.contains("--data DIR"), "{why}");

    let lines = scene.done(&["predict", &run, "--jsonl", "-", "--split", "train"]);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let logits: Vec<f64> = first["logits"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let share = 1.0 / logits.iter().map(|v| (v - most).exp()).sum::<f64>();
    // Logits are told with the digits of single precision.
    assert!((first["probability"].as_f64().unwrap() - share).abs() < 1e-7, "{first}");
    assert_eq!(lines.lines().count(), 60);
    let (code, why) = scene.refused(&["predict", &run, "--split", "validation"]);
    assert!(code == 2 && why.contains("the validation split of \"glyphs\" is empty"), "{why}");
}

#[test]
fn images_of_a_folder_are_named_by_their_files() {
    let scene = Scene::new();
    scene.images("pictures");
    let data = ["--set=data.name=image-folder", "--set=data.dir=pictures", "--set=train.epochs=8"];
    let run = scene.run(&data);
    let accuracy = scene.summary(&run)["test_accuracy"].as_f64().unwrap();
    let csv = scene.done(&["predict", &run, "--data", "pictures", "--csv", "-"]);
    assert!(csv.contains("\ntest/cold/0.png,"), "{csv}");
    assert_eq!(right(&csv), ((16.0 * accuracy).round() as usize, 16));
    // Images without folders have no class to be measured by; larger ones are scaled.
    let plain = scene.path().join("plain");
    fs::create_dir(&plain).unwrap();
    let large = image::open(scene.path().join("pictures/test/warm/3.png")).unwrap();
    large.resize(80, 64, image::imageops::FilterType::Nearest).save(plain.join("large.png")).unwrap();
    let csv = scene.done(&["predict", &run, "--data", "plain", "--csv", "-"]);
    let line = csv.lines().nth(1).unwrap();
    assert!(csv.lines().count() == 2 && line.starts_with("large.png,") && line.ends_with(','), "{csv}");
    let (code, why) = scene.refused(&["predict", &run, "--data", "plain"]);
    assert!(code == 2 && why.contains("the classes of these images are not known"), "{why}");
    fs::rename(scene.path().join("pictures/test/cold"), scene.path().join("pictures/test/icy")).unwrap();
    fs::rename(scene.path().join("pictures/train/cold"), scene.path().join("pictures/train/icy")).unwrap();
    let (_, why) = scene.refused(&["predict", &run, "--data", "pictures"]);
    assert!(why.contains("the folder \"icy\" is no class of the network: cold, warm"), "{why}");
}

#[test]
fn data_of_another_shape_or_other_classes_are_refused() {
    let scene = Scene::new();
    scene.images("pictures");
    let run = scene.run(&[]);
    let (code, why) =
        scene.refused(&["predict", &run, "--set", "data.name=image-folder", "--set", "data.dir=pictures"]);
    assert!(code == 2 && why.contains("[3, 32, 32]") && why.contains("[1, 28, 28]"), "{why}");
    let (code, why) = scene.refused(&["predict", &run, "--set", "train.lr=1"]);
    assert!(code == 2 && why.contains("only values of the section [data]"), "{why}");
    let (code, why) = scene.refused(&["predict", "nowhere.safetensors"]);
    assert!(code == 2 && why.contains("cannot read the network"), "{why}");
    fs::write(scene.path().join("other.safetensors"), b"not a network").unwrap();
    let (code, why) = scene.refused(&["predict", "other.safetensors", "--set", "data.name=glyphs"]);
    assert!(code == 1 && why.contains("other.safetensors: this is no model.safetensors of a run"), "{why}");
}

#[test]
fn figures_are_computed_again_and_every_difference_is_told() {
    let scene = Scene::new();
    for how in [
        &["--set=model.name=cnn", "--set=model.channels=[4]", "--set=model.hidden=[12]"][..],
        &["--set=prune.granularity=weight", "--set=prune.apply=mask", "--set=seed=3"],
    ] {
        let run = scene.run(how);
        let out = scene.done(&["verify", &run]);
        assert!(!out.contains("differs") && out.contains("macs_kept"), "{out}");
        let both: serde_json::Value = serde_json::from_str(&scene.done(&["verify", &run, "--json", "-"])).unwrap();
        let summary = scene.summary(&run);
        for key in ["test_accuracy", "sparsity", "unit_sparsity", "params_dense", "params_kept", "macs_dense", "nnz"] {
            assert_eq!(both[key][0], summary[key], "{key}");
        }
    }
    let run = scene.run(&["--set=seed=5"]);
    // Another network in its place: as large, but not this one.
    let other = scene.run(&["--set=seed=6", "--set=schedule.sparsity=0.4"]);
    fs::copy(scene.path().join(&other).join("model.safetensors"), scene.path().join(&run).join("model.safetensors"))
        .unwrap();
    let (code, out, why) = scene.secateur(&["verify", &run]);
    assert!(code == 1 && why.contains("figures differ"), "{why}");
    let line = |name: &str| out.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("params_kept").ends_with("differs") && !line("params_dense").ends_with("differs"), "{out}");
}

#[test]
fn a_smaller_network_is_timed_beside_the_one_it_was() {
    let scene = Scene::new();
    let wide = ["--set=model.hidden=[400,400]", "--set=schedule.sparsity=0.9", "--set=data.glyphs={train=20,test=10}"];
    let run = scene.run(&wide);
    let out = scene.done(&["latency", &run, "--batch", "16", "--threads", "1", "--json", "-"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let timed = &told["timed"][0];
    assert!(timed["batch"] == 16 && timed["threads"] == 1 && timed["readings"].as_u64().unwrap() >= 11, "{told}");
    assert!(timed["speedup"].as_f64().unwrap() > 1.5, "nine of ten units are gone: {told}");
    let [lower, median, upper] = ["lower", "median", "upper"].map(|key| timed["network"][key].as_f64().unwrap());
    assert!(0.0 < lower && lower <= median && median <= upper, "{told}");
    let model = format!("{run}/model.safetensors");
    let out = scene.done(&["latency", &run, "--vs", &model, "--batch", "1,4"]);
    assert_eq!(out.lines().count(), 4, "{out}");
    for batch in ["1000000000000", "18446744073709551615"] {
        let (code, why) = scene.refused(&["latency", &run, "--batch", batch]);
        assert!(code == 2 && why.contains(&format!("--batch {batch}: a batch of inputs with 784 values")), "{why}");
        assert!(why.contains("fix: give 171196 at most"), "{why}");
    }
    let (code, why) = scene.refused(&["latency", &run, "--threads", "5000"]);
    assert!(code == 2 && why.contains("at most 1024"), "{why}");
}

#[test]
fn numbers_are_told_beside_those_of_the_data_and_give_the_summarys_r2() {
    let scene = Scene::new();
    let data = ["--set=data.name=index-model", "--set=data.index-model={train=200,test=40}", "--set=train.epochs=5"];
    let learns = ["--set=train.loss=squared-error", "--set=data.normalize=none", "--set=train.lr=0.02"];
    let run = scene.run(&[&data[..], &learns].concat());
    let csv = scene.done(&["predict", &run, "--csv", "-"]);
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("example,value,target"), "{csv}");
    let rows: Vec<[f64; 2]> = lines
        .map(|line| {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            [fields[1], fields[2]]
        })
        .collect();
    assert_eq!(rows.len(), 40);
    // 1 less what is left of the sum of squares around the mean.
    let mean = rows.iter().map(|row| row[1]).sum::<f64>() / 40.0;
    let left: f64 = rows.iter().map(|[value, target]| (value - target).powi(2)).sum();
    let whole: f64 = rows.iter().map(|[_, target]| (target - mean).powi(2)).sum();
    let told = scene.summary(&run)["test_r2"].as_f64().unwrap();
    assert!((told - (1.0 - left / whole)).abs() < 1e-5, "{told} {left} {whole}");
    let lines = scene.done(&["predict", &run, "--jsonl", "-"]);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["value"], first["logits"][0], "{first}");
    assert!((first["target"].as_f64().unwrap() - rows[0][1]).abs() < 1e-6, "{first}");
}
