//! `plugins = [{ path = "...", sha256 = "..." }]` and `--plugin FILE`: libraries to load before the config is checked.

use std::collections::HashMap;
use std::env::consts::DLL_EXTENSION;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use secateur::plugins::boundary;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::error::ConfigError;
use super::schema::Schema;
use super::set_by::SetBy;

/// A library that a config or a flag names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFile {
    /// Its path, from the root.
    pub path: PathBuf,
    /// The SHA-256 hash that the file must have.
    pub sha256: Option<String>,
}

/// Hashes of libraries, each read once: a sweep resolves many configs that name the same ones.
#[derive(Debug, Default)]
pub struct Hashes(Mutex<HashMap<PathBuf, Option<String>>>);

impl Hashes {
    /// SHA-256 in hexadecimal; `None` where the file cannot be read.
    fn of(&self, path: &Path) -> Option<String> {
        let hash = |bytes| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        // A panic elsewhere leaves the map itself whole.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(path.to_owned()).or_insert_with(|| fs::read(path).ok().map(hash)).clone()
    }
}

/// Makes the paths in `plugins` relative to `folder`, which holds the config that names them.
pub fn anchor(table: &mut Table, folder: &Path) {
    let Some(Value::Array(items)) = table.get_mut("plugins") else { return };
    for path in items.iter_mut().filter_map(|item| item.get_mut("path")) {
        if let Some(text) = path.as_str() {
            *path = folder.join(text).display().to_string().into();
        }
    }
}

/// The libraries of a merged config; folders are replaced by what is in them, sorted by name. What cannot be read is
/// left to the loader's error.
///
/// # Errors
/// An entry that is no table of `path` and `sha256`.
pub fn listed(table: &Table, origin: &SetBy) -> Result<Vec<PluginFile>, Box<ConfigError>> {
    let refused = |found: &Value| {
        let allowed = format!(
            "a list of {{ path = \"FILE\", sha256 = \"...\" }}: a library or a folder that holds libraries (*.{DLL_EXTENSION}), \
             and for a library the 64 hexadecimal digits of its hash, if you like"
        );
        Box::new(ConfigError::Value {
            key: "plugins".to_owned(),
            origin: origin.clone(),
            found: found.to_string(),
            allowed,
        })
    };
    let Some(value) = table.get("plugins") else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or_else(|| refused(value))?;
    let mut all = Vec::new();
    for item in items {
        let entry = item.as_table().ok_or_else(|| refused(item))?;
        let text = |key: &str| entry.get(key).map(|v| v.as_str().ok_or_else(|| refused(item))).transpose();
        let path = PathBuf::from(text("path")?.ok_or_else(|| refused(item))?);
        let sha256 = text("sha256")?.map(str::to_owned);
        let hash = |text: &String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        // What ran a script is written into configs that were run; now it is what runs it now.
        text("python")?;
        if entry.keys().any(|key| !["path", "sha256", "python"].contains(&key.as_str()))
            || (path.is_dir() && sha256.is_some())
            || !sha256.as_ref().is_none_or(hash)
        {
            return Err(refused(item));
        }
        if path.is_dir() {
            let files = boundary::libraries(&path).map_err(|_| refused(item))?;
            all.extend(files.into_iter().map(|path| PluginFile { path, sha256: None }));
        } else {
            all.push(PluginFile { path, sha256 });
        }
    }
    Ok(all)
}

/// Writes the libraries into the config, each with its hash, and scripts with what runs them: the config then names
/// this build of them, and so does the run's identity.
pub fn pin(table: &mut Table, files: &[PluginFile], hashes: &Hashes, schema: &dyn Schema) {
    let entry = |file: &PluginFile| {
        let mut entry = Table::from_iter([("path".to_owned(), Value::from(file.path.display().to_string()))]);
        let hash = file.sha256.clone().or_else(|| hashes.of(&file.path));
        entry.extend(hash.map(|hash| ("sha256".to_owned(), hash.into())));
        entry.extend(schema.interpreter(&file.path).map(|python| ("python".to_owned(), python.into())));
        Value::Table(entry)
    };
    if files.is_empty() {
        table.remove("plugins");
    } else {
        table.insert("plugins".to_owned(), files.iter().map(entry).collect::<Vec<_>>().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::Fixture;

    #[test]
    fn paths_belong_to_the_config_and_files_are_pinned() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("a.{}", DLL_EXTENSION);
        fs::write(folder.path().join(&name), "x").unwrap();
        let mut table: Table = toml::toml! { plugins = [{ path = "." }, { path = "b.so", sha256 = "HASH" }] };
        let pinned = "ab".repeat(32);
        table["plugins"][1]["sha256"] = pinned.clone().into();
        anchor(&mut table, folder.path());
        let files = listed(&table, &SetBy::BuiltIn).unwrap();
        assert!(files[0].path.ends_with(&name) && files[1].path == folder.path().join("b.so"));
        pin(&mut table, &files, &Hashes::default(), &Fixture);
        // sha256 of "x"
        let hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(table["plugins"][0]["sha256"].as_str(), Some(hash));
        assert_eq!(table["plugins"][1]["sha256"].as_str(), Some(pinned.as_str()));
        let empty =
            format!("plugins = [{{ path = '{}' }}]", tempfile::tempdir_in(folder.path()).unwrap().keep().display());
        for wrong in [
            empty.as_str(),
            "plugins = 3",
            "plugins = ['a.so']",
            "plugins = [{ file = 'a.so' }]",
            "plugins = [{ path = 'a', md5 = 'b' }]",
            "plugins = [{ path = 'a', sha256 = '12' }]",
        ] {
            assert!(listed(&wrong.parse().unwrap(), &SetBy::BuiltIn).is_err(), "{wrong}");
        }
    }
}
