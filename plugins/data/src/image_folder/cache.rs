//! Decoded images on disk: a mark, the pixels, and their checksum.

use flate2::Crc;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use tempfile::NamedTempFile;

const MARK: &[u8; 8] = b"SCTRIMG1";

/// The pixels of an entry; `None` if there is none, or it is not whole.
pub(super) fn read(at: &Path, length: usize) -> Option<Vec<u8>> {
    let mut file = File::open(at).ok()?;
    if file.metadata().ok()?.len() != (MARK.len() + length + size_of::<u32>()) as u64 {
        return None;
    }
    let (mut mark, mut pixels, mut sum) = ([0; MARK.len()], vec![0; length], [0; size_of::<u32>()]);
    file.read_exact(&mut mark).ok()?;
    file.read_exact(&mut pixels).ok()?;
    file.read_exact(&mut sum).ok()?;
    (mark == *MARK && u32::from_le_bytes(sum) == checksum(&pixels)).then_some(pixels)
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
