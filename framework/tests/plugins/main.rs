//! The plugin boundary: the same sources linked in and loaded, files that are refused, plugins that fail, plugins in C.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[cfg(target_os = "linux")]
mod beside;
mod c;
mod faults;
mod refusals;
mod runs;
mod same_bits;
mod templates;

// Linked into this test binary; the same files are built as libraries.
#[path = "../../examples/plugins/everything.rs"]
mod everything;
#[path = "../../examples/plugins/taylor.rs"]
mod taylor;

use secateur::plugins::registry::Registry;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The file of an example plugin, built in this test's profile.
fn library(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
        // `cargo test --test plugins` does not build examples; where they are built already this takes no time.
        let name = profile.file_name().unwrap().to_str().unwrap();
        let name = if name == "debug" { "dev" } else { name };
        let args = ["build", "--quiet", "--package", "secateur", "--examples", "--profile", name];
        assert!(Command::new(env!("CARGO")).args(args).status().unwrap().success(), "the example plugins build");
        profile.join("examples")
    });
    folder.join(format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}

/// A registry of these libraries alone.
fn loaded(names: &[&str]) -> Registry {
    let mut registry = Registry::default();
    names.iter().for_each(|n| drop(registry.load(&library(n), None).unwrap()));
    registry
}

/// A C plugin, compiled from a file of `examples/plugins` or from text.
fn compiled(folder: &Path, name: &str, source: &str) -> PathBuf {
    linked(folder, name, source, &[])
}

/// The same, with more for the compiler and the linker.
fn linked(folder: &Path, name: &str, source: &str, more: &[&str]) -> PathBuf {
    let file = folder.join(format!("{name}.c"));
    let output = folder.join(format!("lib{name}{}", std::env::consts::DLL_SUFFIX));
    std::fs::write(&file, source).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let strict = [
        "-shared",
        "-fPIC",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-missing-field-initializers",
        "-Wno-unused-function",
        "-I",
        include,
    ];
    let status = Command::new("cc")
        .args(strict)
        .arg("-o")
        .args([&output, &file])
        .args(more)
        .status()
        .expect("a C compiler, `cc`");
    assert!(status.success(), "{name}.c compiles");
    output
}

const SQUARE: &str = include_str!("../../examples/plugins/square.c");
