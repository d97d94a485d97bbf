//! Networks for other programs: each kind of model, pruned, in every form.

use std::fs;

use super::scene::Scene;

/// Exports a run in every form; each is checked by the program itself.
fn every_form(scene: &Scene, run: &str) {
    for (format, file) in [("torch", "network.py"), ("onnx", "network.onnx"), ("safetensors", "network.safetensors")] {
        let out = scene.done(&["export", run, "--format", format, "--examples", "3"]);
        assert!(out.starts_with(&format!("{run}/network.")) && out.contains("largest difference"), "{out}");
        assert!(scene.path().join(run).join(file).exists(), "{file}");
    }
    let code = scene.read(&format!("{run}/network.py"));
    assert!(!code.contains("secateur.") && code.contains("import torch\n"), "it stands alone: {code}");
}

#[test]
fn fully_connected_networks_are_exported() {
    let scene = Scene::new();
    let run = scene.run(&["--set=model.hidden=[12,8]", "--set=model.bias=true"]);
    every_form(&scene, &run);
    let code = scene.read(&format!("{run}/network.py"));
    assert!(
        code.contains("self.fc1 = nn.Linear(784, 6, bias=True)") && code.contains("self.fc2 = nn.Linear("),
        "{code}"
    );
    assert!(code.contains("(\"fc1.weight\", 0, (6, 784)),"), "{code}");
    // The graph may take what the data stores.
    let more = ["--with-preprocessing", "--out", "raw.onnx"];
    scene.done(&[&["export", &run, "--format", "onnx"][..], &more].concat());
    let exported = scene.done(&["predict", &format!("{run}/network.safetensors"), "--csv", "-"]);
    assert_eq!(
        exported,
        scene.done(&["predict", &run, "--csv", "-"]),
        "the exported weights are a network of ours too"
    );

    let (code, why) = scene.refused(&["export", &run, "--format", "onnx"]);
    assert!(code == 2 && why.contains("there is such a file") && why.contains("--force"), "{why}");
    scene.done(&["export", &run, "--format", "onnx", "--force"]);
    let (code, why) = scene.refused(&["export", &run, "--format", "torch", "--with-preprocessing"]);
    assert!(code == 2 && why.contains("does nothing here"), "{why}");
    let (code, why) = scene.refused(&["export", &run, "--format", "torch", "--out", "x.pt"]);
    assert!(code == 2 && why.contains("ends in .py"), "{why}");
    let (code, why) = scene.refused(&["export", &run, "--format", "caffe"]);
    assert!(code == 2 && why.contains("must be torch, onnx or safetensors"), "{why}");
    // Code cannot take the place of a folder: its weights, which were written first, go again.
    fs::create_dir(scene.path().join("taken.py")).unwrap();
    let (code, why) = scene.refused(&["export", &run, "--format", "torch", "--out", "taken.py", "--force"]);
    assert!(code == 1 && why.contains("taken.py"), "{why}");
    assert!(!scene.path().join("taken.bin").exists(), "half of an export");
    let left = fs::read_dir(scene.path().join(&run)).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".unfinished")), "nothing half-written");
}

#[cfg(unix)]
#[test]
fn a_runtime_that_cannot_read_the_file_is_told_in_one_line() {
    use std::os::unix::fs::PermissionsExt as _;

    let scene = Scene::new();
    let run = scene.run(&[]);
    // What an onnxruntime of before says of a newer operator set.
    let old = "#!/bin/sh\nprintf 'Traceback (most recent call last):\n  File \"<string>\", line 12\n\
               Fail: Current official support for domain ai.onnx is till opset 8.\\n' >&2\nexit 1\n";
    let python = scene.path().join("python");
    fs::write(&python, old).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let words = ["export", &run, "--format", "onnx", "--out", "network.onnx"];
    let (code, _, why) = scene.with_python(python.to_str().unwrap(), &words);
    assert!(code == 1 && why.contains("does not run in onnxruntime: Fail: Current official"), "{why}");
    assert!(why.contains("fix: ") && !why.contains("Traceback"), "{why}");
    assert!(!scene.path().join("network.onnx").exists());
}

