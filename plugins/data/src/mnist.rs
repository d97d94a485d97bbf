//! MNIST: four IDX files of handwritten digits, and the reader of every set in this form.

use crate::idx::{self, Idx};
use secateur::data::SourceFile;
use secateur::prelude::*;
use std::path::Path;

/// A data set in the form of MNIST.
pub(crate) struct Family {
    pub name: &'static str,
    /// The folder that its files usually lie in.
    pub folders: &'static [&'static str],
    pub classes: [&'static str; 10],
    /// How to get the files.
    pub get: &'static str,
}

const MNIST: Family = Family {
    name: "mnist",
    folders: &["mnist"],
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    get: "Download the four files (.gz or unpacked) from https://ossci-datasets.s3.amazonaws.com/mnist/",
};

/// The four files: training images and labels, test images and labels.
const FILES: [&str; 4] = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"];

const DAMAGED: &str = "get this file anew";
const MIXED: &str = "put the four files of one data set into the folder";

options! {
    /// There is nothing to choose.
    pub struct Mnist {}
}

impl DataSource for Mnist {
    fn files(&self) -> Option<DataFiles> {
        Some(MNIST.files())
    }

    fn open(&self, folders: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        MNIST.open(folders)
    }
}

secateur::register!(Data, "mnist", Mnist, "handwritten digits, 28x28 grey, 10 classes, 60000 + 10000");

impl Family {
    pub(crate) fn files(&self) -> DataFiles {
        DataFiles { name: self.name, folders: self.folders, files: FILES.map(names).to_vec(), get: self.get }
    }

    pub(crate) fn open(&self, folders: &Folders) -> Result<Examples> {
        let found = folders.find(&self.files())?;
        let [train_images, train_labels, test_images, test_labels] = &found.paths[..] else {
            return Err(Error::Other(format!("{} files were found, not four", found.paths.len())));
        };
        let pairs = rayon::join(|| self.pair(train_images, train_labels), || self.pair(test_images, test_labels));
        let ((train, extents, train_files), (test, test_extents, test_files)) = (pairs.0?, pairs.1?);
        if extents != test_extents {
            let first = train_images.display();
            let problem = format!("its images are {test_extents:?} pixels, those of {first} {extents:?}");
            return Err(damaged(test_images, problem, MIXED));
        }
        Ok(Examples {
            name: self.name.to_string(),
            shape: vec![1, extents[0], extents[1]],
            class_names: self.classes.map(str::to_string).to_vec(),
            train,
            validation: None,
            test: TestExamples::Own(test),
            origin: DataOrigin::Files([train_files, test_files].concat()),
            searched: found.searched,
        })
    }

    /// Reads one split: its images and labels, their extents, and the files.
    fn pair(&self, images: &Path, labels: &Path) -> Result<(Pool, [usize; 2], [SourceFile; 2])> {
        let (image_read, label_read) = rayon::join(|| read(images), || read(labels));
        let ((image_array, image_file), (label_array, label_file)) = (image_read?, label_read?);
        let (pool, extents) = join(image_array, images, label_array, labels, self.classes.len())?;
        Ok((pool, extents, [image_file, label_file]))
    }
}

/// Both ways of writing the name, plain before gzipped.
fn names(stem: &str) -> Vec<String> {
    let dotted = stem.replace("-idx", ".idx");
    [stem, &dotted].iter().flat_map(|s| [format!("{s}-ubyte"), format!("{s}-ubyte.gz")]).collect()
}

fn read(path: &Path) -> Result<(Idx, SourceFile)> {
    let (bytes, file) = SourceFile::read(path)?;
    let array = idx::parse(&bytes).map_err(|error| damaged(path, error, DAMAGED))?;
    Ok((array, file))
}

fn damaged(path: &Path, problem: impl std::fmt::Display, fix: &str) -> Error {
    Error::file(path, format!("{problem}; {fix}"))
}

/// Images and their labels as a pool, with the images' height and width.
fn join(images: Idx, at: &Path, labels: Idx, labels_at: &Path, classes: usize) -> Result<(Pool, [usize; 2])> {
    let wrong = |path: &Path, found: &[usize], what: &str, expected: &str| {
        let problem = format!("it holds an array of extents {found:?}, not {what} [{expected}]");
        Err(damaged(path, problem, "check that the files have not been swapped or renamed"))
    };
    let [count, height, width] = images.dims[..] else {
        return wrong(at, &images.dims, "images", "count, height, width");
    };
    let [label_count] = labels.dims[..] else {
        return wrong(labels_at, &labels.dims, "labels", "count");
    };
    if count == 0 || height == 0 || width == 0 {
        return Err(damaged(at, format!("it holds no pixels: its extents are {:?}", images.dims), DAMAGED));
    }
    if label_count != count {
        let problem = format!("it holds {label_count} labels for the {count} images of {}", at.display());
        return Err(damaged(labels_at, problem, MIXED));
    }
    if let Some(i) = labels.data.iter().position(|&label| usize::from(label) >= classes) {
        let problem = format!("label {i} is {}, but the classes are 0 to {}", labels.data[i], classes - 1);
        return Err(damaged(labels_at, problem, DAMAGED));
    }
    let targets = labels.data.into_iter().map(u32::from).collect();
    Ok((Pool::bytes(images.data, targets), [height, width]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idx::tests::{gzip, idx};
    use crate::testing::{in_folder, real};
    use secateur::data::DataConfig;
    use std::fs;
    use tempfile::TempDir;

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
        let text = in_folder(&Mnist {}, dir.path()).unwrap_err().to_string();
        assert!(text.contains(file), "{file} is not named: {text}");
        text
    }

    #[test]
    fn both_namings_plain_and_gzipped_load() {
        let dir = folder();
        let examples = in_folder(&Mnist {}, dir.path()).unwrap();
        assert_eq!(examples.shape, [1, 2, 2]);
        assert_eq!(*examples.train.targets, [0, 1, 9]);
        let TestExamples::Own(test) = examples.test else { panic!("MNIST has its own test set") };
        assert_eq!(*test.targets, [3, 4]);
        assert_eq!(examples.searched.len(), 1);
        let DataOrigin::Files(files) = examples.origin else { panic!("MNIST comes from files") };
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
        let text = in_folder(&Mnist {}, dir.path()).unwrap_err().to_string();
        assert!(text.contains("lacks train-labels-idx1-ubyte"), "{text}");
    }

    #[test]
    fn the_real_set_has_its_published_statistics() {
        let Some(dir) = real("mnist") else { return };
        let examples = in_folder(&Mnist {}, &dir).unwrap();
        assert_eq!(examples.shape, [1, 28, 28]);
        let found = examples.statistics().unwrap();
        assert!((found.mean[0] - 0.1307).abs() < 5e-5, "{found:?}");
        assert!((found.std[0] - 0.3081).abs() < 5e-5, "{found:?}");
        let data = examples.dataset(&DataConfig::default(), 0).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
        let counts = data.train.class_counts(10);
        assert_eq!(counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        assert_eq!(data.test.class_counts(10), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        let DataOrigin::Files(files) = &data.origin else { panic!("MNIST comes from files") };
        assert!(files.iter().all(|file| file.sha256.len() == 64), "{files:?}");
    }
}
