//! The compiler and target that a plugin's stamp names; the CUDA kernels where they are wanted.

use std::process::Command;

#[path = "build/kernels.rs"]
mod kernels;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("-V").output().ok().and_then(|o| String::from_utf8(o.stdout).ok());
    println!("cargo::rustc-env=SECATEUR_RUSTC={}", version.as_deref().map_or("unknown", str::trim));
    println!("cargo::rustc-env=SECATEUR_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let wanted = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if wanted("CUDA")
        && let Err(e) = kernels::build(!wanted("CUDA_CHECK"))
    {
        eprintln!("{e}");
        std::process::exit(1);
    }
}
