//! CIFAR-100 in its binary form: CIFAR-10's form with 100 classes in 20 groups.

use crate::cifar::{self, Labels};
use secateur::prelude::*;
use std::fs;
use std::path::Path;

const FILES: [&str; 2] = ["train.bin", "test.bin"];
const GET: &str = "Download the binary version, cifar-100-binary.tar.gz, from \
                   https://www.cs.toronto.edu/~kriz/cifar.html and unpack it";

secateur::choices! {
    /// The two labels that each image has.
    pub enum Cifar100Labels {
        /// 100 classes.
        Fine = "fine",
        /// 20 groups of five classes.
        Coarse = "coarse",
    }
}

options! {
    /// Which classes.
    pub struct Cifar100 {
        /// Label that is an image's class: `fine` for 100 classes, `coarse` for 20 groups of five.
        #[acts(always)]
        pub labels: Cifar100Labels = Cifar100Labels::Fine,
    }
}

impl DataSource for Cifar100 {
    fn files(&self) -> Option<DataFiles> {
        Some(files())
    }

    fn open(&self, folders: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
        let found = folders.find(&files())?;
        let (labels, list) = match self.labels {
            Cifar100Labels::Fine => (Labels { count: 2, at: 1, classes: 100 }, "fine_label_names.txt"),
            Cifar100Labels::Coarse => (Labels { count: 2, at: 0, classes: 20 }, "coarse_label_names.txt"),
        };
        let names = class_names(&found.paths[0].with_file_name(list), labels.classes);
        cifar::open("cifar100", found, labels, names)
    }
}

fn files() -> DataFiles {
    let files = FILES.map(|name| vec![name.to_string()]).to_vec();
    DataFiles { name: "cifar100", folders: &["cifar-100-binary", "cifar100"], files, get: GET }
}

/// The names that come with the set; without them, numbers.
fn class_names(list: &Path, classes: usize) -> Vec<String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect();
    if names.len() == classes { names } else { (0..classes).map(|class| class.to_string()).collect() }
}

secateur::register!(Data, "cifar100", Cifar100, "photographs, 32x32 colour, 100 classes or 20 groups, 50000 + 10000");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cifar::tests::record;
    use crate::testing::in_folder;
    use secateur::options::parse;

    #[test]
    fn the_label_that_is_asked_for_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("train.bin"), [record(&[3, 70], 5), record(&[19, 99], 6)].concat()).unwrap();
        fs::write(dir.path().join("test.bin"), record(&[0, 1], 7)).unwrap();
        let twenty: Vec<String> = (0..20).map(|i| format!("group{i}")).collect();
        fs::write(dir.path().join("coarse_label_names.txt"), twenty.join("\n") + "\n\n").unwrap();
        let open = |labels| in_folder(&Cifar100 { labels }, dir.path()).unwrap();
        let fine = open(Cifar100Labels::Fine);
        assert_eq!(*fine.train.targets, [70, 99]);
        assert_eq!((fine.class_names.len(), fine.class_names[99].as_str()), (100, "99"));
        let coarse = open(Cifar100Labels::Coarse);
        assert_eq!(*coarse.train.targets, [3, 19]);
        assert_eq!((coarse.class_names.len(), coarse.class_names[19].as_str()), (20, "group19"));
    }

    #[test]
    fn option_is_fine_or_coarse() {
        let read = |text: &str| parse::<Cifar100>(&text.parse().unwrap()).map(|options| options.labels);
        assert_eq!(read("labels = \"coarse\"").unwrap(), Cifar100Labels::Coarse);
        assert!(read("labels = \"rough\"").unwrap_err()[0].to_string().contains("`fine` or `coarse`"));
    }
}
