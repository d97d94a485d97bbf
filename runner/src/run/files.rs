//! Files that are there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::error::{RunDirError, failed};
use super::folder::process_token;

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

/// The same in a folder.
fn replace(folder: &Path, name: &str, content: &[u8]) -> Result<(), RunDirError> {
    rename_made(folder, name, |file| file.write_all(content), || Ok(()))?;
    sync_folder(folder).map_err(failed(&folder.join(name), "write it"))
}

/// The name of a file until it is whole: no other process writes under it.
pub(super) fn unfinished(name: &str) -> String {
    format!(".{name}.{}.unfinished", process_token())
}

/// Whether a file of this name is one that [`rename_made`] did not come to rename.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(".unfinished"))
}

/// Writes a whole file that `make` writes piece by piece: under another name first, then synced, then renamed, if
/// `still` has nothing against it.
pub(super) fn rename_made(
    folder: &Path,
    name: &str,
    make: impl FnOnce(&mut File) -> io::Result<()>,
    still: impl FnOnce() -> Result<(), RunDirError>,
) -> Result<(), RunDirError> {
    let (path, unfinished) = (folder.join(name), folder.join(unfinished(name)));
    let written = File::create(&unfinished).and_then(|mut file| make(&mut file).and_then(|()| file.sync_all()));
    let renamed = written.map_err(failed(&path, "write it")).and_then(|()| still());
    let renamed = renamed.and_then(|()| fs::rename(&unfinished, &path).map_err(failed(&path, "write it")));
    renamed.inspect_err(|_| {
        // The disk may be full: what is left of the attempt only takes room.
        _ = fs::remove_file(&unfinished);
    })
}

/// Makes a rename or removal last; only Unix opens folders as files.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
