//! Where the files of a zip archive stand that are stored as they are, which is how PyTorch writes them all (APPNOTE
//! 6.3.10). Nothing is copied, and no checksum is looked at: PyTorch can leave them out.

use crate::error::{Error, Result};
use std::ops::Range;

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    /// Its path.
    pub name: &'a str,
    /// Its bytes, in the archive.
    pub at: Range<usize>,
}

/// How an archive begins, whatever is in it.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// The end of the directory, and how far a comment may stand behind it.
const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;
/// The same with 64 bits, and where that is.
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_SIZE: usize = 20;
/// An entry of the directory.
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_SIZE: usize = 46;
const LOCAL_SIZE: usize = 30;
/// What stands for a number that needs 64 bits and is among the extras.
const IN_EXTRAS: u64 = 0xffff_ffff;
const EXTRA_64: u64 = 1;
const ENCRYPTED: u64 = 1;

/// The files of an archive.
///
/// # Errors
/// It is cut short or damaged; a file that is compressed or encrypted.
pub(super) fn files(archive: &[u8]) -> Result<Vec<Stored<'_>>> {
    let cut = || damaged("its end is missing, as in a download that was cut short");
    let room = archive.len().saturating_sub(END_SIZE + LONGEST_COMMENT);
    let end = archive[room..].windows(END.len()).rposition(|bytes| bytes == END).ok_or_else(cut)? + room;
    part(archive, end, END_SIZE).map_err(|_| cut())?;
    let mut directory = number(archive, end + 16, 4)?;
    let locator = end.checked_sub(LOCATOR_64_SIZE).filter(|at| archive[*at..].starts_with(LOCATOR_64));
    if let Some(locator) = locator {
        let end = place(number(archive, locator + 8, 8)?)?;
        if !archive.get(end..).is_some_and(|bytes| bytes.starts_with(END_64)) {
            return Err(damaged("its directory is not where it says"));
        }
        directory = number(archive, end + 48, 8)?;
    }
    let (mut at, mut all) = (place(directory)?, vec![]);
    while archive.get(at..).is_some_and(|bytes| bytes.starts_with(ENTRY)) {
        let lengths = [28, 30, 32].map(|field| number(archive, at + field, 2));
        let [name, extra, comment] = lengths;
        let (name, extra, comment) = (name? as usize, extra? as usize, comment? as usize);
        let extras = at + ENTRY_SIZE + name;
        let text = part(archive, at + ENTRY_SIZE, name)?;
        let text = std::str::from_utf8(text).map_err(|_| damaged("the name of a file in it is no text"))?;
        all.push(file(archive, at, text, part(archive, extras, extra)?)?);
        at = extras + extra + comment;
    }
    // Whatever else the directory says is believed only as far as it is there.
    if all.is_empty() { Err(damaged("it has no files")) } else { Ok(all) }
}

/// The file of the directory's entry at `at`.
fn file<'a>(archive: &'a [u8], at: usize, name: &'a str, extras: &[u8]) -> Result<Stored<'a>> {
    if number(archive, at + 8, 2)? & ENCRYPTED != 0 {
        return Err(damaged(&format!("`{name}` in it is encrypted")));
    }
    let method = number(archive, at + 10, 2)?;
    if method != 0 {
        return Err(damaged(&format!(
            "`{name}` in it is compressed (method {method}), and PyTorch stores its files as they are: load it with \
             PyTorch and save it again"
        )));
    }
    let mut wide = extra_64(extras)?;
    // In this order, and only those that do not fit.
    let mut field = |offset| match number(archive, at + offset, 4)? {
        IN_EXTRAS if !wide.is_empty() => {
            let value = number(wide, 0, 8)?;
            wide = &wide[8..];
            Ok(value)
        }
        value => Ok::<u64, Error>(value),
    };
    let (size, stored, local) = (field(24)?, field(20)?, field(42)?);
    if size != stored {
        return Err(damaged(&format!("`{name}` in it has two sizes")));
    }
    let local = place(local)?;
    if !archive.get(local..).is_some_and(|bytes| bytes.starts_with(MAGIC)) {
        return Err(damaged(&format!("`{name}` in it is not where its directory says")));
    }
    let before = LOCAL_SIZE as u64 + number(archive, local + 26, 2)? + number(archive, local + 28, 2)?;
    let start = local + before as usize;
    part(archive, start, place(size)?)?;
    Ok(Stored { name, at: start..start + place(size)? })
}

/// The content of the extra field that holds what needs 64 bits.
fn extra_64(mut extras: &[u8]) -> Result<&[u8]> {
    while extras.len() >= 4 {
        let (kind, size) = (number(extras, 0, 2)?, number(extras, 2, 2)? as usize);
        let content = part(extras, 4, size)?;
        if kind == EXTRA_64 {
            return Ok(content);
        }
        extras = &extras[4 + size..];
    }
    Ok(&[])
}

/// A number of so many bytes, the lowest first.
fn number(bytes: &[u8], at: usize, size: usize) -> Result<u64> {
    Ok(part(bytes, at, size)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn part(bytes: &[u8], at: usize, size: usize) -> Result<&[u8]> {
    let there = at.checked_add(size).and_then(|end| bytes.get(at..end));
    there.ok_or_else(|| damaged("a part of it lies behind its end"))
}

fn place(number: u64) -> Result<usize> {
    usize::try_from(number).map_err(|_| damaged("a part of it lies behind its end"))
}

fn damaged(why: &str) -> Error {
    Error::Other(format!("this zip archive cannot be read: {why}"))
}
