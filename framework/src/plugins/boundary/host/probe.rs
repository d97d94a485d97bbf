//! Looks at a plugin's file without running any of it.

use super::super::abi;
use super::super::stamp::Stamp;
use super::linker::beside;
use crate::error::{Error, Result};
use object::{Object, ObjectKind, ObjectSection};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What a plugin's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, from the root.
    pub path: PathBuf,
    /// Its hash.
    pub sha256: String,
    /// What it says of itself.
    pub stamp: Stamp,
}

/// Reads the stamp of a plugin's file; runs no code of it.
///
/// # Errors
/// A missing file; one that is no library, or no plugin; a library for another machine, of another ABI, or one whose
/// panics would end the process; a hash other than the one asked for.
pub fn probe(path: &Path, sha256: Option<&str>) -> Result<Found> {
    opened(path, sha256).map(|opened| opened.found)
}

/// What was probed, and what it takes to open it.
pub(super) struct Opened {
    pub found: Found,
    /// The file that was read: what is opened must be what was hashed, whatever happens to its name.
    pub file: File,
    /// The libraries that it needs and finds beside itself.
    pub beside: Vec<PathBuf>,
}

/// As [`probe`], with the open file.
///
/// # Errors
/// As for [`probe`].
pub(super) fn opened(path: &Path, sha256: Option<&str>) -> Result<Opened> {
    let refuse = |message: String| Error::File { path: path.into(), message };
    // Whoever opens a pipe waits for somebody to write into it.
    let kind = std::fs::metadata(path).map_err(Error::io(path))?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(refuse("it is no regular file".into()));
    }
    let mut open = File::open(path).map_err(Error::io(path))?;
    let mut bytes = vec![];
    open.read_to_end(&mut bytes).map_err(Error::io(path))?;
    let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    if let Some(wanted) = sha256.filter(|w| !w.eq_ignore_ascii_case(&hash)) {
        return Err(refuse(format!(
            "its sha256 is {hash}, but {wanted} was asked for: it is another file or another build; check where it comes from, then \
             change the sha256"
        )));
    }
    let no_library = |e: object::Error| refuse(format!("it is no dynamic library: {e}"));
    let file = object::File::parse(&*bytes).map_err(no_library)?;
    if file.kind() != ObjectKind::Dynamic {
        return Err(refuse(format!("it is no dynamic library but of kind {:?}", file.kind()).to_lowercase()));
    }
    let machine = format!("{:?}", file.architecture()).to_lowercase();
    if machine != std::env::consts::ARCH || file.is_64() != cfg!(target_pointer_width = "64") {
        return Err(refuse(format!(
            "it was built for another machine, {machine}; this one is {}: build it for this machine",
            std::env::consts::ARCH
        )));
    }
    let exports = file.exports().map_err(no_library)?;
    // Some systems put an underscore before every C symbol.
    let find = |name: &str| {
        exports.iter().find(|e| e.name() == name.as_bytes() || e.name().strip_prefix(b"_") == Some(name.as_bytes()))
    };
    let stamp = find(abi::STAMP).ok_or_else(|| {
        refuse(format!(
            "it is a library but no plugin, as it does not export `{}`: its Cargo.toml needs `crate-type = [\"lib\", \"cdylib\"]` and \
             its code at least one `register!`",
            abi::STAMP
        ))
    })?;
    let at = stamp.address();
    let data = (file.sections())
        .find(|s| s.address() != 0 && (s.address()..s.address() + s.size()).contains(&at))
        .and_then(|s| s.data().ok()?.get((at - s.address()) as usize..));
    let stamp = Stamp::parse(data.unwrap_or_default())
        .ok_or_else(|| refuse(format!("its `{}` does not hold a stamp", abi::STAMP)))?;
    if let Some(reason) = stamp.refusal() {
        return Err(refuse(reason));
    }
    if find(abi::ENTRY).is_none() {
        return Err(refuse(format!("it has a plugin's stamp but does not export `{}`", abi::ENTRY)));
    }
    // From the root: a bare name would be looked up in the system's folders instead of the working directory.
    let path = path.canonicalize().map_err(Error::io(path))?;
    let beside = beside(&file, path.parent().unwrap_or(Path::new("/")));
    Ok(Opened { found: Found { path, sha256: hash, stamp }, file: open, beside })
}
