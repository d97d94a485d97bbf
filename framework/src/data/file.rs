//! Whole files, with the hash that a run records.

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::dataset::SourceFile;
use super::error::DataError;

/// Reads a file and hashes it.
pub(super) fn read(path: &Path) -> Result<(Vec<u8>, SourceFile), DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::io(path, "read it", source))?;
    let sha256 = hex(&Sha256::digest(&bytes));
    let size = bytes.len() as u64;
    Ok((bytes, SourceFile { path: path.to_owned(), bytes: size, sha256 }))
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
