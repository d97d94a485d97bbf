//! Embeds `configs/` into the program, so that config names work from any folder, and gives the build a name of its
//! own: kernels change bits under one version.

use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../configs");
    // A directory is watched whole: added and removed files rebuild too.
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut code = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&root)?.with_extension("");
        let name = name.to_str().ok_or("config names must be UTF-8")?.replace('\\', "/");
        writeln!(code, "    ({name:?}, include_str!({:?})),", file.canonicalize()?)?;
    }
    code.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("configs.rs"), code)?;
    // No name that begins with SECATEUR_: cargo sets it for tests too, and the program reads those as keys of a config.
    println!("cargo::rustc-env=BUILD_DIGEST={}", build()?);
    Ok(())
}

/// A hash of what the bits of a result depend on: the code of every crate of the workspace, the versions of the others,
/// the compiler, and how it is told to compile. No path is among it, and nothing that only tests read.
fn build() -> Result<String, Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let mut crates = vec![root.join("framework"), root.join("runner")];
    for entry in fs::read_dir(root.join("plugins"))? {
        crates.push(entry?.path());
    }
    let inside = crates.iter().flat_map(|one| ["Cargo.toml", "build.rs", "build", "src"].map(|name| one.join(name)));
    let mut files = Vec::new();
    for path in inside.chain(["Cargo.toml", "Cargo.lock"].map(|name| root.join(name))).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
        if path.is_dir() { code(&path, &mut files)? } else { files.push(path) }
    }
    files.sort();
    let mut hash = DefaultHasher::new();
    for file in files {
        file.strip_prefix(&root)?.to_str().hash(&mut hash);
        fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?.hash(&mut hash);
    }
    let compiler = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("-vV").output()?.stdout;
    compiler.hash(&mut hash);
    for name in ["TARGET", "PROFILE", "OPT_LEVEL", "CARGO_ENCODED_RUSTFLAGS", "CARGO_FEATURE_CUDA"] {
        env::var(name).ok().hash(&mut hash);
    }
    Ok(format!("{:016x}", hash.finish()))
}

/// The source files of a folder, and of those in it.
fn code(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            code(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "cu", "cuh", "h"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}
