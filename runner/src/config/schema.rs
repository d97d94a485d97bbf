//! What a config may say: the sections, keys and plugins that resolution checks against.

use std::path::Path;

/// One key of a section, or one option of a plugin.
#[derive(Clone, Debug, Default)]
pub struct KeyDoc {
    /// Full name for a section's key (`train.lr`), bare name for a plugin's option (`hidden`).
    pub key: String,
    /// What the key does, in one sentence.
    pub doc: String,
    /// What values it takes, in words: `number > 0`, `"weight" | "unit"`. `number` also admits integers.
    pub ty: String,
    /// The value where no layer sets one; `None` means that it may stay unset.
    pub default: Option<toml::Value>,
    /// What the key needs to act, in words; `None` where it always does.
    pub acts: Option<String>,
    /// The value is itself a plugin of this kind: a table with `name` and that plugin's options.
    pub plugin_kind: Option<String>,
}

impl KeyDoc {
    /// The key without its section's name in front.
    pub fn bare(&self, section: &str) -> Self {
        let key = self.key.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')).unwrap_or(&self.key);
        Self { key: key.to_owned(), ..self.clone() }
    }
}

/// One section of a config; the section named `""` holds the keys above all sections.
#[derive(Clone, Debug, Default)]
pub struct SectionDoc {
    /// The section: `train`.
    pub name: String,
    /// What the section is about, in one sentence.
    pub doc: String,
    /// `name` in this section chooses a plugin of this kind, and the other keys are its options.
    pub plugin_kind: Option<String>,
    /// Keys of the section itself, whichever plugin is chosen; `name` need not be listed.
    pub keys: Vec<KeyDoc>,
}

/// One plugin.
#[derive(Clone, Debug, Default)]
pub struct PluginDoc {
    /// What the plugin is, in one sentence.
    pub doc: String,
    /// The options that it takes.
    pub options: Vec<KeyDoc>,
    /// Whether these stand in a table of the plugin's name within its section, which keeps them apart from the
    /// section's keys.
    pub table_of_its_own: bool,
}

impl PluginDoc {
    /// The options that stand among the keys of the plugin's section.
    pub fn section_options(self) -> Vec<KeyDoc> {
        if self.table_of_its_own { Vec::new() } else { self.options }
    }
}

/// One value that its section refuses.
#[derive(Clone, Debug)]
pub struct KeyError {
    /// The full dotted key.
    pub key: String,
    /// The value, as the user wrote it or nearly so.
    pub found: String,
    /// What the value may be.
    pub allowed: String,
}

/// Everything that may stand in a config, as this program and its plugins know it.
pub trait Schema: Sync {
    /// All sections, the one named `""` among them.
    fn sections(&self) -> Vec<SectionDoc>;
    /// One plugin, or `None` where there is none of that name.
    fn plugin(&self, kind: &str, name: &str) -> Option<PluginDoc>;
    /// The plugins of a kind, sorted.
    fn plugin_names(&self, kind: &str) -> Vec<String>;
    /// Checks types and ranges of a complete section that has known keys only; reports every value it refuses.
    fn check_section(&self, section: &str, values: &toml::Table) -> Vec<KeyError>;
    /// What runs the script in this file, with its version; `None` for a library.
    fn interpreter(&self, _file: &Path) -> Option<String> {
        None
    }
}
