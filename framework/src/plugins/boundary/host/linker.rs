//! Opening a library by the dynamic linker: the very file that was hashed, and what it expects beside itself.
//!
//! On Linux the linker is given the open file by its place in `/proc`, so that another file that has its name by now is
//! not taken for it. To the linker the library then lies in that place: `$ORIGIN` in its own search path, the folder of
//! the library, would be `/proc/self/fd`. What is searched for there is opened first, from where it really lies; the
//! linker knows it by its name (`DT_SONAME`) when the library asks for it.

use super::probe::Opened;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Opens a library whose file was read; `Err` says what cannot be opened, and why.
///
/// # Safety
/// Opening runs the constructors of the library and of what it needs.
pub(super) unsafe fn open(opened: Opened) -> Result<libloading::Library, String> {
    let Opened { found, file, beside } = opened;
    for path in beside {
        // SAFETY: promised by the caller; the linker would open it for the library in the same way.
        let needed = unsafe { load(&path) };
        let needed =
            needed.map_err(|e| format!("it needs {}, which cannot be opened: {}", path.display(), reason(&e)))?;
        // The library is never closed, so that nothing it needs is.
        std::mem::forget(needed);
    }
    let place = place(&found.path, file);
    // SAFETY: promised by the caller.
    let library = unsafe { load(&place) };
    library.map_err(|e| {
        let reason = reason(&e).replace(&*place.to_string_lossy(), &found.path.to_string_lossy());
        format!("it cannot be opened: {reason}{}", hint(&reason))
    })
}

fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// What helps where the linker did not find a library.
fn hint(reason: &str) -> &'static str {
    if !reason.contains("cannot open shared object file") {
        return "";
    }
    "\n  fix: install that library, or put it where the search path of this one (DT_RUNPATH) says; one that is found by \
     `$ORIGIN` needs its name in it: link it with -Wl,-soname,NAME"
}

/// Where the dynamic linker finds the file that was hashed. The file stays open until the end, as the library does: the
/// linker takes two libraries of one place for the same.
#[cfg(target_os = "linux")]
fn place(path: &Path, file: File) -> PathBuf {
    use std::os::fd::IntoRawFd as _;
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.into_raw_fd()));
    if open.exists() { open } else { path.into() }
}

#[cfg(not(target_os = "linux"))]
fn place(path: &Path, _: File) -> PathBuf {
    path.into()
}

#[cfg(unix)]
unsafe fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // At once, so that a missing symbol is an error here and not the end of the process later; local, so that two
    // plugins cannot take each other's functions. SAFETY: promised by the caller.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

#[cfg(not(unix))]
unsafe fn load(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: promised by the caller.
    unsafe { libloading::Library::new(path) }
}

/// The libraries that one in `folder` finds by `$ORIGIN`, in the order in which it names them.
pub(super) fn beside(file: &object::File<'_>, folder: &Path) -> Vec<PathBuf> {
    let named = match file {
        object::File::Elf32(file) => elf::named(file),
        object::File::Elf64(file) => elf::named(file),
        _ => None,
    };
    let Some((needed, searched)) = named.filter(|_| cfg!(target_os = "linux")) else { return vec![] };
    let origin = folder.to_string_lossy();
    let found = |name: &String| {
        let places = searched.iter().map(|entry| {
            let place = entry.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
            (place != *entry, Path::new(&place).join(name))
        });
        // The first place counts; where it is named without `$ORIGIN`, the linker finds it by itself.
        let (by_origin, path) = places.into_iter().find(|(_, path)| path.is_file())?;
        by_origin.then_some(path)
    };
    needed.iter().filter_map(found).collect()
}

mod elf {
    use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH};
    use object::read::elf::{Dyn as _, ElfFile, FileHeader};

    /// The libraries that one needs, and the entries of its own search path.
    pub fn named<H: FileHeader>(file: &ElfFile<'_, H>) -> Option<(Vec<String>, Vec<String>)> {
        let (endian, data, sections) = (file.endian(), file.data(), file.elf_section_table());
        let (entries, strings) = sections.dynamic(endian, data).ok()??;
        let strings = sections.strings(endian, data, strings).ok()?;
        let (mut needed, mut searched) = (vec![], vec![]);
        for entry in entries {
            let text = || Some(String::from_utf8_lossy(entry.string(endian, strings).ok()?).into_owned());
            match entry.tag32(endian) {
                Some(DT_NEEDED) => needed.extend(text().filter(|name| !name.contains('/'))),
                Some(DT_RPATH | DT_RUNPATH) => {
                    searched.extend(text().iter().flat_map(|all| all.split(':')).map(str::to_owned));
                }
                _ => {}
            }
        }
        Some((needed, searched))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_loaded_is_what_was_opened_whatever_has_its_name_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.so"), folder.path().join("b.so"));
        std::fs::write(&path, "hashed").unwrap();
        std::fs::write(&other, "slipped in").unwrap();
        let open = File::open(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "slipped in");
        assert_eq!(std::fs::read_to_string(place(&path, open)).unwrap(), "hashed");
    }
}
