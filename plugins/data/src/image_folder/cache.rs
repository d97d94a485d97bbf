//! Decoded images on disk: a mark, the pixels, and their checksum.

use flate2::Crc;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use tempfile::NamedTempFile;

const MARK: &[u8; 8] = b"SCTRIMG1";

/// Reads the pixels of an entry; `false` if there is none, or it is not whole.
pub(super) fn read(at: &Path, pixels: &mut [u8]) -> bool {
    try_read(at, pixels).unwrap_or(false)
}

fn try_read(at: &Path, pixels: &mut [u8]) -> io::Result<bool> {
    let mut file = File::open(at)?;
    if file.metadata()?.len() != (MARK.len() + pixels.len() + size_of::<u32>()) as u64 {
        return Ok(false);
    }
    let (mut mark, mut sum) = ([0; MARK.len()], [0; size_of::<u32>()]);
    file.read_exact(&mut mark)?;
    file.read_exact(pixels)?;
    file.read_exact(&mut sum)?;
    Ok(mark == *MARK && u32::from_le_bytes(sum) == checksum(pixels))
}

/// Writes an entry under a temporary name and renames it, so that no other run sees half of it.
pub(super) fn write(at: &Path, pixels: &[u8]) -> io::Result<()> {
    let dir = at.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    let mut file = NamedTempFile::new_in(dir)?;
    file.write_all(MARK)?;
    file.write_all(pixels)?;
    file.write_all(&checksum(pixels).to_le_bytes())?;
    file.persist(at)?;
    Ok(())
}

fn checksum(pixels: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(pixels);
    crc.sum()
}
