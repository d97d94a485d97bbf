//! Config files: found by path or by name, with everything they extend.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::layer::Layer;
use crate::config::error::{ConfigError, nearest};
use crate::config::set_by::SetBy;
use crate::config::{key, libraries, scripts};

/// The configs inside the program: name and text, sorted by name.
const EMBEDDED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/configs.rs"));

/// The weakest file layer of every configuration.
const BASE: &str = "base";

/// Where sweeps lie, which are asked for without it too.
const SWEEPS: &str = "sweep/";

/// The names of the configs inside the program, sorted.
pub fn embedded_names() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().map(|(name, _)| *name)
}

/// Whether there is a config of this path or name.
pub fn exists(config: &str, root: &Path) -> bool {
    let loader = Loader { root, errors: &mut Vec::new(), layers: Vec::new(), chain: Vec::new(), seen: Vec::new() };
    loader.find(config, None).is_ok()
}

/// Reads `base`, then each config after everything that it extends, in the order of its list: weakest first.
///
/// A file that is reached twice from one config stands once, at its weaker place. A `~key` in the list takes back what
/// all before it say. Everything that cannot be found or read goes to `errors`.
pub fn load(configs: &[String], root: &Path, errors: &mut Vec<ConfigError>) -> Vec<Layer> {
    let mut loader = Loader { root, errors, layers: Vec::new(), chain: Vec::new(), seen: Vec::new() };
    loader.add(BASE, None);
    for config in configs {
        loader.seen.truncate(1);
        loader.add(config, None);
    }
    loader.layers
}

/// The name of a config without its folder and ending: `mnist-rank`.
pub fn stem(config: &str) -> &str {
    let file = config.rsplit(['/', '\\']).next().unwrap_or(config);
    file.strip_suffix(".toml").unwrap_or(file)
}

/// Where a config was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    File(PathBuf),
    Embedded(&'static str, &'static str),
}

struct Loader<'a> {
    root: &'a Path,
    errors: &'a mut Vec<ConfigError>,
    layers: Vec<Layer>,
    /// The configs being extended right now, outermost first.
    chain: Vec<Found>,
    /// The configs loaded for the current argument; `base` stays first.
    seen: Vec<Found>,
}

