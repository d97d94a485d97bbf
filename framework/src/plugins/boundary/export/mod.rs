//! A library's own plugins as a C table.

mod compressor;
mod criterion;
mod model;
mod schedule;

pub(super) use compressor::borrowed as borrowed_compressor;

use super::abi::{self, Report, Status, Str};
use super::codes;
use super::failure::{contain, guard, keep_panics_quiet};
use super::host::Loaded;
use crate::backend::Cpu;
use crate::error::{Error, Result};
use crate::options::{OptionDoc, Table};
use crate::plugins::boundary::ACTS;
use crate::plugins::registry;
use crate::plugins::registry::{DeviceMaker, Entry, Kind, Registry};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};

/// Set in libraries that were opened by a program: their threads and panic hook are then their own.
static OPENED: AtomicBool = AtomicBool::new(false);

/// The only function that a plugin exports: every plugin registered in THIS library.
#[unsafe(export_name = "secateur_plugin_v3")]
pub extern "C" fn entry_point() -> *const abi::Table {
    static PUBLISHED: OnceLock<Published> = OnceLock::new();
    let table = PUBLISHED.get_or_init(|| {
        OPENED.store(true, Ordering::Relaxed);
        keep_panics_quiet();
        let mut published = Published::default();
        registry::inventory::iter::<Entry>.into_iter().for_each(|e| published.linked(e));
        published
    });
    // The table points into the list, which does not move any more.
    static TABLE: OnceLock<Fixed> = OnceLock::new();
    &raw const TABLE.get_or_init(|| Fixed(table.table())).0
}

struct Fixed(abi::Table);
// SAFETY: the table is never written to, and points to memory that lives as long as the library.
unsafe impl Send for Fixed {}
// SAFETY: as above.
unsafe impl Sync for Fixed {}

/// Entries with the text they point to.
#[derive(Default)]
pub(super) struct Published {
    entries: Vec<abi::Entry>,
    options: Vec<Vec<abi::OptionDoc>>,
    texts: Vec<String>,
}

// SAFETY: the entries are never written to, and point to statics and to the other fields.
unsafe impl Send for Published {}
// SAFETY: as above.
unsafe impl Sync for Published {}

impl Published {
    /// Every plugin of a registry but its data sets, which a library has no use for. What the entries point to is part
    /// of the program or of libraries, which stay open to its end.
    pub fn all(registry: &Registry) -> Self {
        let mut published = Self::default();
        registry.sources().for_each(|source| match source {
            registry::Source::Linked(entry) if entry.kind == Kind::Data => {}
            registry::Source::Linked(entry) => published.linked(entry),
            registry::Source::Loaded(loaded) => published.loaded(loaded),
            // It has no functions to point to.
            registry::Source::Script(_) => {}
        });
        published
    }

    /// The table; valid while `self` lives and does not change.
    pub fn table(&self) -> abi::Table {
        abi::Table { abi: abi::VERSION, entries: self.entries.as_ptr(), count: self.entries.len() }
    }

    fn linked(&mut self, entry: &'static Entry) {
        let options: Vec<abi::OptionDoc> = (entry.docs)().into_iter().map(|d| self.doc(d)).collect();
        let table: *const c_void = match entry.kind {
            Kind::Criterion => (&raw const criterion::TABLE).cast(),
            Kind::Schedule => (&raw const schedule::TABLE).cast(),
            Kind::Compressor => (&raw const compressor::TABLE).cast(),
            Kind::Model => (&raw const model::TABLE).cast(),
            // The program says why it refuses a library that has one; without the entry it would only seem empty.
            Kind::Data => std::ptr::null(),
        };
        self.entries.push(abi::Entry {
            kind: codes::of_kind(entry.kind),
            name: Str::of(entry.name),
            summary: Str::of(entry.summary),
            origin: Str::of(entry.krate),
            version: Str::of(entry.version),
            options: options.as_ptr(),
            option_count: options.len(),
            context: (&raw const *entry).cast(),
            check: Some(check),
            table,
        });
        self.options.push(options);
    }

    fn loaded(&mut self, loaded: &Loaded) {
        self.entries.push(*loaded.entry());
    }

    fn doc(&mut self, doc: OptionDoc) -> abi::OptionDoc {
        let mut keep = |text: String| {
            // A String's bytes stay where they are when the String moves.
            let lent = Str::of(&text);
            self.texts.push(text);
            lent
        };
        abi::OptionDoc {
            name: Str::of(doc.name),
            // What an option needs to act is the last line of its documentation.
            doc: keep(doc.acts.map_or(doc.doc.clone(), |acts| format!("{}\n{ACTS}{acts}", doc.doc))),
            ty: keep(doc.ty),
            default_value: keep(doc.default.map_or_else(String::new, |d| d.to_string())),
        }
    }
}

unsafe extern "C" fn check(context: *const c_void, options: Str, report: Report) -> Status {
    // SAFETY: the context is the one that `Published::linked` wrote.
    guard(report, || unsafe { (entry(context).check)(&table(options)?).map_err(Error::Options) })
}

/// # Safety
/// `context` must be one that [`Published`] wrote.
unsafe fn entry<'a>(context: *const c_void) -> &'a Entry {
    // SAFETY: promised by the caller.
    unsafe { &*context.cast::<Entry>() }
}

/// # Safety
/// `this` must come from [`create`] for the same `T`, and be used by one thread at a time.
unsafe fn object<'a, T>(this: *mut c_void) -> &'a mut T {
    // SAFETY: promised by the caller.
    unsafe { &mut *this.cast() }
}

unsafe extern "C" fn destroy<T>(this: *mut c_void) {
    // SAFETY: `this` comes from `create` for the same `T` and is given back once.
    contain(|| drop(unsafe { Box::from_raw(this.cast::<T>()) }));
}

/// # Safety
/// `options` must be text.
unsafe fn table(options: Str) -> Result<Table> {
    // SAFETY: promised by the caller.
    let text = unsafe { options.text() };
    text.parse().map_err(|e| Error::Config(format!("the options are not TOML: {e}")))
}

/// Builds an object: its maker is found in the context's entry.
///
/// # Safety
/// `context` must be one that [`Published`] wrote, `options` text, `out` writable.
unsafe fn create<T>(
    context: *const c_void,
    options: Str,
    threads: usize,
    out: *mut *mut c_void,
    report: Report,
    make: impl FnOnce(&DeviceMaker<Cpu>, &Table) -> Result<T>,
) -> Status {
    guard(report, || {
        use_threads(threads);
        // SAFETY: promised by the caller.
        unsafe {
            let object = make(&entry(context).makers.cpu, &table(options)?)?;
            *out = Box::into_raw(Box::new(object)).cast();
        }
        Ok(())
    })
}

/// The library's own thread pool gets the program's number of threads. Results do not depend on it.
fn use_threads(threads: usize) {
    static ONCE: Once = Once::new();
    if OPENED.load(Ordering::Relaxed) {
        // A pool that exists already stays as it is.
        ONCE.call_once(|| drop(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()));
    }
}

fn wrong_kind(kind: Kind) -> Error {
    Error::Other(format!("this plugin does not build a {kind}"))
}
