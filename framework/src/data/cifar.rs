//! CIFAR-10 and CIFAR-100 in their binary form.
//!
//! Records without a header: the label (CIFAR-100: the coarse label, then the fine one), then 32x32 bytes of red, of
//! green and of blue (<https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::dataset::{Origin, SourceFile};
use super::error::{DataError, Place};
use super::file;
use super::locate::{Surroundings, Wanted};
use super::split::{Pool, Source, TestSource};

/// Bytes of one image.
const PIXELS: usize = 3 * 32 * 32;

pub(super) const FILES_10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
pub(super) const FILES_100: [&str; 2] = ["train.bin", "test.bin"];
pub(super) const GET_10: &str = "Download the binary version, cifar-10-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it";
pub(super) const GET_100: &str = "Download the binary version, cifar-100-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it";

const NAMES_10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Options of `cifar100` (`[data.cifar100]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cifar100Options {
    /// Which of the two labels of an image is its class.
    pub labels: Cifar100Labels,
}

/// The two labels that each CIFAR-100 image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cifar100Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 groups of five classes.
    Coarse,
}

/// How the labels in front of an image are read.
#[derive(Clone, Copy)]
struct Labels {
    /// Bytes in front of the image.
    count: usize,
    /// Which of them is the class.
    at: usize,
    classes: usize,
}

pub(super) fn load_10(dir: Option<&Path>, around: &Surroundings) -> Result<(Source, Vec<Place>), DataError> {
    let files = FILES_10.map(|name| vec![name.to_owned()]);
    let folders = ["cifar-10-batches-bin", "cifar10"];
    let (paths, places) =
        around.find(dir, &Wanted { name: "cifar10", folders: &folders, files: &files, get: GET_10 })?;
    let names = NAMES_10.map(str::to_owned).to_vec();
    Ok((load(&paths, Labels { count: 1, at: 0, classes: 10 }, names)?, places))
}

pub(super) fn load_100(
    options: Cifar100Options,
    dir: Option<&Path>,
    around: &Surroundings,
) -> Result<(Source, Vec<Place>), DataError> {
    let files = FILES_100.map(|name| vec![name.to_owned()]);
    let folders = ["cifar-100-binary", "cifar100"];
    let (paths, places) =
        around.find(dir, &Wanted { name: "cifar100", folders: &folders, files: &files, get: GET_100 })?;
    let (labels, list) = match options.labels {
        Cifar100Labels::Fine => (Labels { count: 2, at: 1, classes: 100 }, "fine_label_names.txt"),
        Cifar100Labels::Coarse => (Labels { count: 2, at: 0, classes: 20 }, "coarse_label_names.txt"),
    };
    let names = class_names(&paths[0].with_file_name(list), labels.classes);
    Ok((load(&paths, labels, names)?, places))
}

/// All but the last file are for training.
fn load(paths: &[PathBuf], labels: Labels, class_names: Vec<String>) -> Result<Source, DataError> {
    let read: Vec<Result<_, DataError>> = paths.par_iter().map(|path| read(path, labels)).collect();
    let mut files = Vec::new();
    let mut pools = Vec::new();
    for result in read {
        let (pixels, targets, file) = result?;
        files.push(file);
        pools.push((pixels, targets));
    }
    let test = pools.split_off(paths.len() - 1);
    let join = |pools: Vec<(Vec<u8>, Vec<u32>)>| {
        let (pixels, targets): (Vec<_>, Vec<_>) = pools.into_iter().unzip();
        Pool::bytes(pixels.concat(), targets.concat())
    };
    Ok(Source {
        shape: vec![3, 32, 32],
        class_names,
        train: join(pools),
        validation: None,
        test: TestSource::Own(join(test)),
        origin: Origin::Files(files),
    })
}

fn read(path: &Path, labels: Labels) -> Result<(Vec<u8>, Vec<u32>, SourceFile), DataError> {
    let (bytes, file) = file::read(path)?;
    let record = labels.count + PIXELS;
    if bytes.is_empty() || bytes.len() % record != 0 {
        let problem =
            format!("it is {} bytes long, which is not a multiple of {record}, the size of a record", bytes.len());
        return Err(DataError::content(path, problem, "it is cut short or of another format: get this file anew"));
    }
    let records = bytes.chunks_exact(record);
    let targets: Vec<u32> = records.clone().map(|record| u32::from(record[labels.at])).collect();
    if let Some(i) = targets.iter().position(|&target| target as usize >= labels.classes) {
        let problem =
            format!("the label of record {i} is {}, but the classes are 0 to {}", targets[i], labels.classes - 1);
        return Err(DataError::content(path, problem, "it is damaged or of another format: get this file anew"));
    }
    let mut pixels = Vec::with_capacity(targets.len() * PIXELS);
    records.for_each(|record| pixels.extend_from_slice(&record[labels.count..]));
    Ok((pixels, targets, file))
}

/// The names that come with the set; without them, numbers.
fn class_names(list: &Path, classes: usize) -> Vec<String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tempfile::TempDir;

    use super::super::config::DataConfig;
    use super::super::dataset::{Part, Values};
    use super::*;

    /// A record whose red, green and blue are `fill`, `fill + 1` and `fill + 2`.
    fn record(labels: &[u8], fill: u8) -> Vec<u8> {
        [labels.to_vec(), vec![fill; 1024], vec![fill + 1; 1024], vec![fill + 2; 1024]].concat()
    }

    fn cifar10() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cifar-10-batches-bin");
        fs::create_dir(&folder).unwrap();
        for (i, name) in FILES_10.iter().enumerate() {
            let label = i as u8;
            fs::write(folder.join(name), [record(&[label], 10 * label), record(&[9], 100)].concat()).unwrap();
        }
        dir
    }

    fn refused(bytes: &[u8]) -> String {
        let dir = cifar10();
        fs::write(dir.path().join("cifar-10-batches-bin/data_batch_3.bin"), bytes).unwrap();
        let text = load_10(Some(dir.path()), &Surroundings::default()).err().unwrap().to_string();
        assert!(text.contains("data_batch_3.bin"), "{text}");
        text
    }

    #[test]
    fn batches_are_joined_in_order_with_planes_kept() {
        let dir = cifar10();
        let (source, _) = load_10(Some(dir.path()), &Surroundings::default()).unwrap();
        assert_eq!(source.train.targets, [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        let Values::U8(values) = &source.train.values else { panic!("images are bytes") };
        assert_eq!([values[2 * PIXELS], values[2 * PIXELS + 1024], values[2 * PIXELS + 2048]], [10, 11, 12]);
        let set = source.dataset(&DataConfig::default(), 0).unwrap();
        assert_eq!(set.part(Part::Test).targets().collect::<Vec<_>>(), [5, 9]);
        assert_eq!(set.class_names[9], "truck");
    }

    #[test]
    fn cifar100_reads_the_label_that_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train.bin"), [record(&[3, 70], 5), record(&[19, 99], 6)].concat()).unwrap();
        fs::write(dir.path().join("test.bin"), record(&[0, 1], 7)).unwrap();
        let twenty: Vec<String> = (0..20).map(|i| format!("group{i}")).collect();
        fs::write(dir.path().join("coarse_label_names.txt"), twenty.join("\n") + "\n\n").unwrap();
        let load = |labels| load_100(Cifar100Options { labels }, Some(dir.path()), &Surroundings::default()).unwrap().0;
        let fine = load(Cifar100Labels::Fine);
        assert_eq!(fine.train.targets, [70, 99]);
        assert_eq!((fine.class_names.len(), fine.class_names[99].as_str()), (100, "99"));
        let coarse = load(Cifar100Labels::Coarse);
        assert_eq!(coarse.train.targets, [3, 19]);
        assert_eq!((coarse.class_names.len(), coarse.class_names[19].as_str()), (20, "group19"));
    }

    #[test]
    fn wrong_length_names_file_length_and_multiple() {
        let text = refused(&record(&[1], 1)[..3000]);
        assert!(text.contains("3000 bytes") && text.contains("multiple of 3073"), "{text}");
        assert!(refused(&[]).contains("0 bytes"));
    }

    #[test]
    fn label_out_of_range_names_its_record() {
        let text = refused(&[record(&[1], 1), record(&[10], 1)].concat());
        assert!(text.contains("record 1 is 10"), "{text}");
    }

    #[test]
    fn option_is_fine_or_coarse() {
        let read = |text: &str| toml::from_str::<DataConfig>(text).map(|c| c.cifar100.labels);
        assert_eq!(read("[cifar100]\nlabels = \"coarse\"").unwrap(), Cifar100Labels::Coarse);
        assert!(read("[cifar100]\nlabels = \"rough\"").unwrap_err().to_string().contains("`fine` or `coarse`"));
    }
}
