//! Compiles the CUDA kernels to PTX, and lists them for the program.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

/// Where kernels lie, in a folder for each family; they name each other's headers from here.
const FOLDER: &str = "src/backend/cuda";
/// Compute capabilities: a GPU takes the newest that is not newer than itself.
const ARCHS: &str = "75,80,90";
/// Driver that a build without kernels asks for: what dfdx needs.
const UNCOMPILED: &str = "11.4";

/// Writes `cuda_kernels.rs` into Cargo's output folder; the images are empty where nothing is compiled.
pub fn build(compile: bool) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    for name in ["SECATEUR_CUDA_ARCHS", "CUDA_ROOT", "CUDA_PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = sources(Path::new(FOLDER))?;

    let mut images = String::new();
    let mut version = UNCOMPILED.to_owned();
    if compile {
        let nvcc = nvcc()?;
        version = version_of(&nvcc)?;
        let archs = env::var("SECATEUR_CUDA_ARCHS").unwrap_or_else(|_| ARCHS.into());
        let mut archs =
            archs.split(',').map(|a| a.trim().parse::<u32>()).collect::<Result<Vec<_>, _>>().map_err(|_| {
                format!(
                    "SECATEUR_CUDA_ARCHS = {archs}: it must list compute capabilities without their dot, as in {ARCHS}"
                )
            })?;
        archs.sort_unstable();
        let jobs: Vec<(&PathBuf, u32)> = files.iter().flat_map(|f| archs.iter().map(move |a| (f, *a))).collect();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let failed = thread::scope(|scope| {
            let run = |first: usize| {
                let mine = jobs.iter().skip(first).step_by(threads);
                mine.filter_map(|(f, a)| ptx(&nvcc, f, *a, &out).err().map(|e| e.to_string())).next()
            };
            let workers: Vec<_> = (0..threads).map(|t| scope.spawn(move || run(t))).collect();
            workers.into_iter().find_map(|w| w.join().expect("compiling does not panic"))
        });
        if let Some(e) = failed {
            return Err(e.into());
        }
        for arch in archs {
            write!(
                images,
                "({arch}, concat!(include_str!(concat!(env!(\"OUT_DIR\"), \"/NAME.{arch}.ptx\")), \"\\0\")), "
            )?;
        }
    }
    let mut table = String::from("static SOURCES: &[Source] = &[\n");
    for file in &files {
        let name = name_of(file);
        let source = fs::read_to_string(file)?;
        let kernels = kernels_of(&source);
        let images = images.replace("NAME", &name);
        writeln!(table, "    Source {{ name: {name:?}, kernels: &{kernels:?}, images: &[{images}] }},")?;
    }
    table.push_str("];\n");
    fs::write(out.join("cuda_kernels.rs"), table)?;
    println!("cargo::rustc-env=SECATEUR_CUDA_VERSION={version}");
    Ok(())
}

/// Files of kernels in a folder and those in it, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "cu") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `conv-weight` for the kernels in `conv/weight.cu`.
fn name_of(file: &Path) -> String {
    let inside = file.strip_prefix(FOLDER).unwrap_or(file).with_extension("");
    inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("-")
}

/// Names of the kernels that a file defines.
fn kernels_of(source: &str) -> Vec<&str> {
    let starts = source.lines().filter_map(|l| l.strip_prefix("extern \"C\" __global__ void "));
    let names = starts.map(|l| match l.strip_prefix("__launch_bounds__(") {
        Some(bounds) => bounds.split_once(") ").map_or(l, |(_, name)| name),
        None => l,
    });
    names.filter_map(|l| l.split('(').next()).collect()
}

fn nvcc() -> Result<PathBuf, Box<dyn Error>> {
    let roots = ["CUDA_ROOT", "CUDA_PATH"].iter().filter_map(env::var_os).map(|r| Path::new(&r).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = roots.chain(env::split_paths(&path)).chain([PathBuf::from("/usr/local/cuda/bin")]);
    let found = folders.map(|f| f.join("nvcc")).find(|f| f.is_file());
    found.ok_or_else(|| {
        "nvcc was not found under CUDA_ROOT, CUDA_PATH or on PATH. Install a CUDA toolkit, or assemble one with \
         framework/cuda/toolkit.sh and source the env.sh it writes. To check the code without a toolkit, use the feature \
         cuda-check instead of cuda."
            .into()
    })
}

/// `13.0`: the version of PTX that nvcc writes, and so the oldest driver.
fn version_of(nvcc: &Path) -> Result<String, Box<dyn Error>> {
    let said = Command::new(nvcc).arg("--version").output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.split("release ").nth(1).and_then(|v| v.split(',').next());
    version.map(str::to_owned).ok_or_else(|| format!("{} --version says no release: {said}", nvcc.display()).into())
}

fn ptx(nvcc: &Path, file: &Path, arch: u32, out: &Path) -> Result<(), Box<dyn Error>> {
    let to = out.join(format!("{}.{arch}.ptx", name_of(file)));
    let output = Command::new(nvcc)
        .args(["--ptx", "-O3", "--std=c++17", "-Werror", "all-warnings", "--include-path", FOLDER, "--output-file"])
        .args([to.as_os_str(), file.as_os_str()])
        .arg(format!("--gpu-architecture=compute_{arch}"))
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        return Err(format!("nvcc refuses {} for compute capability {arch}:\n{said}", file.display()).into());
    }
    Ok(())
}
