//! MNIST and its drop-in replacements: four IDX files.

use std::path::Path;

use super::dataset::{Origin, SourceFile};
use super::error::{DataError, Place};
use super::file;
use super::idx::{self, Idx};
use super::locate::{Surroundings, Wanted};
use super::split::{Pool, Source, TestSource};

/// A data set in the form of MNIST.
pub(super) struct Family {
    pub name: &'static str,
    pub classes: [&'static str; 10],
    pub get: &'static str,
}

pub(super) const MNIST: Family = Family {
    name: "mnist",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    get: "Download the four files (.gz or unpacked) from https://ossci-datasets.s3.amazonaws.com/mnist/",
};

pub(super) const FASHION: Family = Family {
    name: "fashion-mnist",
    classes: ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"],
    get: "Install Debian's package dataset-fashion-mnist, or download the four files from \
          https://github.com/zalandoresearch/fashion-mnist/tree/master/data/fashion",
};

/// The four files: training images and labels, test images and labels.
pub(super) const FILES: [&str; 4] = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];

const DAMAGED: &str = "get this file anew";

pub(super) fn load(
    family: &Family,
    dir: Option<&Path>,
    around: &Surroundings,
) -> Result<(Source, Vec<Place>), DataError> {
    let files = FILES.map(names);
    let wanted = Wanted { name: family.name, folders: &[family.name], files: &files, get: family.get };
    let (paths, places) = around.find(dir, &wanted)?;
    let (train, test) = rayon::join(|| pair(family, &paths[0], &paths[1]), || pair(family, &paths[2], &paths[3]));
    let ((train, extents, train_files), (test, test_extents, test_files)) = (train?, test?);
    if extents != test_extents {
        let problem = format!("its images are {test_extents:?} pixels, those of {} {extents:?}", paths[0].display());
        return Err(DataError::content(&paths[2], problem, "put the four files of one data set into the folder"));
    }
    let source = Source {
        shape: vec![1, extents[0], extents[1]],
        class_names: family.classes.map(str::to_owned).to_vec(),
        train,
        validation: None,
        test: TestSource::Own(test),
        origin: Origin::Files([train_files, test_files].concat()),
    };
    Ok((source, places))
}

/// Both ways of writing the name, plain before gzipped.
fn names(stem: &str) -> Vec<String> {
    let dotted = stem.replace("-idx", ".idx");
    [stem, &dotted].iter().flat_map(|s| [format!("{s}-ubyte"), format!("{s}-ubyte.gz")]).collect()
}