impl Loader<'_> {
    fn add(&mut self, wanted: &str, by: Option<&Found>) {
        let found = match self.find(wanted, by) {
            Ok(found) => found,
            Err(error) => return self.errors.push(*error),
        };
        if let Some(start) = self.chain.iter().position(|other| *other == found) {
            let circle = self.chain[start..].iter().chain([&found]).map(|one| self.label(one)).collect();
            return self.errors.push(ConfigError::Cycle(circle));
        }
        if self.seen.contains(&found) {
            return;
        }
        match self.read(&found) {
            Err(error) => self.errors.push(*error),
            Ok(mut layer) => {
                if let Found::File(path) = &found {
                    let folder = path.parent().unwrap_or(self.root);
                    libraries::anchor(&mut layer.table, folder);
                    scripts::anchor(&mut layer, folder);
                }
                let (parents, origin) = self.take_extends(&mut layer);
                self.chain.push(found.clone());
                for parent in parents {
                    match parent.strip_prefix('~').and_then(key::split) {
                        Some(path) => {
                            let taken_back = vec![(path, origin.clone())];
                            self.layers.push(Layer { taken_back, ..Layer::default() });
                        }
                        None => self.add(&parent, Some(&found)),
                    }
                }
                self.chain.pop();
                self.layers.push(layer);
            }
        }
        self.seen.push(found);
    }

    /// A path (it ends in `.toml`), else a name: `./configs/NAME.toml`, then the copy inside the program; a name that is not
    /// there may be that of a sweep without `sweep/` in front. What a file extends is looked for beside that file first, and
    /// then in the `configs` folder that holds it.
    fn find(&self, wanted: &str, by: Option<&Found>) -> Result<Found, Box<ConfigError>> {
        let mut looked = Vec::new();
        let mut exists = |path: PathBuf| {
            let path = normal(&path);
            let there = path.is_file();
            looked.push(shown(self.root, &path));
            there.then_some(Found::File(path))
        };
        let parent = match by {
            Some(Found::File(file)) => file.parent(),
            _ => None,
        };
        let is_path = wanted.ends_with(".toml");
        let file = if is_path { wanted.to_owned() } else { format!("{wanted}.toml") };
        if is_path && by.is_none() {
            if let Some(found) = exists(self.root.join(&file)) {
                return Ok(found);
            }
        } else {
            let home = parent.and_then(|parent| parent.ancestors().find(|folder| folder.ends_with("configs")));
            for folder in [parent, home, Some(&self.root.join("configs"))].into_iter().flatten() {
                if let Some(found) = exists(folder.join(&file)) {
                    return Ok(found);
                }
            }
            let name = file.strip_suffix(".toml").unwrap_or(&file);
            if let Some((name, text)) = EMBEDDED.iter().find(|(embedded, _)| *embedded == name) {
                return Ok(Found::Embedded(name, text));
            }
            looked.push("the built-in configs".to_owned());
        }
        if by.is_none() && !is_path && !wanted.starts_with(SWEEPS) {
            // What was looked for is told as it was typed.
            let sweep = self.find(&format!("{SWEEPS}{wanted}"), None);
            if sweep.is_ok() {
                return sweep;
            }
        }
        looked.dedup();
        let (known, fix) = advice(wanted);
        let by = by.map(|by| self.label(by));
        Err(ConfigError::NotFound { wanted: wanted.to_owned(), by, looked, known, fix }.into())
    }

    fn read(&self, found: &Found) -> Result<Layer, Box<ConfigError>> {
        let label = self.label(found);
        match found {
            Found::Embedded(_, text) => Layer::from_toml(text, &label, true),
            Found::File(path) => match fs::read_to_string(path) {
                Ok(text) => Layer::from_toml(&text, &label, false),
                Err(cause) => Err(ConfigError::Unreadable { file: label, cause: plain(cause) }.into()),
            },
        }
    }

    /// The list `extends` of a file, and where it stands.
    fn take_extends(&mut self, layer: &mut Layer) -> (Vec<String>, SetBy) {
        let mut take = |key: &str| {
            let origin = layer.origins.remove(key).unwrap_or(SetBy::BuiltIn);
            layer.table.remove(key).map(|value| (value, origin))
        };
        if let Some((value, origin)) = take("defaults") {
            let problem = "what a config builds on is its `extends` here";
            let fix =
                "extends = [\"experiment/mnist-rank\", \"criterion/taylor\"]; what the config says itself is stronger";
            let (key, found, fix) = ("defaults", value.to_string(), fix.to_owned());
            self.errors.push(ConfigError::Extends { key, problem, origin, found, fix });
        }
        let Some((value, origin)) = take("extends") else { return (Vec::new(), SetBy::BuiltIn) };
        let names = value.as_array().and_then(|items| {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        });
        let mut refused = |problem, fix: String| {
            let (key, found, origin) = ("extends", value.to_string(), origin.clone());
            self.errors.push(ConfigError::Extends { key, problem, origin, found, fix });
        };
        let Some(mut names) = names else {
            refused("must be a list of config names", "extends = [\"model/mlp\"]".to_owned());
            return (Vec::new(), origin);
        };
        names.retain(|name| {
            let assigned = name.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
            let fix = match (name.strip_prefix('~'), assigned) {
                (Some(key), _) if key::split(key).is_none() => "\"~train.clip_norm\" takes one key back".to_owned(),
                (None, Some((group, name))) if !group.contains(['.', '/']) => format!("\"{group}/{name}\""),
                (None, Some((key, value))) if !key.contains('/') => format!("{key} = {value}, below the list"),
                _ => return true,
            };
            refused("names configs, and takes keys back", fix);
            false
        });
        (names, origin)
    }

    fn label(&self, found: &Found) -> String {
        match found {
            Found::File(path) => shown(self.root, path),
            Found::Embedded(name, _) => format!("configs/{name}.toml"),
        }
    }
}

/// What to do about a config that is not there, and the names that help.
fn advice(wanted: &str) -> (Vec<String>, String) {
    let asked = stem(wanted);
    let near = embedded_names()
        .find(|name| stem(name) == asked)
        .or_else(|| nearest(wanted, embedded_names()))
        .or_else(|| embedded_names().find(|name| nearest(asked, [stem(name)]).is_some()));
    match near {
        Some(name) => (Vec::new(), format!("did you mean {name}?")),
        None => (
            embedded_names().map(str::to_owned).collect(),
            "give a path that ends in .toml, or one of these names".to_owned(),
        ),
    }
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(normal(root)).unwrap_or(path).display().to_string()
}

/// Takes out `.` and `..`, so that one file has one path.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if parts.file_name().is_some() => _ = parts.pop(),
            other => parts.push(other),
        }
    }
    parts
}

