//! The data sets by name.

use std::fmt;

use serde::Serialize;

use super::config::DataConfig;
use super::dataset::{Dataset, Origin};
use super::error::{DataError, Place};
use super::locate::Surroundings;
use super::normalize::Statistics;
use super::split::Source;
use super::{cifar, glyphs, image_folder, mnist, spiral};

/// A data set that can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct DataInfo {
    /// Its name in the config.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    /// The files or folders that it needs; none if it is generated.
    pub files: &'static [&'static str],
    /// How to get them.
    pub get: &'static str,
    open: Open,
}

/// Reads or makes a set; also returns the folders that were searched.
type Open = fn(&Surroundings, &DataConfig, &mut dyn FnMut(LoadProgress)) -> Result<(Source, Vec<Place>), DataError>;

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// What is being done, such as "decoding images".
    pub stage: &'static str,
    /// How many of them are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// What `check` found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The data set.
    pub name: String,
    /// Every folder that was looked into, with what it held; empty for generated sets.
    pub places: Vec<String>,
    /// Shape of one example.
    pub shape: Vec<usize>,
    /// One name per class.
    pub class_names: Vec<String>,
    /// Name, number of examples and examples per class of the three splits that the config asks for.
    pub splits: Vec<(&'static str, usize, Vec<usize>)>,
    /// Over all training examples, before any are set aside.
    pub statistics: Statistics,
    /// Where the examples come from.
    pub origin: Origin,
}

const SETS: [DataInfo; 7] = [
    DataInfo {
        name: "glyphs",
        summary: "generated 28x28 digits, 10 classes; made in memory in a second (the default)",
        files: &[],
        get: "",
        open: |_, config, _| Ok((glyphs::generate(config.glyphs), Vec::new())),
    },
    DataInfo {
        name: "cubist-spiral",
        summary: "generated points on two intertwined polygons, 2 classes (Zhang & Papyan 2024)",
        files: &[],
        get: "",
        open: |_, config, _| Ok((spiral::generate(config.cubist_spiral), Vec::new())),
    },
    DataInfo {
        name: mnist::MNIST.name,
        summary: "handwritten digits, 28x28 grey, 10 classes, 60000 + 10000",
        files: &mnist::FILES,
        get: mnist::MNIST.get,
        open: |around, config, _| mnist::load(&mnist::MNIST, config.dir.as_deref(), around),
    },
    DataInfo {
        name: mnist::FASHION.name,
        summary: "pictures of clothing, 28x28 grey, 10 classes, 60000 + 10000",
        files: &mnist::FILES,
        get: mnist::FASHION.get,
        open: |around, config, _| mnist::load(&mnist::FASHION, config.dir.as_deref(), around),
    },
    DataInfo {
        name: "cifar10",
        summary: "photographs, 32x32 colour, 10 classes, 50000 + 10000",
        files: &cifar::FILES_10,
        get: cifar::GET_10,
        open: |around, config, _| cifar::load_10(config.dir.as_deref(), around),
    },
    DataInfo {
        name: "cifar100",
        summary: "photographs, 32x32 colour, 100 classes or 20 groups, 50000 + 10000",
        files: &cifar::FILES_100,
        get: cifar::GET_100,
        open: |around, config, _| cifar::load_100(config.cifar100, config.dir.as_deref(), around),
    },
    DataInfo {
        name: image_folder::NAME,
        summary: "JPEG and PNG images of any size in data.dir, decoded once and kept",
        files: &["train/<class>/*.jpg", "test/<class>/*.jpg"],
        get: "Give your own folder: --set data.dir=DIR (without a folder test, or without class folders, it is split by seed)",
        open: |around, config, progress| {
            image_folder::load(config.image_folder, config.dir.as_deref(), around, progress)
        },
    },
];

/// The data sets that can be asked for.
pub fn list() -> &'static [DataInfo] {
    &SETS
}

