//! What people get wrong with images and image models: one message that names the file or the key, and no panic.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A run on the folder `images`, of two seconds if it came to that.
const RUN: [&str; 7] = [
    "run",
    "experiment/quickstart",
    "--quiet",
    "--set=data={name=\"image-folder\",dir=\"images\",normalize=\"unit\",validation=0}",
    "--set=train.epochs=2",
    "--set=schedule.first=1",
    "--set=prune.apply=mask",
];

fn picture(folder: &Path, name: &str, width: u32, height: u32) {
    let path = folder.join("images").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9])).save(path).unwrap();
}

/// Two classes of 8x8 images.
fn images() -> TempDir {
    let here = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        for class in ["ant", "bee"] {
            (0..3).for_each(|i| picture(here.path(), &format!("{part}/{class}/{i}.png"), 8, 8));
        }
    }
    here
}

/// The one error of a run that fails with this exit code.
fn refused(folder: &Path, more: &[&str], code: i32) -> String {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).env_remove("SECATEUR_DATA").env("HOME", folder).env_remove("XDG_CACHE_HOME");
    let output = command.args(RUN).args(more).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.starts_with("error: ") && errors.matches("error:").count() == 1, "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

fn names(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "missing {part:?} in: {error}");
    }
}

fn accepted(folder: &Path, more: &[&str]) {
    let mut command = Command::cargo_bin("secateur").unwrap();
    command.current_dir(folder).env_remove("SECATEUR_DATA").env("HOME", folder).env_remove("XDG_CACHE_HOME");
    command.args(RUN).args(more).assert().success();
}

#[test]
fn nothing_is_wrong_before_it_is_made_wrong() {
    let here = images();
    for model in ["{name=\"vit\",dim=24,heads=3,patch=4,depth=1}", "{name=\"vae\",channels=[4],hidden=[8],latent=2}"] {
        accepted(here.path(), &[&format!("--set=model={model}")]);
    }
}

#[test]
fn an_image_that_cannot_be_decoded_is_named() {
    let here = images();
    let whole = fs::read(here.path().join("images/train/ant/0.png")).unwrap();
    for (name, bytes) in [("train/bee/x.jpg", &b"no image"[..]), ("test/ant/cut.png", &whole[..whole.len() / 2])] {
        let path = here.path().join("images").join(name);
        fs::write(&path, bytes).unwrap();
        let error = refused(here.path(), &[], 1);
        names(&error, &[name, "cannot be decoded as JPEG or PNG", "replace or remove this image"]);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_class_folder_with_no_images_is_named() {
    let here = images();
    fs::create_dir(here.path().join("images/train/cow")).unwrap();
    fs::write(here.path().join("images/train/cow/list.txt"), "none yet").unwrap();
    names(&refused(here.path(), &[], 1), &["images/train/cow: it holds no images", ".png", "remove it"]);
}

#[test]
fn an_image_of_another_size_is_named_unless_all_are_scaled() {
    let here = images();
    picture(here.path(), "train/bee/9.png", 10, 7);
    let error = refused(here.path(), &[], 1);
    names(&error, &["train/bee/9.png", "7x10", "8x8", "data.image-folder.size"]);
    accepted(here.path(), &["--set=data.image-folder.size=8"]);
}

#[test]
fn a_cifar_file_of_the_wrong_length_is_named() {
    let here = tempfile::tempdir().unwrap();
    let record = [&[3_u8][..], &[7; 3072]].concat();
    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        fs::write(here.path().join(format!("{name}.bin")), [&record[..], &record].concat()).unwrap();
    }
    fs::write(here.path().join("data_batch_4.bin"), &record[..3000]).unwrap();
    let set = "--set=data={name=\"cifar10\",dir=\".\",normalize=\"unit\",validation=0}";
    names(&refused(here.path(), &[set], 1), &["data_batch_4.bin", "3000 bytes", "multiple of 3073"]);
}

#[test]
fn models_that_do_not_fit_their_options_or_the_images_name_the_key() {
    let here = images();
    for (model, parts) in [
        ("{name=\"vit\",dim=25,heads=3,patch=4}", &["model.heads", "3", "must divide `dim`, which is 25"][..]),
        ("{name=\"vit\",dim=24,heads=0,patch=4}", &["model.heads", "0", "must divide `dim`"]),
        ("{name=\"vit\",dim=24,heads=3,patch=3}", &["model.patch", "3", "must divide the image, which is 8x8"]),
        ("{name=\"vit\",dim=24,heads=3,patch=0}", &["model.patch", "0", "must be a number of at least 1"]),
        ("{name=\"vae\",channels=[4,4,4,4]}", &["model.channels", "[4, 4, 4, 4]", "8x8 cannot be divided by 16"]),
        ("{name=\"vae\",channels=[]}", &["model.channels", "[]", "at least one layer"]),
        ("{name=\"cnn\",channels=[4,4,4,4]}", &["model.channels", "8x8 allows at most 3"]),
        ("{name=\"vgg\"}", &["8x8 is smaller than 32x32", "fix: ", "data.image-folder.size = 32"]),
        ("{name=\"mlp\",hidden=[]}", &["nothing may be pruned", "no unit group", "fix: ", "model.hidden"]),
    ] {
        names(&refused(here.path(), &[&format!("--set=model={model}")], 2), parts);
    }
    let glyphs = "--set=data={name=\"cubist-spiral\",normalize=\"standard\"}";
    let error = refused(here.path(), &[glyphs, "--set=model={name=\"vit\"}"], 2);
    names(&error, &["this model needs images [channels, height, width]", "[2]"]);
}

#[test]
fn a_merging_ratio_outside_its_range_names_its_key_and_who_set_it() {
    let here = images();
    for (options, found) in [("ratio=1.0", "1"), ("ratio=-0.1", "-0.1"), ("ratio=0.0,reading=\"kept\"", "0")] {
        let set = format!("--set=compressor={{name=\"token-merging\",{options}}}");
        let error = refused(here.path(), &[&set, "--set=model={name=\"vit\",patch=4}"], 2);
        names(&error, &["compressor.ratio", "set by: --set", &format!("found: {found}"), "at least 0 and below 1"]);
    }
}