#[test]
fn masked_weights_are_zeros() {
    let scene = Scene::new();
    let run =
        scene.run(&["--set=prune.granularity=weight", "--set=prune.apply=mask", "--set=model.activation=gelu-exact"]);
    every_form(&scene, &run);
    let header = fs::read(scene.path().join(&run).join("network.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&header[8..2000]).into_owned();
    assert!(header.contains("\"format\":\"pt\"") && !header.contains(".mask\":"), "{header}");
    for key in ["input_shape", "mean", "std", "classes", "structure"] {
        assert!(header.contains(&format!("\"{key}\":")), "{key}: {header}");
    }
}

#[test]
fn convolutions_with_and_without_batch_normalisation_are_exported() {
    let scene = Scene::new();
    for norm in ["true", "false"] {
        let norm = format!("--set=model.batch_norm={norm}");
        let small = ["--set=model.name=cnn", "--set=model.channels=[4,6]", "--set=model.hidden=[10]", &norm];
        every_form(&scene, &scene.run(&small));
    }
}

#[test]
fn vgg_and_residual_networks_are_exported() {
    let scene = Scene::new();
    scene.images("pictures");
    let data = ["--set=data.name=image-folder", "--set=data.dir=pictures", "--set=train.epochs=1"];
    for model in [
        &["--set=model.name=vgg", "--set=model.width=0.0625"][..],
        &["--set=model.name=resnet", "--set=model.depth=8", "--set=model.width=0.25"],
        &["--set=model.name=resnet", "--set=model.depth=8", "--set=model.width=0.25", "--set=model.shortcut=project"],
        &["--set=model.name=wide-resnet", "--set=model.depth=10", "--set=model.widen=1"],
    ] {
        every_form(&scene, &scene.run(&[&data[..], model].concat()));
    }
}

#[test]
fn depthwise_convolutions_are_exported_with_their_groups() {
    let scene = Scene::new();
    scene.images("pictures");
    let run = scene.run(&[
        "--set=data.name=image-folder",
        "--set=data.dir=pictures",
        "--set=train.epochs=1",
        "--set=model.name=mobilenet-v2",
        "--set=model.width=0.1",
        "--set=model.stages=3",
        "--set=model.head=16",
    ]);
    every_form(&scene, &run);
    let code = scene.read(&format!("{run}/network.py"));
    let grouped = code.lines().find(|line| line.contains("self.stage2_0_depthwise = ")).unwrap().trim();
    let channels = grouped.split(&['(', ','][..]).nth(1).unwrap();
    assert!(
        grouped.contains(&format!("nn.Conv2d({channels}, {channels}, (3, 3), stride=1, padding=1, groups={channels}"))
    );
    assert!(channels.parse::<usize>().unwrap() < 48, "some of the 48 channels are cut out: {grouped}");
    assert!(code.contains("F.relu6("), "{code}");
}

#[test]
fn transformers_are_exported_with_their_merging() {
    let scene = Scene::new();
    let small = [
        "--set=model.name=vit",
        "--set=model.dim=16",
        "--set=model.heads=2",
        "--set=model.depth=2",
        "--set=model.patch=7",
        "--set=train.optimizer=adam",
    ];
    for (how, merges) in [
        (&["--set=model.pool=class"][..], false),
        (&["--set=compressor.name=token-merging", "--set=compressor.ratio=0.6"], true),
        (&["--set=compressor={name=\"token-merging\",at=\"blocks\",r=3}", "--set=model.pool=mean"], true),
        (&["--set=compressor={name=\"token-merging\",ratio=0.4,similarity=\"content\"}"], true),
    ] {
        let run = scene.run(&[&small[..], how].concat());
        every_form(&scene, &run);
        assert_eq!(scene.read(&format!("{run}/network.py")).contains("def merge_tokens("), merges, "{how:?}");
        // The file alone says which compressor it is for.
        let (file, copy) = (format!("{run}/model.safetensors"), "alone.safetensors");
        fs::copy(scene.path().join(file), scene.path().join(copy)).unwrap();
        let data = ["--set", "data.name=glyphs", "--set", "data.glyphs={train=60,test=20}"];
        let alone = scene.done(&[&["predict", copy, "--csv", "-"][..], &data].concat());
        assert_eq!(alone, scene.done(&["predict", &run, "--csv", "-"]));
    }
}

#[test]
fn autoencoders_are_exported() {
    let scene = Scene::new();
    let small = [
        "--set=model.name=vae",
        "--set=model.channels=[4,6]",
        "--set=model.hidden=[12,10]",
        "--set=model.latent=4",
        "--set=data.normalize=unit",
        "--set=train.optimizer=adam",
    ];
    let run = scene.run(&small);
    every_form(&scene, &run);
    let (code, why) = scene.refused(&["predict", &run, "--csv", "-"]);
    assert!(code == 2 && why.contains("this network has no predictions: it has a loss of its own"), "{why}");
    assert!(scene.done(&["predict", &run]).contains("loss"));
}