/// Loads or makes the data set that the config asks for; `seed` draws its splits.
///
/// # Errors
/// The first of [`DataConfig::problems`]; [`DataError::Missing`] with every place that was searched; what is wrong
/// with a file; a split larger than the set.
pub fn load(config: &DataConfig, seed: u64, progress: &mut dyn FnMut(LoadProgress)) -> Result<Dataset, DataError> {
    load_from(&Surroundings::from_env(), config, seed, progress)
}

/// A data set that was read or made, before anything is drawn from it: runs with different seeds share its examples.
pub struct Opened(Source);

impl Opened {
    /// Draws the splits by seed and finds the normalisation; `config` must name the same examples that were opened.
    ///
    /// # Errors
    /// A split larger than the set.
    pub fn dataset(&self, config: &DataConfig, seed: u64) -> Result<Dataset, DataError> {
        self.0.dataset(config, seed)
    }
}

/// Reads or makes the examples that the config names.
///
/// # Errors
/// Those of [`load`], splits excepted.
pub fn open(
    around: &Surroundings,
    config: &DataConfig,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Opened, DataError> {
    find_and_open(around, config, progress).map(|(source, _)| Opened(source))
}

/// [`load`], with the folders outside the config given instead of read from the environment.
///
/// # Errors
/// Those of [`load`].
pub fn load_from(
    around: &Surroundings,
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Dataset, DataError> {
    find_and_open(around, config, progress)?.0.dataset(config, seed)
}

/// Loads the data set that the config asks for and describes it.
///
/// # Errors
/// Those of [`load`].
pub fn check(
    around: &Surroundings,
    config: &DataConfig,
    seed: u64,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<Report, DataError> {
    let (source, places) = find_and_open(around, config, progress)?;
    let statistics = Statistics::of(&source.train_pool(), source.shape[0]);
    let set = source.dataset(config, seed)?;
    let classes = set.classes();
    let splits = [("train", &set.train), ("validation", &set.validation), ("test", &set.test)]
        .map(|(name, split)| (name, split.len(), split.class_counts(classes)));
    let places = places.iter().map(|place| format!("{}: {}", place.path.display(), place.found)).collect();
    let Dataset { name, shape, class_names, origin, .. } = set;
    Ok(Report { name, places, shape, class_names, splits: splits.to_vec(), statistics, origin })
}

/// The set of that name.
pub(super) fn find(name: &str) -> Result<&'static DataInfo, DataError> {
    if let Some(info) = SETS.iter().find(|set| set.name == name) {
        return Ok(info);
    }
    let near = |set: &&DataInfo| strsim::damerau_levenshtein(name, set.name);
    let nearest = SETS.iter().min_by_key(near).filter(|set| near(set) <= 1 + set.name.len() / 3).map(|set| set.name);
    Err(DataError::Unknown { name: name.to_owned(), nearest, known: SETS.iter().map(|set| set.name).collect() })
}

fn find_and_open(
    around: &Surroundings,
    config: &DataConfig,
    progress: &mut dyn FnMut(LoadProgress),
) -> Result<(Source, Vec<Place>), DataError> {
    if let Some(problem) = config.problems().into_iter().next() {
        return Err(problem);
    }
    (find(&config.name)?.open)(around, config, progress)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: shape {:?}, {} classes", self.name, self.shape, self.class_names.len())?;
        if !self.places.is_empty() {
            writeln!(f, "looked in")?;
            self.places.iter().try_for_each(|place| writeln!(f, "  {place}"))?;
        }
        match &self.origin {
            Origin::Files(files) => {
                writeln!(f, "files")?;
                for file in files {
                    writeln!(f, "  {} ({} bytes)\n    sha256 {}", file.path.display(), file.bytes, file.sha256)?;
                }
            }
            Origin::Folder { path, files, bytes, sha256 } => {
                writeln!(f, "folder\n  {} ({files} images, {bytes} bytes)\n    sha256 {sha256}", path.display())?;
            }
            Origin::Generated { generator, seed } => writeln!(f, "generated by {generator} with seed {seed}")?,
        }
        let Statistics { mean, std } = &self.statistics;
        writeln!(f, "training values: mean {}, std {}", rounded(mean), rounded(std))?;
        for (name, examples, counts) in &self.splits {
            match (counts.iter().min(), counts.iter().max()) {
                (Some(least), Some(most)) if *examples > 0 => {
                    writeln!(f, "{name}: {examples} examples, {least} to {most} a class")?;
                }
                _ => writeln!(f, "{name}: none")?,
            }
        }
        Ok(())
    }
}

fn rounded(values: &[f64]) -> String {
    values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::env;
    use std::path::{Path, PathBuf};

    use super::*;

    fn named(name: &str) -> DataConfig {
        DataConfig { name: name.to_owned(), ..DataConfig::default() }
    }

    /// The folder with real data sets, where there is one: `$SECATEUR_DATA`, or `shared/data` beside the workspace.
    fn real(name: &str) -> Option<PathBuf> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        let roots = [env::var_os("SECATEUR_DATA").map(PathBuf::from), Some(beside)];
        let found = roots.into_iter().flatten().map(|root| root.join(name)).find(|dir| dir.is_dir());
        if found.is_none() {
            eprintln!("SKIPPED: the real {name} is not here; set SECATEUR_DATA to the folder that holds it");
        }
        found
    }

    #[test]
    fn every_listed_set_is_loaded_or_says_how_to_get_it() {
        for info in list() {
            let mut config = named(info.name);
            (config.glyphs.train, config.glyphs.test, config.cubist_spiral.per_class) = (20, 10, 100);
            match load_from(&Surroundings::default(), &config, 0, &mut |_| ()) {
                Ok(set) => assert!(info.files.is_empty() && set.train.len() >= 20, "{}", info.name),
                Err(DataError::Missing { get, .. }) => assert_eq!(get, info.get),
                Err(DataError::Option { key, .. }) => {
                    assert_eq!((info.name, key.as_str()), ("image-folder", "data.dir"))
                }
                Err(error) => panic!("{}: {error}", info.name),
            }
        }
    }

    #[test]
    fn unknown_name_lists_the_known_ones() {
        let text = load(&named("fashion"), 0, &mut |_| ()).unwrap_err().to_string();
        assert!(text.contains("glyphs, cubist-spiral, mnist"), "{text}");
        let text = load(&named("glpyhs"), 0, &mut |_| ()).unwrap_err().to_string();
        assert!(text.contains("did you mean \"glyphs\"?"), "{text}");
    }

    #[test]
    fn real_mnist_has_its_published_statistics() {
        let Some(dir) = real("mnist") else { return };
        let config = DataConfig { dir: Some(dir), ..named("mnist") };
        let report = check(&Surroundings::default(), &config, 0, &mut |_| ()).unwrap();
        assert_eq!(report.shape, [1, 28, 28]);
        assert!((report.statistics.mean[0] - 0.1307).abs() < 5e-5, "{:?}", report.statistics);
        assert!((report.statistics.std[0] - 0.3081).abs() < 5e-5, "{:?}", report.statistics);
        let (_, examples, counts) = &report.splits[0];
        assert_eq!(*examples, 60_000);
        assert_eq!(*counts, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
        let (_, examples, counts) = &report.splits[2];
        assert_eq!(*examples, 10_000);
        assert_eq!(*counts, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
        let text = report.to_string();
        assert!(text.contains("mean 0.1307, std 0.3081") && text.contains("sha256"), "{text}");
    }

    #[test]
    fn real_fashion_mnist_is_balanced() {
        let Some(dir) = real("fashion-mnist") else { return };
        let config = DataConfig { dir: Some(dir), ..named("fashion-mnist") };
        let report = check(&Surroundings::default(), &config, 0, &mut |_| ()).unwrap();
        assert_eq!(report.splits[0].2, [6000; 10]);
        assert!((report.statistics.mean[0] - 0.2860).abs() < 5e-5, "{:?}", report.statistics);
        assert!((report.statistics.std[0] - 0.3530).abs() < 5e-5, "{:?}", report.statistics);
    }
}
