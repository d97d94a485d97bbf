//! `criterion.name = "python:mine.py"`: criteria that are files of Python, wherever a config chooses one.
//!
//! In a layer the file belongs to the folder of the config that names it; in a complete config `plugins` has its path
//! and its hash, and the name is that of the file alone.

use std::path::{Path, PathBuf};

use secateur::plugins::boundary::PREFIX;
use toml::{Table, Value};

use super::key;
use super::layers::Layer;

/// Notes where the files are that a layer names, and leaves their names. One that the layer's own `plugins` has, or
/// that was noted before, stays.
pub fn anchor(layer: &mut Layer, folder: &Path) {
    let listed = listed(&layer.table);
    for (key, name) in named(&layer.table) {
        let file = &name[PREFIX.len()..];
        let Some(bare) = Path::new(file).file_name().map(|bare| bare.to_string_lossy().into_owned()) else { continue };
        if bare == file && (layer.scripts.contains_key(&key) || listed.contains(&bare)) {
            continue;
        }
        if let Some(value) = at(&mut layer.table, &key) {
            *value = format!("{PREFIX}{bare}").into();
        }
        layer.scripts.insert(key, folder.join(file));
    }
}

/// The files that a merged config chooses, beside those that its `plugins` has; each as the strongest layer says that
/// has this key.
pub fn chosen(merged: &Table, layers: &[Layer]) -> Vec<PathBuf> {
    let listed = listed(merged);
    let file = |(key, name): (String, String)| {
        let path = layers.iter().rev().find_map(|layer| layer.scripts.get(&key))?;
        let there = listed.iter().any(|listed| *listed == name[PREFIX.len()..]);
        (path.is_file() || !there).then(|| path.clone())
    };
    named(merged).into_iter().filter_map(file).collect()
}

/// Whether a layer chooses any.
pub fn any(layer: &Layer) -> bool {
    !layer.scripts.is_empty() || !named(&layer.table).is_empty()
}

/// The names of the files that `plugins` has.
fn listed(table: &Table) -> Vec<String> {
    let entries = table.get("plugins").and_then(Value::as_array).into_iter().flatten();
    let paths = entries.filter_map(|entry| Path::new(entry.get("path")?.as_str()?).file_name());
    paths.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Every key `name` that chooses a script, dotted, and what it says.
fn named(table: &Table) -> Vec<(String, String)> {
    fn visit<'a>(table: &'a Table, path: &mut Vec<&'a str>, found: &mut Vec<(String, String)>) {
        for (name, value) in table {
            path.push(name);
            match value {
                Value::Table(inner) => visit(inner, path, found),
                Value::String(text) if name == "name" && text.starts_with(PREFIX) => {
                    found.push((key::dotted(path), text.clone()));
                }
                _ => {}
            }
            path.pop();
        }
    }
    let mut found = Vec::new();
    visit(table, &mut Vec::new(), &mut found);
    found
}

fn at<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let path = key::split(key)?;
    let (last, parents) = path.split_last()?;
    let inner = parents.iter().try_fold(table, |table, part| table.get_mut(part)?.as_table_mut())?;
    inner.get_mut(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str, folder: &str) -> Layer {
        let mut layer = Layer { table: text.parse().unwrap(), ..Layer::default() };
        anchor(&mut layer, Path::new(folder));
        anchor(&mut layer, Path::new("/elsewhere"));
        layer
    }

    #[test]
    fn a_script_belongs_to_the_folder_of_the_config_that_names_it() {
        let weak = layer("criterion = { name = 'python:lib/a.py' }\ngrow.criterion.name = 'python:a.py'", "/weak");
        let strong = layer("criterion.name = 'python:b.py'\ndata.name = 'mnist'", "/strong");
        assert_eq!(strong.table["criterion"]["name"].as_str(), Some("python:b.py"));
        assert_eq!(weak.table["criterion"]["name"].as_str(), Some("python:a.py"));
        let merged: Table = toml::toml! {
            criterion.name = "python:b.py"
            grow.criterion.name = "python:a.py"
        };
        let layers = [weak, strong];
        assert_eq!(chosen(&merged, &layers), [PathBuf::from("/strong/b.py"), PathBuf::from("/weak/a.py")]);
        assert!(any(&layers[0]) && !any(&Layer::default()));
    }

    #[test]
    fn a_name_whose_file_is_among_the_plugins_means_that_one() {
        let text = "plugins = [{ path = '/there/a.py' }]\ncriterion.name = 'python:a.py'";
        let own = layer(text, "/run");
        assert!(own.scripts.is_empty());
        let flag = layer("criterion.name = 'python:a.py'", "/no/such/folder");
        assert_eq!(chosen(&text.parse().unwrap(), &[own, flag]), [""; 0].map(PathBuf::from));
    }
}
