//! Finds, checks, opens and adapts plugins. A library is never closed again: its code, statics and threads are in use
//! until the end.

mod compressor;
mod criterion;
mod linker;
mod model;
mod object;
mod probe;
mod schedule;
mod signals;

pub(super) use compressor::far_compressor;
pub use probe::{Found, probe};

use super::abi::{self, Str, slice};
use super::export::Published;
use super::failure::call;
use super::{codes, failure};
use crate::backend::Backend;
use crate::error::{Error, OptionError, Result};
use crate::network::compressor::Compressor;
use crate::network::model::Model;
use crate::options::{OptionDoc, Table};
use crate::plugins::boundary::ACTS;
use crate::plugins::registry::{Kind, Origin, Registry};
use crate::pruning::criterion::Criterion;
use crate::pruning::schedule::Schedule;
use object::required;
use std::env::consts::DLL_EXTENSION;
use std::path::{Path, PathBuf};

/// The plugins of one file.
pub struct Library {
    /// What it offers.
    pub plugins: Vec<(Loaded, Origin)>,
}

/// One plugin of another library.
#[derive(Debug)]
pub struct Loaded {
    entry: abi::Entry,
    kind: Kind,
    name: String,
    summary: String,
    docs: Vec<OptionDoc>,
}

// SAFETY: an entry points to text, tables and functions of a library that is never closed; they are never written to.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

/// The dynamic libraries of a folder, sorted by name; other files are passed over.
///
/// # Errors
/// A folder that cannot be read, or that holds no library.
pub fn libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    let library = |path: &PathBuf| path.extension().is_some_and(|e| e == DLL_EXTENSION) && path.is_file();
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let all = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut files: Vec<PathBuf> = all.map_err(Error::io(folder))?.into_iter().filter(library).collect();
    files.sort_unstable();
    if files.is_empty() {
        let message = format!("there is no plugin (*.{DLL_EXTENSION}) in this folder");
        return Err(Error::File { path: folder.into(), message });
    }
    Ok(files)
}

/// Opens the plugin in `path`, after [`probe`] has read its stamp and, where given, compared its hash.
///
/// # Errors
/// What [`probe`] finds; symbols that are missing; a table that does not hold what it should. Each names the file and
/// the fix.
pub fn open(path: &Path, sha256: Option<&str>) -> Result<Library> {
    let opened = probe::opened(path, sha256)?;
    let found = opened.found.clone();
    let refuse = |message: String| Error::File { path: path.into(), message };
    // SAFETY: the user named this file, and its stamp says that it is a plugin for this machine that speaks this ABI.
    let library = unsafe { linker::open(opened) }.map_err(refuse)?;
    // SAFETY: the stamp says that the symbol, which `probe` found, has this type.
    let entry_point = *unsafe { library.get::<abi::EntryPoint>(abi::ENTRY) }.map_err(|e| refuse(e.to_string()))?;
    std::mem::forget(library);
    // SAFETY: as above; it cannot unwind, as an `extern "C"` function aborts instead.
    let table = unsafe { entry_point().as_ref() }.ok_or_else(|| refuse("its table of plugins is null".into()))?;
    if table.abi != abi::VERSION {
        return Err(refuse(format!("its table speaks plugin ABI {}, its stamp ABI {}", table.abi, abi::VERSION)));
    }
    // SAFETY: the table is the ABI's, and lives as long as the library.
    let plugins = unsafe { entries(table) }.map_err(|e| refuse(e.to_string()))?;
    if plugins.is_empty() {
        return Err(refuse("it registers no plugin: is there a `register!` in it?".into()));
    }
    let named = |(loaded, origin): (Loaded, Origin)| {
        (loaded, Origin { file: Some(found.path.clone()), sha256: Some(found.sha256.clone()), ..origin })
    };
    Ok(Library { plugins: plugins.into_iter().map(named).collect() })
}

/// The plugins that another library published for the call under way.
///
/// # Safety
/// The table must be the ABI's; names of options and functions live as long as the process.
pub(super) unsafe fn registry_of(table: &abi::Table) -> Result<Registry> {
    // SAFETY: promised by the caller.
    Registry::of_loaded(unsafe { entries(table) }?)
}

/// # Safety
/// As for [`registry_of`].
unsafe fn entries(table: &abi::Table) -> Result<Vec<(Loaded, Origin)>> {
    // SAFETY: promised by the caller.
    unsafe { slice(table.entries, table.count) }.iter().map(|e| unsafe { loaded(e) }).collect()
}

