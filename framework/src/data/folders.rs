//! Where the files of a data set are looked for.

use crate::error::{Error, Result};
use std::env;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folders that may hold a data set's files, and where caches go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// `data.dir`: the folder that the config names, which is then searched alone.
    pub dir: Option<PathBuf>,
    /// `$SECATEUR_DATA`: a folder with data sets, or with the files of one.
    pub data: Option<PathBuf>,
    /// `$SECATEUR_CACHE`, else `~/.cache/secateur`: holds data sets by name, and decoded images.
    pub cache: Option<PathBuf>,
    /// The system's data sets (`/usr/share/datasets`).
    pub system: Option<PathBuf>,
    /// The user's folder, for paths that begin with `~`.
    pub home: Option<PathBuf>,
}

/// The files of a data set: what to look for, and how to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFiles {
    /// The name of the data set.
    pub name: &'static str,
    /// Folder names that its files usually lie in.
    pub folders: &'static [&'static str],
    /// Per file, the names it goes by, preferred first.
    pub files: Vec<Vec<String>>,
    /// How to get the files.
    pub get: &'static str,
}

/// Files that were found, all in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFiles {
    /// Their paths, in the order of [`DataFiles::files`].
    pub paths: Vec<PathBuf>,
    /// Every folder that was searched, in order; the last one holds the files.
    pub searched: Vec<SearchedDir>,
}

/// One folder that was searched for a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedDir {
    /// The folder.
    pub path: PathBuf,
    /// What was there.
    pub found: FoundInDir,
}

/// What a searched folder held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundInDir {
    /// The folder does not exist.
    NoFolder,
    /// The folder exists, but holds none of the files.
    Nothing,
    /// Some files are there and some are not.
    Part {
        /// The names of the files that were not found.
        lacks: Vec<String>,
    },
    /// Everything is there.
    All,
}

impl Folders {
    /// The folders that this process's environment names, and the one that the config names.
    pub fn from_env(dir: Option<PathBuf>) -> Self {
        let var = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME").or_else(|| var("USERPROFILE"));
        let user = var("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let cache = var("SECATEUR_CACHE").or_else(|| user.map(|dir| dir.join("secateur")));
        Self { dir, data: var("SECATEUR_DATA"), cache, system: Some("/usr/share/datasets".into()), home }
    }

    /// The folder that the config names, with `~` replaced: shells leave the one of `--set data.dir=~/x` as it is.
    pub fn named(&self) -> Option<PathBuf> {
        let dir = self.dir.as_deref()?;
        Some(match (dir.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => dir.to_owned(),
        })
    }

    /// The paths of the wanted files, all from the first folder that holds every one.
    ///
    /// # Errors
    /// [`Error::Missing`] with every folder searched and what it lacks.
    pub fn find(&self, wanted: &DataFiles) -> Result<FoundFiles> {
        let mut searched = vec![];
        for folder in self.to_search(wanted.folders) {
            let present = |names: &Vec<String>| names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            let paths: Vec<Option<PathBuf>> = wanted.files.iter().map(present).collect();
            let missing = wanted.files.iter().zip(&paths).filter(|(_, path)| path.is_none());
            let lacks: Vec<String> = missing.map(|(names, _)| names[0].clone()).collect();
            let found = match lacks.len() {
                0 => FoundInDir::All,
                n if n < paths.len() => FoundInDir::Part { lacks },
                _ if folder.is_dir() => FoundInDir::Nothing,
                _ => FoundInDir::NoFolder,
            };
            let complete = found == FoundInDir::All;
            searched.push(SearchedDir { path: folder, found });
            if complete {
                return Ok(FoundFiles { paths: paths.into_iter().flatten().collect(), searched });
            }
        }
        Err(Error::Missing(missing(wanted, &searched)))
    }

    /// The folders to search, in order; a folder that the config names is searched alone.
    fn to_search(&self, names: &[&str]) -> Vec<PathBuf> {
        let within = |root: &Path| names.iter().map(|name| root.join(name)).collect::<Vec<_>>();
        let with_itself = |root: &Path| [vec![root.to_owned()], within(root)].concat();
        if let Some(dir) = self.named() {
            return with_itself(&dir);
        }
        let data = self.data.as_deref().map(with_itself);
        let fixed = [&self.cache, &self.system].into_iter().flatten().map(|root| within(root));
        data.into_iter().chain(fixed).flatten().collect()
    }
}

impl DataFiles {
    /// The preferred name of each file.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().filter_map(|names| names.first().cloned()).collect()
    }
}

impl fmt::Display for SearchedDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.found)
    }
}

impl fmt::Display for FoundInDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder => f.write_str("no such folder"),
            Self::Nothing => f.write_str("holds none of the files"),
            Self::Part { lacks } => write!(f, "lacks {}", lacks.join(", ")),
            Self::All => f.write_str("found"),
        }
    }
}

fn missing(wanted: &DataFiles, searched: &[SearchedDir]) -> String {
    let mut text = format!("the data set \"{}\" was not found; looked in", wanted.name);
    for dir in searched {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {} ({})", dir.path.display(), dir.found);
    }
    let _ = write!(text, "\nit needs {}\n{}", wanted.names().join(", "), wanted.get);
    text.push_str("\nthen set data.dir (--set data.dir=DIR) or the environment variable SECATEUR_DATA to its folder");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn wanted() -> DataFiles {
        let files = vec![vec!["a".to_string(), "a.gz".to_string()], vec!["b".to_string()]];
        DataFiles { name: "set", folders: &["set"], files, get: "Buy it." }
    }

    #[test]
    fn the_first_complete_folder_wins_in_the_documented_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(root.path().join(name));
        let (data, cache, system, home) = (at("data"), at("cache"), at("system"), at("home"));
        let folders = Folders { dir: None, data, cache, system, home };
        let found = || {
            let paths = folders.find(&wanted()).unwrap().paths;
            paths[0].parent().unwrap().strip_prefix(root.path()).unwrap().to_owned()
        };
        for name in ["system/set", "cache/set", "data/set", "data"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("a.gz"), "").unwrap();
            fs::write(root.path().join(name).join("b"), "").unwrap();
            assert_eq!(found(), Path::new(name));
        }
    }

    #[test]
    fn a_folder_that_the_config_names_is_searched_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let dir = root.path().join("elsewhere");
        let folders = Folders { dir: Some(dir.clone()), data: Some(root.path().to_owned()), ..Folders::default() };
        let text = folders.find(&wanted()).unwrap_err().to_string();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        let line = |dir: &Path| format!("  {} (no such folder)", dir.display());
        assert_eq!(lines, [line(&dir), line(&dir.join("set"))], "{text}");
    }

    #[test]
    fn a_missing_set_lists_folders_files_and_the_fix() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let folders = Folders { data: Some(root.path().to_owned()), ..Folders::default() };
        let text = folders.find(&wanted()).unwrap_err().to_string();
        for part in ["\"set\" was not found", "(lacks b)", "no such folder", "it needs a, b", "Buy it.", "data.dir"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_folder() {
        let named = |dir: &str| {
            Folders { dir: Some(dir.into()), home: Some("/home/me".into()), ..Folders::default() }.named().unwrap()
        };
        assert_eq!(named("~/x"), Path::new("/home/me/x"));
        assert_eq!(named("/x/~"), Path::new("/x/~"));
    }
}
