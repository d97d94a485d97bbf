//! Where the files of a data set are looked for.

use std::env;
use std::path::{Path, PathBuf};

use super::error::{DataError, Found, Place};

/// The folders outside the config that are searched, and where caches go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `$SECATEUR_DATA`: a folder with data sets, or with the files of one.
    pub data: Option<PathBuf>,
    /// `$SECATEUR_CACHE`, else `~/.cache/secateur`: holds data sets by name, and decoded images.
    pub cache: Option<PathBuf>,
    /// The system's data sets (`/usr/share/datasets`).
    pub system: Option<PathBuf>,
    /// The user's folder, for paths that begin with `~`.
    pub home: Option<PathBuf>,
}

/// A data set made of files: what to look for.
pub(super) struct Wanted<'a> {
    /// The name of the data set.
    pub name: &'a str,
    /// Folder names that its files usually lie in.
    pub folders: &'a [&'a str],
    /// Per file, the names it goes by, preferred first.
    pub files: &'a [Vec<String>],
    /// How to get the files.
    pub get: &'static str,
}

impl Surroundings {
    /// What this process's environment says.
    pub fn from_env() -> Self {
        let var = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME").or_else(|| var("USERPROFILE"));
        let user = var("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let cache = var("SECATEUR_CACHE").or_else(|| user.map(|dir| dir.join("secateur")));
        Self { data: var("SECATEUR_DATA"), cache, system: Some("/usr/share/datasets".into()), home }
    }

    /// The folders to search, in order; a folder that the config names is searched alone.
    pub(super) fn folders(&self, dir: Option<&Path>, names: &[&str]) -> Vec<PathBuf> {
        let within = |root: &Path| names.iter().map(|name| root.join(name)).collect::<Vec<_>>();
        let with_itself = |root: &Path| [vec![root.to_owned()], within(root)].concat();
        if let Some(dir) = dir {
            return with_itself(&self.expand(dir));
        }
        let data = self.data.as_deref().map(with_itself);
        let fixed = [&self.cache, &self.system].into_iter().flatten().map(|root| within(root));
        data.into_iter().chain(fixed).flatten().collect()
    }

    /// Shells leave the `~` of `--set data.dir=~/x` as it is.
    pub(super) fn expand(&self, dir: &Path) -> PathBuf {
        match (dir.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => dir.to_owned(),
        }
    }

    /// The paths of the wanted files, all from the first folder that holds every one.
    ///
    /// # Errors
    /// [`DataError::Missing`] with every folder searched and what it lacks.
    pub(super) fn find(
        &self,
        dir: Option<&Path>,
        wanted: &Wanted<'_>,
    ) -> Result<(Vec<PathBuf>, Vec<Place>), DataError> {
        let mut places = Vec::new();
        for folder in self.folders(dir, wanted.folders) {
            let files: Vec<Option<PathBuf>> = wanted
                .files
                .iter()
                .map(|names| names.iter().map(|name| folder.join(name)).find(|path| path.is_file()))
                .collect();
            let lacks: Vec<String> = wanted
                .files
                .iter()
                .zip(&files)
                .filter(|(_, path)| path.is_none())
                .map(|(names, _)| names[0].clone())
                .collect();
            let found = match lacks.len() {
                0 => Found::All,
                n if n < files.len() => Found::Part { lacks },
                _ if folder.is_dir() => Found::Nothing,
                _ => Found::NoFolder,
            };
            let complete = found == Found::All;
            places.push(Place { path: folder, found });
            if complete {
                return Ok((files.into_iter().flatten().collect(), places));
            }
        }
        let wanted_names = wanted.files.iter().map(|names| names[0].clone()).collect();
        Err(DataError::Missing { name: wanted.name.to_owned(), places, wanted: wanted_names, get: wanted.get })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    fn wanted(files: &[Vec<String>]) -> Wanted<'_> {
        Wanted { name: "set", folders: &["set"], files, get: "Buy it." }
    }

    fn two_files() -> Vec<Vec<String>> {
        vec![vec!["a".to_owned(), "a.gz".to_owned()], vec!["b".to_owned()]]
    }

    #[test]
    fn the_first_complete_folder_wins_in_the_documented_order() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(root.path().join(name));
        let around = Surroundings { data: at("data"), cache: at("cache"), system: at("system"), home: at("home") };
        let files = two_files();
        let folder = |around: &Surroundings| {
            let (paths, _) = around.find(None, &wanted(&files)).unwrap();
            paths[0].parent().unwrap().strip_prefix(root.path()).unwrap().to_owned()
        };
        for name in ["system/set", "cache/set", "data/set", "data"] {
            fs::create_dir_all(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("a.gz"), "").unwrap();
            fs::write(root.path().join(name).join("b"), "").unwrap();
            assert_eq!(folder(&around), Path::new(name));
        }
    }

    #[test]
    fn a_folder_that_the_config_names_is_searched_alone() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let around = Surroundings { data: Some(root.path().to_owned()), ..Surroundings::default() };
        let dir = root.path().join("elsewhere");
        let files = two_files();
        let error = around.find(Some(&dir), &wanted(&files)).unwrap_err();
        let DataError::Missing { places, .. } = &error else { panic!("{error}") };
        assert_eq!(places.iter().map(|p| p.path.clone()).collect::<Vec<_>>(), [dir.clone(), dir.join("set")]);
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    #[test]
    fn a_missing_set_lists_places_files_and_the_fix() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let around = Surroundings { data: Some(root.path().to_owned()), ..Surroundings::default() };
        let text = around.find(None, &wanted(&two_files())).unwrap_err().to_string();
        for part in ["\"set\" was not found", "(lacks b)", "no such folder", "it needs a, b", "Buy it.", "data.dir"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_folder() {
        let around = Surroundings { home: Some("/home/me".into()), ..Surroundings::default() };
        assert_eq!(around.expand(Path::new("~/x")), Path::new("/home/me/x"));
        assert_eq!(around.expand(Path::new("/x/~")), Path::new("/x/~"));
    }
}
