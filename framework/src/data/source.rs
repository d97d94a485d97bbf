//! What a data set provides: the trait of the plugins of kind `data`.

use super::config::DataConfig;
use super::dataset::Dataset;
use super::examples::Examples;
use super::folders::{DataFiles, Folders};
use crate::error::{Error, OptionError, Result};
use crate::options::{Idle, OptionSet as _};
use crate::seed::{Seed, Seeds};

/// A data set that can be read or made; its options say how.
///
/// ```
/// use secateur::data::{self, DataConfig, DataOrigin, DataSource, Examples, Folders, LoadProgress, Pool, TestExamples};
/// use secateur::prelude::*;
///
/// options! {
///     /// Points on a line, above and below zero.
///     pub struct Line {
///         /// Points on each side.
///         pub points: usize = 50,
///     }
/// }
///
/// impl DataSource for Line {
///     fn open(&self, _: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
///         let (n, last) = (self.points as i32, 2 * self.points as u32);
///         let pool = |shift: f32| {
///             let values = (-n..n).map(|i| i as f32 + shift).collect();
///             Pool::floats(values, (0..last).map(|i| u32::from(i >= last / 2)).collect())
///         };
///         Ok(Examples {
///             name: "line".to_string(),
///             shape: vec![1],
///             class_names: vec!["below".to_string(), "above".to_string()],
///             train: pool(0.5),
///             validation: None,
///             test: TestExamples::Own(pool(0.25)),
///             origin: DataOrigin::Generated { generator: "line 1", seed: 0 },
///             searched: vec![],
///         })
///     }
/// }
///
/// secateur::register!(Data, "line", Line, "Points on a line.");
///
/// let data = data::load(&mut Line { points: 10 }, &DataConfig::default(), 1)?;
/// assert_eq!((data.train.len(), data.classes()), (20, 2));
/// # Ok::<(), Error>(())
/// ```
pub trait DataSource: Send {
    /// The files that it reads; `None` where it makes its examples in memory.
    fn files(&self) -> Option<DataFiles> {
        None
    }

    /// Its options that differ from their defaults and cannot act, with these examples found; keys are relative to the
    /// set's own.
    fn idle(&self, _examples: &Examples) -> Vec<Idle> {
        vec![]
    }

    /// Whether its files have no usual place, so that `data.dir` must name their folder.
    fn needs_dir(&self) -> bool {
        false
    }

    /// Whether its examples are drawn from the seed of the data (`seeds.data`), so that [`seeded`](Self::seeded) matters.
    fn follows_seed(&self) -> bool {
        false
    }

    /// Takes the seed of the data, before it is opened.
    fn seeded(&mut self, _data: Seed) {}

    /// Reads or makes the examples; `progress` is told how far it is, as often as a person might want to know.
    ///
    /// # Errors
    /// [`Error::Missing`](crate::Error::Missing) with every folder that was searched where the files are not there;
    /// what is wrong with a file, which is named.
    fn open(&self, folders: &Folders, progress: &mut dyn FnMut(LoadProgress)) -> Result<Examples>;
}

/// How far opening a data set has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// What is being done, such as "decoding images".
    pub stage: &'static str,
    /// How many of them are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// Opens a data set, looking for its files where this process's environment says, and draws its splits by seed.
///
/// # Errors
/// Values of `config` out of range; what [`DataSource::open`] and [`Examples::dataset`] report.
pub fn load(source: &mut dyn DataSource, config: &DataConfig, seeds: impl Into<Seeds>) -> Result<Dataset> {
    let seeds = seeds.into();
    Error::if_any(config.errors()).map_err(|error| error.under("data"))?;
    check_dir(source, config).map_err(|error| error.under("data"))?;
    source.seeded(seeds.data);
    source.open(&Folders::from_env(config.dir.clone()), &mut |_| ())?.dataset(config, seeds)
}

/// Checks that `data.dir` names a folder where the data set has no usual place.
///
/// # Errors
/// If it does not; the key is relative to the section.
pub fn check_dir(source: &dyn DataSource, config: &DataConfig) -> Result<()> {
    if source.needs_dir() && config.dir.is_none() {
        let allowed = "this data set needs the folder with its files; --set data.dir=DIR";
        return Err(OptionError::new("dir", "(not set)", allowed).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Homeless;

    impl DataSource for Homeless {
        fn needs_dir(&self) -> bool {
            true
        }

        fn open(&self, folders: &Folders, _: &mut dyn FnMut(LoadProgress)) -> Result<Examples> {
            panic!("nothing is opened: {folders:?}")
        }
    }

    #[test]
    fn without_a_folder_the_key_is_named() {
        let text = load(&mut Homeless, &DataConfig::default(), 0).unwrap_err().to_string();
        assert!(text.contains("`data.dir` = (not set)") && text.contains("--set data.dir=DIR"), "{text}");
    }

    #[test]
    fn values_out_of_range_are_refused_before_anything_is_opened() {
        let config = DataConfig { train_limit: Some(0), ..DataConfig::default() };
        assert!(load(&mut Homeless, &config, 0).unwrap_err().to_string().contains("data.train_limit"));
    }
}
