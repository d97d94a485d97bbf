//! Plugins from outside: the same source, linked in or loaded from a dynamic library, and scripts ([`Script`]).
//!
//! Each library has its own copy of the framework, of dfdx and of the standard library, so only plain C data crosses
//! ([`abi`]). Inside the library `register!` fills that library's own registry; one exported function publishes it as a
//! table; [`open`] reads the file's stamp, opens the library, and adapts each entry to the same trait that a linked-in
//! plugin implements.
//!
//! The stamp guards against mistakes, not against malice: a plugin is native code with all rights of the program. Only
//! files that the user names are opened.

pub mod abi;
mod codes;
mod export;
mod failure;
mod host;
mod parameters;
mod python;
mod receiver;
mod stamp;
mod trace;
mod view;

/// How the last line of an option's documentation begins that says what the option needs to act.
const ACTS: &str = "acts: ";

pub use host::{Found, Library, Loaded, libraries, open, probe};
pub use python::{PREFIX, Script};
pub use stamp::Stamp;
