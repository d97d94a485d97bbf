//! The layers of a configuration, before they are merged.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::groups::{self, Member};
use super::layer::{Layer, take_back};
use super::merge::{Merged, merge};
use super::words::Words;
use super::{assign, files, refer, switch};
use crate::config::error::{ConfigError, ConfigErrors, nearest_key};
use crate::config::key::dotted;
use crate::config::libraries::{self, Hashes, PluginFile};
use crate::config::schema::Schema;
use crate::config::scripts;
use crate::config::set_by::SetBy;
use crate::config::validate::{MAX_NAME, validate};
use crate::config::{Request, Resolved};

/// The layers of a configuration, read but not merged: a sweep resolves one config for each of its cells from them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stack {
    layers: Vec<Layer>,
    root: PathBuf,
    /// The configs' file names together: what the run is called where no layer says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stem: Option<String>,
    /// The `--plugin` arguments.
    plugins: Vec<PathBuf>,
    /// Groups that words of the command line choose from: they are set by hand, though what they say stands in files.
    chosen: Vec<String>,
    #[serde(skip)]
    hashes: Hashes,
}

impl Stack {
    /// Finds and reads everything that the request names.
    ///
    /// # Errors
    /// Everything that cannot be found or read.
    pub fn load(request: &Request) -> Result<Self, ConfigErrors> {
        let root = &request.root;
        let mut errors = Vec::new();
        let words = Words::read(request, &mut errors);
        let mut layers = files::load(&words.all_configs(), root, &mut errors);
        let flags = layers.len();
        layers.push(assign::from_env(&request.variables, &mut errors));
        layers.push(words.flags);
        layers[flags..].iter_mut().for_each(|layer| libraries::anchor(&mut layer.table, root));
        if errors.is_empty() {
            // Where a file is missing, what it sets is missing too.
            let known: Vec<String> = layers.iter().flat_map(|layer| layer.origins.keys()).cloned().collect();
            errors.extend(take_back(&mut layers).into_iter().map(|(path, origin)| in_vain(&path, origin, &known)));
            layers.iter_mut().for_each(|layer| layer.taken_back.clear());
        }
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let stems: Vec<&str> = words.names.iter().map(|config| files::stem(config)).collect();
        let stem = (!stems.is_empty()).then(|| stems.join("_").chars().take(MAX_NAME).collect());
        let plugins = request.plugins.iter().map(|path| root.join(path)).collect();
        let chosen = words.groups.into_iter().map(|(group, _)| group).collect();
        Ok(Self { layers, root: root.clone(), stem, plugins, chosen, hashes: Hashes::default() })
    }

    /// The folder from which everything was found.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a section out of all layers: its merged values, and where they were set; `None` where no layer has it.
    pub fn take_section(&mut self, section: &str) -> Option<(Table, BTreeMap<String, SetBy>)> {
        let prefix = format!("{section}.");
        let of_section = |key: &str| key == section || key.starts_with(&prefix);
        let mut taken = Vec::new();
        for layer in &mut self.layers {
            if let Some(value) = layer.table.remove(section) {
                let all = std::mem::take(&mut layer.origins).into_iter();
                let (origins, rest) = all.partition(|(key, _)| of_section(key));
                layer.origins = rest;
                let table = Table::from_iter([(section.to_owned(), value)]);
                taken.push(Layer { table, origins, ..Layer::default() });
            }
        }
        if taken.is_empty() {
            return None;
        }
        let mut merged = merge(&taken);
        let values = match merged.table.remove(section) {
            Some(Value::Table(values)) => values,
            // What stands there is no section: its reader reports that.
            Some(other) => Table::from_iter([(String::new(), other)]),
            None => Table::new(),
        };
        Some((values, merged.origins))
    }

    /// The layers of one more config and of what it extends, weakest first.
    ///
    /// # Errors
    /// It cannot be found or read.
    pub fn read(&self, config: &str) -> Result<Vec<Layer>, ConfigErrors> {
        let mut errors = Vec::new();
        let mut layers = files::load(&[config.to_owned()], &self.root, &mut errors);
        layers.remove(0);
        let mut all: Vec<Layer> = self.layers.iter().chain(&layers).cloned().collect();
        let known: Vec<String> = all.iter().flat_map(|layer| layer.origins.keys()).cloned().collect();
        errors.extend(take_back(&mut all).into_iter().map(|(path, origin)| in_vain(&path, origin, &known)));
        if errors.is_empty() { Ok(layers) } else { Err(ConfigErrors(errors)) }
    }

    /// Forgets that a key must be given, where something else gives it.
    pub fn give_up_asking(&mut self, path: &[String]) {
        for layer in &mut self.layers {
            if refer::asks_for(layer, path) {
                layer.remove(path);
            }
        }
    }

    /// What `name` means in a group; `None` where there is no such group.
    ///
    /// # Errors
    /// There is no such config: what to write instead.
    pub fn member(&self, group: &str, name: &str) -> Option<Result<Member, String>> {
        let known = groups::groups(&self.root).iter().any(|known| known == group);
        known.then(|| groups::member(group, name, &self.root))
    }

