//! Files that are there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::error::{RunDirError, failed};

/// Writes a whole file at a path, and sees to it that its name is on the disk.
///
/// # Errors
/// It cannot be written; then neither it nor a part of it is there.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), RunDirError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match path.file_name() {
        Some(name) => replace(folder, &name.to_string_lossy(), content),
        None => Err(failed(path, "write it")(io::ErrorKind::IsADirectory.into())),
    }
}

/// Writes a whole file, and sees to it that its name is on the disk.
pub(super) fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<(), RunDirError> {
    rename_into(folder, name, content)?;
    sync_folder(folder).map_err(failed(&folder.join(name), "write it"))
}

/// Whether a file of this name is one that [`rename_into`] did not come to rename.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".unfinished"))
}

/// Writes a whole file: under another name first, then synced, then renamed.
pub(super) fn rename_into(folder: &Path, name: &str, content: &[u8]) -> Result<(), RunDirError> {
    rename_made(folder, name, |file| file.write_all(content))
}

/// The same for a file that `make` writes piece by piece.
pub(super) fn rename_made(
    folder: &Path,
    name: &str,
    make: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), RunDirError> {
    let (path, unfinished) = (folder.join(name), folder.join(format!(".{name}.unfinished")));
    let written = File::create(&unfinished).and_then(|mut file| make(&mut file).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&unfinished, &path)).map_err(|source| {
        // The disk may be full: what is left of the attempt only takes room.
        _ = fs::remove_file(&unfinished);
        failed(&path, "write it")(source)
    })
}

/// Makes a rename or removal last; only Unix opens folders as files.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
