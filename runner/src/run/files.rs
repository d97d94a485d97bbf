//! Files that are there whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

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

/// Writes a file that was asked for by its name: whole or not at all where a plain file or nothing is there, straight into
/// what else has the name, such as a pipe or `/dev/stdout`, and through links.
///
/// # Errors
/// It cannot be written, or is a folder.
pub fn write_asked(path: &Path, content: &[u8]) -> Result<(), RunDirError> {
    let refused = |source| RunDirError::Asked { path: path.to_owned(), source };
    let is_link = fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => Err(refused(io::ErrorKind::IsADirectory.into())),
        Ok(about) if !about.is_file() => {
            OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(content)).map_err(refused)
        }
        Ok(_) if is_link => {
            let behind = fs::canonicalize(path).map_err(refused)?;
            write_whole(&behind, content).map_err(RunDirError::asked)
        }
        Err(_) if is_link => fs::write(path, content).map_err(refused),
        _ => write_whole(path, content).map_err(RunDirError::asked),
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

/// A file is written within this.
const LEFT: Duration = Duration::from_secs(3600);

/// Removes what processes left in a folder that were ended in the middle of [`write_whole`]. Others may write there now:
/// what is younger than an hour stays.
pub fn remove_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(|entry| is_unfinished(&entry.file_name()))
    {
        let age = entry.metadata().ok().and_then(|about| about.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age > LEFT) {
            // Who may not remove it is not hindered by it either.
            _ = fs::remove_file(entry.path());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_asked_for_is_there_whole_or_as_it_was() {
        let here = tempfile::tempdir().unwrap();
        let (file, link) = (here.path().join("file"), here.path().join("link"));
        write_asked(&file, b"one").unwrap();
        write_asked(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let error = write_asked(here.path(), b"x").unwrap_err().to_string();
        assert!(error.ends_with("cannot write it: a folder has that name\n  fix: name a file"), "{error}");
        let error = write_asked(&here.path().join("no/file"), b"x").unwrap_err().to_string();
        assert!(error.ends_with("its folder is not there\n  fix: make the folder, or choose another"), "{error}");
        let error = write_asked(&file.join("x"), b"x").unwrap_err().to_string();
        assert!(error.contains("a file stands where a folder should be"), "{error}");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&file, &link).unwrap();
            write_asked(&link, b"three").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"three", "what the link leads to is written");
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            fs::remove_file(&file).unwrap();
            write_asked(&link, b"four").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"four");
        }
        let left: Vec<_> = fs::read_dir(here.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| !is_unfinished(name)), "{left:?}");
    }

    #[test]
    fn what_was_left_long_ago_goes_and_what_is_being_written_stays() {
        let here = tempfile::tempdir().unwrap();
        for (name, seconds) in
            [(".cells.json.0123.unfinished", 7200), (".new.0123.unfinished", 5), ("cells.json", 7200)]
        {
            let file = File::create(here.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds)).unwrap();
        }
        remove_leftovers(here.path());
        let there = |name: &str| here.path().join(name).exists();
        assert!(!there(".cells.json.0123.unfinished") && there(".new.0123.unfinished") && there("cells.json"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_written_into_and_not_replaced() {
        use std::io::Read;
        use std::os::fd::AsRawFd;
        let (mut reader, writer) = io::pipe().unwrap();
        write_asked(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd())), b"three").unwrap();
        drop(writer);
        let mut found = String::new();
        reader.read_to_string(&mut found).unwrap();
        assert_eq!(found, "three");
    }
}
