//! A plugin that brings a library along, and finds it by `$ORIGIN`.

use crate::{SQUARE, linked};
use secateur::backend::Cpu;
use secateur::plugins::registry::Registry;
use std::path::{Path, PathBuf};

/// A plugin in `folder` whose scores come from a library in `folder/lib`, linked with `name` for its own name. The
/// linker knows every library of a process by its name: each test has its own.
fn plugin(folder: &Path, library: &str, name: &str) -> PathBuf {
    let lib = folder.join("lib");
    std::fs::create_dir_all(&lib).unwrap();
    linked(&lib, library, "float elsewhere(float w); float elsewhere(float w) { return w * w; }\n", &[name]);
    let declared = "extern float elsewhere(float);\nstatic int32_t score";
    let source = SQUARE.replace("static int32_t score", declared).replace("w[i] * w[i]", "elsewhere(w[i])");
    assert!(source.contains("* elsewhere(w[i])"));
    let at = format!("-L{}", lib.display());
    linked(folder, "square", &source, &[&at, &format!("-l{library}"), "-Wl,-rpath,$ORIGIN/lib"])
}

fn refused(file: &Path) -> String {
    Registry::default().load(file, None).unwrap_err().to_string()
}

#[test]
fn is_opened_with_it_wherever_both_lie() {
    let folder = tempfile::tempdir().unwrap();
    let before = plugin(folder.path(), "elsewhere", "-Wl,-soname,libelsewhere.so");
    let moved = folder.path().join("moved");
    std::fs::create_dir(&moved).unwrap();
    std::fs::rename(folder.path().join("lib"), moved.join("lib")).unwrap();
    let file = moved.join(before.file_name().unwrap());
    std::fs::rename(&before, &file).unwrap();
    let mut registry = Registry::default();
    registry.load(&file, None).unwrap();
    assert!(registry.criterion::<Cpu>("square", &secateur::options::Table::new()).is_ok());
}

#[test]
fn says_what_is_missing_where_the_linker_cannot_know_it_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = plugin(folder.path(), "other", "-Wl,-soname,libother.so.1");
    let text = refused(&file);
    assert!(text.contains("libother.so.1: cannot open shared object file") && text.contains("-soname"), "{text}");
    assert!(text.contains("libsquare.so") && !text.contains("/proc/self/fd"), "{text}");
    std::fs::write(folder.path().join("lib/libother.so.1"), "no library").unwrap();
    let text = refused(&file);
    assert!(text.contains("it needs ") && text.contains("lib/libother.so.1, which cannot be opened"), "{text}");

    let nameless = plugin(&folder.path().join("nameless"), "nameless", "-Wl,-z,now");
    assert!(refused(&nameless).contains("-soname"), "{}", refused(&nameless));
}
