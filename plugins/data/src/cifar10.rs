//! CIFAR-10 in its binary form: 60,000 photographs of ten kinds of things.

use crate::cifar::{self, Labels};
use secateur::prelude::*;

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const GET: &str = "Download the binary version, cifar-10-binary.tar.gz, from \
                   https://www.cs.toronto.edu/~kriz/cifar.html and unpack it";

options! {
    /// There is nothing to choose.
    pub struct Cifar10 {}
}

impl DataSource for Cifar10 {
    fn files(&self) -> Option<DataFiles> {
        Some(files())
    }

    fn open(&self, folders: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let labels = Labels { count: 1, at: 0, classes: CLASSES.len() };
        cifar::open("cifar10", folders.find(&files())?, labels, CLASSES.map(str::to_string).to_vec())
    }
}

fn files() -> DataFiles {
    let files = FILES.map(|name| vec![name.to_string()]).to_vec();
    DataFiles { name: "cifar10", folders: &["cifar-10-batches-bin", "cifar10"], files, get: GET }
}

secateur::register!(Data, "cifar10", Cifar10, "photographs, 32x32 colour, 10 classes, 50000 + 10000");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cifar::PIXELS;
    use crate::cifar::tests::record;
    use crate::testing::in_folder;
    use secateur::data::{DataConfig, Values};
    use std::fs;
    use tempfile::TempDir;

    fn folder() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("cifar-10-batches-bin");
        fs::create_dir(&folder).unwrap();
        for (i, name) in FILES.iter().enumerate() {
            let label = i as u8;
            fs::write(folder.join(name), [record(&[label], 10 * label), record(&[9], 100)].concat()).unwrap();
        }
        dir
    }

    fn refused(bytes: &[u8]) -> String {
        let dir = folder();
        fs::write(dir.path().join("cifar-10-batches-bin/data_batch_3.bin"), bytes).unwrap();
        let text = in_folder(&Cifar10 {}, dir.path()).unwrap_err().to_string();
        assert!(text.contains("data_batch_3.bin"), "{text}");
        text
    }

    #[test]
    fn batches_are_joined_in_order_with_planes_kept() {
        let dir = folder();
        let examples = in_folder(&Cifar10 {}, dir.path()).unwrap();
        assert_eq!(*examples.train.targets, [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        let Values::U8(values) = &examples.train.values else { panic!("images are bytes") };
        assert_eq!([values[2 * PIXELS], values[2 * PIXELS + 1024], values[2 * PIXELS + 2048]], [10, 11, 12]);
        let data = examples.dataset(&DataConfig::default(), 0).unwrap();
        assert_eq!(data.test.targets().collect::<Vec<_>>(), [5, 9]);
        assert_eq!(data.class_names[9], "truck");
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
    fn a_reader_bears_records_that_nobody_wrote() {
        let dir = folder();
        let file = dir.path().join("cifar-10-batches-bin/data_batch_3.bin");
        secateur_fuzz::bears("cifar", &[[record(&[1], 1), record(&[9], 7)].concat()], |bytes| {
            fs::write(&file, bytes).unwrap();
            in_folder(&Cifar10 {}, dir.path()).map_or(0, |examples| examples.train.values.len())
        });
    }
}