/// # Safety
/// As for [`registry_of`].
unsafe fn loaded(entry: &abi::Entry) -> Result<(Loaded, Origin)> {
    // SAFETY: promised by the caller.
    unsafe {
        let name = entry.name.text();
        let known = || Error::Other(format!("`{name}` is of kind {}, which does not exist", entry.kind));
        let kind = codes::kind(entry.kind).ok_or_else(known)?;
        if entry.table.is_null() && kind != Kind::Data {
            return Err(Error::Other(format!("{kind} `{name}` has no functions")));
        }
        required(kind, &name, entry.table)?;
        let docs = slice(entry.options, entry.option_count).iter().map(|d| doc(d)).collect::<Result<_>>()?;
        let origin = Origin { krate: entry.origin.text(), version: entry.version.text(), file: None, sha256: None };
        Ok((Loaded { entry: *entry, kind, summary: entry.summary.text(), docs, name }, origin))
    }
}

/// # Safety
/// As for [`registry_of`].
unsafe fn doc(doc: &abi::OptionDoc) -> Result<OptionDoc> {
    // SAFETY: promised by the caller; the name lives as long as the library, which is never closed.
    unsafe {
        let name = std::str::from_utf8(slice::<'static>(doc.name.data, doc.name.len))
            .map_err(|_| Error::Other("the name of an option is not UTF-8".into()))?;
        let text = doc.default_value.text();
        let wrong = |e| Error::Other(format!("the default of option `{name}` is not TOML: {e}"));
        let default = match text.is_empty() {
            true => None,
            false => format!("x = {text}").parse::<Table>().map_err(wrong)?.remove("x"),
        };
        let all = doc.doc.text();
        let (doc_text, acts) = match all.rsplit_once('\n') {
            Some((text, last)) if last.starts_with(ACTS) => (text, last.strip_prefix(ACTS).map(str::to_owned)),
            _ => (all.as_str(), None),
        };
        Ok(OptionDoc { name, doc: doc_text.to_owned(), ty: doc.ty.text(), default, acts })
    }
}

impl Loaded {
    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name configs use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One sentence.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Its options.
    pub fn docs(&self) -> &[OptionDoc] {
        &self.docs
    }

    pub(super) fn entry(&self) -> &abi::Entry {
        &self.entry
    }

    /// Checks options without building anything.
    ///
    /// # Errors
    /// All that are wrong.
    pub fn check(&self, options: &Table) -> Result<(), Vec<OptionError>> {
        let checked = match self.entry.check {
            Some(check) => {
                let text = options.to_string();
                call(self.kind.name(), &self.name, |report| {
                    // SAFETY: the entry is the library's, and `text` lives for the call.
                    unsafe { check(self.entry.context, Str::of(&text), report) }
                })
            }
            None => match self.kind {
                Kind::Criterion => self.criterion::<crate::backend::Cpu>(options, &Registry::default()).map(drop),
                Kind::Schedule => self.schedule(options).map(drop),
                Kind::Compressor => self.compressor::<crate::backend::Cpu>(options).map(drop),
                Kind::Model => self.model::<crate::backend::Cpu>(options).map(drop),
                Kind::Data => Err(Error::Other("data sets are never loaded".into())),
            },
        };
        match checked {
            Ok(()) => Ok(()),
            Err(Error::Options(errors)) => Err(errors),
            Err(other) => Err(vec![OptionError::new("name", format!("{:?}", self.name), other.to_string())]),
        }
    }

    /// Builds a criterion.
    ///
    /// # Errors
    /// If the plugin refuses its options.
    pub fn criterion<B: Backend>(&self, options: &Table, plugins: &Registry) -> Result<Box<dyn Criterion<B>>> {
        Ok(Box::new(criterion::Adapter::new(self, options, Published::all(plugins))?))
    }

    /// Builds a schedule.
    ///
    /// # Errors
    /// If the plugin refuses its options.
    pub fn schedule(&self, options: &Table) -> Result<Box<dyn Schedule>> {
        Ok(Box::new(schedule::Adapter::new(self, options)?))
    }

    /// Builds a compressor.
    ///
    /// # Errors
    /// If the plugin refuses its options.
    pub fn compressor<B: Backend>(&self, options: &Table) -> Result<Box<dyn Compressor<B>>> {
        Ok(Box::new(compressor::Adapter::new(self, options)?))
    }

    /// Builds a model.
    ///
    /// # Errors
    /// If the plugin refuses its options.
    pub fn model<B: Backend>(&self, options: &Table) -> Result<Box<dyn Model<B>>> {
        Ok(Box::new(model::Adapter::new(self, options)?))
    }
}

/// Calls a function that the program, not a plugin, offers.
pub(super) fn call_plain(f: impl FnOnce(abi::Report) -> abi::Status) -> Result<()> {
    failure::call("probe", "gradients", f).map_err(|e| match e {
        Error::Plugin { message, .. } => Error::Other(message),
        other => other,
    })
}