    /// Whether a value depends on other keys or layers, so that no section can be resolved without the others.
    pub fn is_tied(&self) -> bool {
        self.layers.iter().any(Layer::is_tied)
    }

    /// Whether the environment, a flag, `--set` or a word sets a key or something within it.
    pub fn set_by_hand(&self, key: &str) -> Option<SetBy> {
        let of_group = |group: &String| key == group || key.strip_prefix(group) == Some(".name");
        if self.chosen.iter().any(of_group) {
            return Some(Words::origin());
        }
        let within = |set: &str| set == key || set.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        let by_hand = |origin: &SetBy| matches!(origin, SetBy::Env(_) | SetBy::Flag(_));
        let mut all = self.layers.iter().flat_map(|layer| &layer.origins);
        all.find(|(set, origin)| within(set) && by_hand(origin)).map(|(_, origin)| origin.clone())
    }

    /// Merges the layers and the stronger ones given, fills in defaults, and checks the result.
    ///
    /// # Errors
    /// Unknown keys and plugins, wrong types and values out of range.
    pub fn resolve(&self, stronger: &[&Layer], schema: &dyn Schema) -> Result<Resolved, ConfigErrors> {
        Resolved::new(self.complete(stronger, schema)?, schema)
    }

    /// The values of [`Stack::resolve`], before they are typed.
    ///
    /// # Errors
    /// Those of [`Stack::resolve`].
    pub fn complete(&self, stronger: &[&Layer], schema: &dyn Schema) -> Result<Merged, ConfigErrors> {
        let mut layers = self.under(stronger);
        switch::drop_switched_options(&mut layers, schema);
        let mut all = merge(&layers);
        let libraries = self.named(&all, &layers)?;
        libraries::pin(&mut all.table, &libraries, &self.hashes, schema);
        if libraries.is_empty() {
            all.origins.remove("plugins");
        } else {
            // Named by a flag, or by the criterion that is a script.
            let by_script = self.plugins.is_empty().then(|| all.origins.get("criterion.name").cloned()).flatten();
            let origin = by_script.unwrap_or(SetBy::Flag("--plugin".to_owned()));
            all.origins.entry("plugins".to_owned()).or_insert(origin);
        }
        if let Some(stem) = &self.stem
            && !all.table.contains_key("name")
        {
            all.table.insert("name".to_owned(), stem.as_str().into());
            all.origins.insert("name".to_owned(), SetBy::FileName);
        }
        let errors = refer::settle(&mut all, schema);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let errors = validate(&mut all.table, &mut all.origins, schema);
        if errors.is_empty() { Ok(all) } else { Err(ConfigErrors(errors)) }
    }

    /// The libraries that the layers and the stronger ones name: they must be loaded before the config can be resolved.
    ///
    /// # Errors
    /// A `plugins` that is no list of files.
    pub fn libraries(&self, stronger: &[&Layer]) -> Result<Vec<PluginFile>, ConfigErrors> {
        let layers = self.under(stronger);
        self.named(&merge(&layers), &layers)
    }

    fn under(&self, stronger: &[&Layer]) -> Vec<Layer> {
        let mut layers: Vec<Layer> = self.layers.iter().chain(stronger.iter().copied()).cloned().collect();
        // What the stack's own layers take back is gone; a group of a sweep may want more of it gone.
        if stronger.iter().any(|layer| !layer.taken_back.is_empty()) {
            take_back(&mut layers);
        }
        // What no file names belongs to the working directory.
        layers.iter_mut().for_each(|layer| scripts::anchor(layer, &self.root));
        layers
    }

    fn named(&self, merged: &Merged, layers: &[Layer]) -> Result<Vec<PluginFile>, ConfigErrors> {
        let mut named = Table::from_iter(merged.table.get("plugins").map(|list| ("plugins".to_owned(), list.clone())));
        let entry = |path: &PathBuf| Table::from_iter([("path".to_owned(), path.display().to_string().into())]).into();
        if let Value::Array(items) = named.entry("plugins").or_insert_with(|| Value::Array(Vec::new())) {
            items.extend(self.plugins.iter().map(entry));
            items.extend(scripts::chosen(&merged.table, layers).iter().map(entry));
        }
        let origin = merged.origins.get("plugins").cloned().unwrap_or(SetBy::BuiltIn);
        let mut files = libraries::listed(&named, &origin).map_err(|error| ConfigErrors(vec![*error]))?;
        let mut seen = HashSet::new();
        files.retain(|file| seen.insert(file.path.clone()));
        Ok(files)
    }
}

/// A key that nothing sets, so that it cannot be taken back.
fn in_vain(path: &[String], origin: SetBy, known: &[String]) -> ConfigError {
    let key = dotted(path);
    let near = nearest_key(&key, &known.iter().map(String::as_str).collect::<Vec<_>>())
        .map(|near| format!("did you mean ~{near}?"));
    let fix = near.unwrap_or_else(|| format!("leave it out; {key} has its default"));
    ConfigError::NothingToTakeBack { key, origin, fix }
}