/// Reads one split: its images and labels, their extents, and the files.
fn pair(family: &Family, images: &Path, labels: &Path) -> Result<(Pool, [usize; 2], [SourceFile; 2]), DataError> {
    let ((image_array, image_file), (label_array, label_file)) = match rayon::join(|| read(images), || read(labels)) {
        (Ok(image), Ok(label)) => (image, label),
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let (pool, extents) = join(image_array, images, label_array, labels, family.classes.len())?;
    Ok((pool, extents, [image_file, label_file]))
}

fn read(path: &Path) -> Result<(Idx, SourceFile), DataError> {
    let (bytes, source) = file::read(path)?;
    let array = idx::parse(&bytes).map_err(|error| DataError::content(path, error.to_string(), DAMAGED))?;
    Ok((array, source))
}

fn join(
    images: Idx,
    at: &Path,
    labels: Idx,
    labels_at: &Path,
    classes: usize,
) -> Result<(Pool, [usize; 2]), DataError> {
    let wrong = |path: &Path, found: &[usize], what: &str, expected: &str| {
        let problem = format!("it holds an array of extents {found:?}, not {what} [{expected}]");
        Err(DataError::content(path, problem, "check that the files have not been swapped or renamed"))
    };
    let [count, height, width] = images.dims[..] else {
        return wrong(at, &images.dims, "images", "count, height, width");
    };
    let [label_count] = labels.dims[..] else {
        return wrong(labels_at, &labels.dims, "labels", "count");
    };
    if count == 0 || height == 0 || width == 0 {
        return Err(DataError::content(at, format!("it holds no pixels: its extents are {:?}", images.dims), DAMAGED));
    }
    if label_count != count {
        let problem = format!("it holds {label_count} labels for the {count} images of {}", at.display());
        return Err(DataError::content(labels_at, problem, "put the four files of one data set into the folder"));
    }
    if let Some(i) = labels.data.iter().position(|&label| usize::from(label) >= classes) {
        let problem = format!("label {i} is {}, but the classes are 0 to {}", labels.data[i], classes - 1);
        return Err(DataError::content(labels_at, problem, DAMAGED));
    }
    let targets = labels.data.into_iter().map(u32::from).collect();
    Ok((Pool::bytes(images.data, targets), [height, width]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use tempfile::TempDir;

    use super::super::idx::tests::{gzip, idx};
    use super::*;

    /// Four files with 3 training and 2 test images of 2 x 2 pixels.
    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
        write("train-images-idx3-ubyte", idx(&[3, 2, 2], &[7; 12]));
        write("train-labels.idx1-ubyte", idx(&[3], &[0, 1, 9]));
        write("t10k-images-idx3-ubyte.gz", gzip(&idx(&[2, 2, 2], &[5; 8])));
        write("t10k-labels.idx1-ubyte.gz", gzip(&idx(&[2], &[3, 4])));
        dir
    }

    fn refused(dir: &TempDir, file: &str, bytes: &[u8]) -> String {
        fs::write(dir.path().join(file), bytes).unwrap();
        let error = load(&MNIST, Some(dir.path()), &Surroundings::default()).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(file), "{file} is not named: {text}");
        text
    }

    #[test]
    fn both_namings_plain_and_gzipped_load() {
        let dir = folder();
        let (source, places) = load(&MNIST, Some(dir.path()), &Surroundings::default()).unwrap();
        assert_eq!(source.shape, [1, 2, 2]);
        assert_eq!(source.train.targets, [0, 1, 9]);
        let TestSource::Own(test) = source.test else { panic!("MNIST has its own test set") };
        assert_eq!(test.targets, [3, 4]);
        assert_eq!(places.len(), 1);
        let Origin::Files(files) = source.origin else { panic!("MNIST comes from files") };
        let bytes = fs::read(dir.path().join("train-images-idx3-ubyte")).unwrap();
        assert_eq!(files[0].bytes, bytes.len() as u64);
        assert_eq!(files[0].sha256.len(), 64);
    }

    #[test]
    fn contents_that_do_not_fit_are_refused() {
        let text = refused(&folder(), "train-images-idx3-ubyte", &idx(&[3, 2, 2], &[7; 11]));
        assert!(text.contains("11 of the 12 bytes"), "{text}");
        let text = refused(&folder(), "train-labels.idx1-ubyte", &idx(&[4], &[0; 4]));
        assert!(text.contains("4 labels for the 3 images"), "{text}");
        let text = refused(&folder(), "train-labels.idx1-ubyte", &idx(&[3], &[0, 10, 0]));
        assert!(text.contains("label 1 is 10"), "{text}");
        let text = refused(&folder(), "train-images-idx3-ubyte", &idx(&[12], &[7; 12]));
        assert!(text.contains("swapped"), "{text}");
        let text = refused(&folder(), "t10k-images-idx3-ubyte.gz", &idx(&[2, 2, 3], &[5; 12]));
        assert!(text.contains("[2, 3] pixels"), "{text}");
        let text = refused(&folder(), "t10k-images-idx3-ubyte.gz", b"not found");
        assert!(text.contains("not an IDX file"), "{text}");
        let text = refused(&folder(), "train-images-idx3-ubyte", &idx(&[0, 2, 2], &[]));
        assert!(text.contains("no pixels"), "{text}");
    }

    #[test]
    fn half_a_set_names_what_is_missing() {
        let dir = folder();
        fs::remove_file(dir.path().join("train-labels.idx1-ubyte")).unwrap();
        let text = load(&MNIST, Some(dir.path()), &Surroundings::default()).err().unwrap().to_string();
        assert!(text.contains("lacks train-labels-idx1-ubyte"), "{text}");
    }
}