/// "stream did not contain valid UTF-8" says nothing about a file.
fn plain(cause: std::io::Error) -> std::io::Error {
    if cause.kind() == ErrorKind::InvalidData { std::io::Error::other("it is not UTF-8 text") } else { cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    /// The value of `k` in each layer, and the errors.
    fn order(root: &Path, configs: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut errors = Vec::new();
        let configs: Vec<String> = configs.iter().map(|config| (*config).to_owned()).collect();
        let layers = load(&configs, root, &mut errors);
        let texts = layers.iter().filter_map(|layer| Some(layer.table.get("k")?.as_str()?.to_owned())).collect();
        (texts, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn extends_come_first_depth_first_and_once() {
        let root = tree(&[
            ("configs/base.toml", "k = 'base'"),
            ("configs/z.toml", "k = 'z'"),
            ("configs/x.toml", "k = 'x'\nextends = ['z']"),
            ("configs/y.toml", "k = 'y'\nextends = ['z', 'base']"),
            ("configs/experiment/e.toml", "k = 'e'\nextends = ['x', 'y']"),
        ]);
        let (layers, errors) = order(root.path(), &["experiment/e", "z"]);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(layers, ["base", "z", "x", "y", "e", "z"]);
    }

    #[test]
    fn a_circle_is_shown_whole() {
        let root = tree(&[
            ("configs/a.toml", "extends = ['b']"),
            ("configs/b.toml", "extends = ['c']"),
            ("configs/c.toml", "extends = ['b']"),
        ]);
        let (_, errors) = order(root.path(), &["a"]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].contains("configs/b.toml -> configs/c.toml -> configs/b.toml"), "{}", errors[0]);
    }

    #[test]
    fn paths_are_relative_to_the_file_that_extends() {
        let root = tree(&[
            ("elsewhere/mine.toml", "k = 'mine'\nextends = ['parts/a.toml', './parts/b.toml', '../c']"),
            ("elsewhere/parts/a.toml", "k = 'a'"),
            ("elsewhere/parts/b.toml", "k = 'b'"),
            ("c.toml", "k = 'c'"),
        ]);
        let (layers, errors) = order(root.path(), &["elsewhere/mine.toml"]);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(layers, ["a", "b", "c", "mine"]);
    }

    #[test]
    fn a_configs_folder_elsewhere_finds_its_own_names() {
        let repo = tree(&[
            ("configs/experiment/e.toml", "k = 'e'\nextends = ['model/mine']"),
            ("configs/model/mine.toml", "k = 'mine'"),
        ]);
        let here = tempfile::tempdir().unwrap();
        let path = repo.path().join("configs/experiment/e.toml");
        let (layers, errors) = order(here.path(), &[path.to_str().unwrap()]);
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(layers, ["mine", "e"]);
    }

    #[test]
    fn a_file_under_configs_wins_over_the_embedded_copy() {
        let empty = tempfile::tempdir().unwrap();
        let mut errors = Vec::new();
        let layers = load(&["experiment/quickstart".to_owned()], empty.path(), &mut errors);
        assert!(errors.is_empty() && layers.len() > 1);
        let embedded = layers.last().unwrap().origins.values().next().unwrap().to_string();
        assert!(embedded.contains("configs/experiment/quickstart.toml") && embedded.ends_with("(built in)"));
        let sweep = load(&["evidence/memorisation-small".to_owned()], empty.path(), &mut errors);
        let named = sweep.last().unwrap().origins.values().next().unwrap().to_string();
        assert!(named.contains("configs/sweep/evidence/memorisation-small.toml"), "{named}");
        let root = tree(&[("configs/experiment/quickstart.toml", "k = 'mine'")]);
        assert_eq!(order(root.path(), &["experiment/quickstart"]).0, ["mine"]);
    }

    #[test]
    fn what_is_missing_or_broken_is_reported_together() {
        let root = tree(&[
            ("configs/a.toml", "extends = ['model/absent', 'broken']"),
            ("configs/broken.toml", "k = 1\nj = = 2"),
            ("configs/odd.toml", "\n\nextends = 'base'"),
        ]);
        let (_, errors) = order(root.path(), &["a", "odd", "quikstart", "no/such.toml"]);
        assert_eq!(errors.len(), 5, "{errors:#?}");
        assert!(errors[0].contains("model/absent") && errors[0].contains("`extends` in configs/a.toml"));
        assert!(errors[1].contains("configs/broken.toml line 2"));
        assert!(errors[2].contains("configs/odd.toml line 3"));
        assert!(errors[3].contains("did you mean experiment/quickstart?"), "{}", errors[3]);
        assert!(errors[4].contains("no/such.toml"));
    }

    #[test]
    fn the_stem_names_the_run() {
        assert_eq!(stem("experiment/mnist-rank"), "mnist-rank");
        assert_eq!(stem("./some/where/mine.toml"), "mine");
    }
}
