//! Files that are there whole or not at all.

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

/// Writes a whole file: under another name first, then synced, then renamed.
pub(super) fn rename_into(folder: &Path, name: &str, content: &[u8]) -> Result<(), RunDirError> {
    let (path, unfinished) = (folder.join(name), folder.join(format!(".{name}.unfinished")));
    let written = write_synced(&unfinished, content).and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|source| {
        // The disk may be full: what is left of the attempt only takes room.
        _ = fs::remove_file(&unfinished);
        failed(&path, "write it")(source)
    })
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a rename or removal last; only Unix opens folders as files.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
