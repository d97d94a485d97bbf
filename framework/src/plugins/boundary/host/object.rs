//! An object that lives in a plugin.

use super::super::abi::{self, Report, Status, Str};
use super::super::failure::call;
use super::Loaded;
use crate::error::{Error, Result};
use crate::options::Table;
use crate::plugins::registry::Kind;
use std::ffi::c_void;

/// A table of functions.
pub(super) trait Functions: Sized + 'static {
    /// What its objects are.
    const KIND: Kind;

    /// `sizeof` as the plugin knows it.
    fn size(&self) -> usize;

    fn create(&self) -> Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status>;

    fn destroy(&self) -> Option<unsafe extern "C" fn(*mut c_void)>;

    /// Functions that must be there, by name.
    fn needed(&self) -> Vec<(&'static str, bool)>;
}

macro_rules! functions {
    ($($table:ident: $kind:ident, $($needed:ident)*;)*) => {
        $(impl Functions for abi::$table {
            const KIND: Kind = Kind::$kind;
            fn size(&self) -> usize {
                self.size
            }
            fn create(&self) -> Option<unsafe extern "C" fn(*const c_void, Str, usize, *mut *mut c_void, Report) -> Status> {
                self.create
            }
            fn destroy(&self) -> Option<unsafe extern "C" fn(*mut c_void)> {
                self.destroy
            }
            fn needed(&self) -> Vec<(&'static str, bool)> {
                vec![("create", self.create.is_some()), ("destroy", self.destroy.is_some()), $((stringify!($needed), self.$needed.is_some())),*]
            }
        })*

        /// Checks a table of functions before any of them is called.
        ///
        /// # Safety
        /// `table` must point to a table of this kind, as long as its first field says.
        pub(super) unsafe fn required(kind: Kind, name: &str, table: *const c_void) -> Result<()> {
            match kind {
                // SAFETY: promised by the caller.
                $(Kind::$kind => unsafe { check::<abi::$table>(name, table) },)*
                Kind::Data => Err(Error::Other(format!(
                    "`{name}` is a data set, which cannot be loaded from a library: link its crate into the program, as \
                     plugins/bundle links the built-in ones"
                ))),
            }
        }
    };
}

functions! {
    CriterionTable: Criterion, score;
    ScheduleTable: Schedule, target;
    CompressorTable: Compressor, compress;
    ModelTable: Model, layout network forward backward forget;
}

/// # Safety
/// As for [`required`].
unsafe fn check<F: Functions>(name: &str, table: *const c_void) -> Result<()> {
    // The size comes first and alone: a shorter table must not be read as a whole.
    // SAFETY: promised by the caller.
    let found = unsafe { *table.cast::<usize>() };
    let kind = F::KIND;
    if found < size_of::<F>() {
        let wanted = size_of::<F>();
        return Err(Error::Other(format!(
            "the function table of {kind} `{name}` has {found} bytes, this program needs {wanted}: build it against this version"
        )));
    }
    // SAFETY: the table is long enough.
    let table = unsafe { &*table.cast::<F>() };
    debug_assert_eq!(table.size(), found);
    match table.needed().into_iter().find(|(_, there)| !there) {
        Some((missing, _)) => Err(Error::Other(format!("{kind} `{name}` has no function `{missing}`"))),
        None => Ok(()),
    }
}

/// An object of a plugin, and how to call it.
pub(super) struct Object<F: Functions> {
    this: *mut c_void,
    pub functions: &'static F,
    pub name: String,
    owned: bool,
}

// SAFETY: a plugin's objects may move between threads, as the traits demand of linked-in ones.
unsafe impl<F: Functions> Send for Object<F> {}
// SAFETY: an object is shared between an adapter and the tapes it has recorded on; adapters are not `Sync` and tapes
// not `Send`, so that calls come from one thread at a time.
unsafe impl<F: Functions> Sync for Object<F> {}

impl<F: Functions> Object<F> {
    /// Builds an object from its options.
    pub fn new(loaded: &Loaded, options: &Table) -> Result<Self> {
        if loaded.kind != F::KIND {
            return Err(Error::Config(format!("`{}` is a {}, not a {}", loaded.name, loaded.kind, F::KIND)));
        }
        // SAFETY: `required` checked the table when the plugin was loaded; it lives as long as the library.
        let functions = unsafe { &*loaded.entry.table.cast::<F>() };
        let (text, mut this) = (options.to_string(), std::ptr::null_mut());
        let create = functions.create().ok_or_else(|| absent("create"))?;
        call(F::KIND.name(), &loaded.name, |report| {
            let threads = rayon::current_num_threads();
            // SAFETY: the context is the entry's own; the text lives for the call.
            unsafe { create(loaded.entry.context, Str::of(&text), threads, &mut this, report) }
        })?;
        Ok(Self { this, functions, name: loaded.name.clone(), owned: true })
    }

    /// An object that someone else frees.
    ///
    /// # Safety
    /// `this` must belong to `functions`, and both must live as long as the result.
    pub unsafe fn borrowed(this: *mut c_void, functions: &'static F, name: &str) -> Self {
        Self { this, functions, name: name.into(), owned: false }
    }

    /// Calls a function with the object; errors name the plugin.
    pub fn call(&self, f: impl FnOnce(*mut c_void, Report) -> Status) -> Result<()> {
        call(F::KIND.name(), &self.name, |report| f(self.this, report))
    }

    /// An error of this plugin.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::Plugin { kind: F::KIND.name(), name: self.name.clone(), message: message.into() }
    }
}

impl<F: Functions> Drop for Object<F> {
    fn drop(&mut self) {
        if let (Some(destroy), true) = (self.functions.destroy(), self.owned) {
            // SAFETY: `this` came from `create`, and is given back once.
            unsafe { destroy(self.this) }
        }
    }
}

/// For a function that [`required`] has seen.
pub(super) fn absent(function: &str) -> Error {
    Error::Other(format!("the plugin has no function `{function}`"))
}
