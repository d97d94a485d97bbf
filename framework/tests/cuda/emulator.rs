//! Builds the emulated GPU: the kernels as C++ with a small libcuda and libcublas around them, by the `c++` of this
//! machine.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

const KERNELS: &str = "framework/src/backend/cuda";
const EMULATED: &str = "framework/tests/cuda/emulated";
const FLAGS: [&str; 9] = [
    "-std=c++17",
    "-O2",
    "-g1",
    "-march=native",
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Wno-unknown-pragmas",
    "-DEMULATED_CUDA",
];
/// For kernels alone: each read and write calls the emulator, and what C++ leaves undefined stops the program.
const CHECKS: [&str; 3] = [
    "-fsanitize=thread",
    "-fsanitize=alignment,bounds,shift,signed-integer-overflow,integer-divide-by-zero,float-cast-overflow",
    "-fsanitize-undefined-trap-on-error",
];

/// Whether the tests run on this machine's GPU.
pub fn is_real() -> bool {
    env::var("SECATEUR_TEST_CUDA").is_ok_and(|v| v == "real")
}

/// The folder that holds the emulated libraries; built where the sources changed.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build)
}

/// Opens the emulated libraries, so that the framework finds these under the names it looks for: driver, cuBLAS.
pub fn open() -> &'static [libloading::Library; 2] {
    static LIBRARIES: OnceLock<[libloading::Library; 2]> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        // SAFETY: these libraries do nothing when they are opened but fill a table.
        ["libcuda.so.1", "libcublas.so.13"]
            .map(|name| unsafe { libloading::Library::new(folder().join(name)).unwrap() })
    })
}

/// How often the calling thread has done something: `copies_to_host`, `copies_to_device`, `launches`, `products`,
/// `allocations`.
pub fn counter(name: &str) -> u64 {
    let [driver, cublas] = open();
    let library = if name == "products" { cublas } else { driver };
    // SAFETY: the emulated libraries declare their counters so.
    unsafe { library.get::<extern "C" fn() -> u64>(format!("emulated_{name}").as_str()).unwrap()() }
}

fn build() -> PathBuf {
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emulated-cuda");
    fs::create_dir_all(&work).unwrap();
    let headers = sources(KERNELS, "cuh").into_iter().chain(sources(EMULATED, "h"));
    let mut common = DefaultHasher::new();
    headers.for_each(|h| fs::read(h).unwrap().hash(&mut common));
    (FLAGS, CHECKS).hash(&mut common);

    let mut jobs = Vec::new();
    for kernels in sources(KERNELS, "cu") {
        let text = fs::read_to_string(&kernels).unwrap();
        let kernels_of = |l: &str| {
            let l = l.strip_prefix("extern \"C\" __global__ void ")?;
            let l = l.strip_prefix("__launch_bounds__(").map_or(l, |bounds| bounds.split_once(") ").unwrap().1);
            l.split('(').next().map(str::to_owned)
        };
        let names = text.lines().filter_map(kernels_of);
        let define: String = names.map(|n| format!("DEFINE({n});\n")).collect();
        let text = format!("#include \"{}\"\n// {:x}\n{define}", kernels.display(), hash(&common, &text));
        let name = kernels.strip_prefix(within(KERNELS)).unwrap().to_str().unwrap().replace('/', "-");
        let unit = work.join(name).with_extension("cc");
        if fs::read_to_string(&unit).is_ok_and(|old| old == text) && unit.with_extension("o").exists() {
            jobs.push((unit, false));
        } else {
            fs::write(&unit, text).unwrap();
            jobs.push((unit, true));
        }
    }
    for file in sources(EMULATED, "cc") {
        let text = fs::read_to_string(&file).unwrap();
        let text = format!("#include \"{}\"\n// {:x}\n", file.display(), hash(&common, &text));
        let unit = work.join(format!("emulated-{}", file.file_name().unwrap().to_str().unwrap()));
        let fresh = !(fs::read_to_string(&unit).is_ok_and(|old| old == text) && unit.with_extension("o").exists());
        if fresh {
            fs::write(&unit, text).unwrap();
        }
        jobs.push((unit, fresh));
    }

    let cxx = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let compile = |unit: &Path| {
        let mut command = Command::new(&cxx);
        let is_kernels = !unit.file_name().unwrap().to_str().unwrap().starts_with("emulated-");
        command
            .args(FLAGS)
            .args(is_kernels.then_some(CHECKS).into_iter().flatten())
            .arg("-I")
            .arg(within(EMULATED))
            .arg("-I")
            .arg(within(KERNELS))
            .arg("-c")
            .arg(unit);
        // Written under another name first: an interrupted run leaves no half object behind.
        let half = unit.with_extension("half");
        let output = command.arg("-o").arg(&half).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{cxx} refuses {}:\n{said}", unit.display());
        eprint!("{said}");
        fs::rename(half, unit.with_extension("o")).unwrap();
    };
    let stale: Vec<&PathBuf> = jobs.iter().filter(|(_, fresh)| *fresh).map(|(u, _)| u).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for first in 0..threads {
            let mine = stale.iter().skip(first).step_by(threads);
            scope.spawn(move || mine.for_each(|unit| compile(unit)));
        }
    });

    let object = |(unit, _): &(PathBuf, bool)| unit.with_extension("o");
    let (cublas, driver): (Vec<_>, Vec<_>) = jobs.iter().partition(|(u, _)| u.ends_with("emulated-cublas.cc"));
    for (soname, objects) in [("libcublas.so.13", cublas), ("libcuda.so.1", driver)] {
        let file = work.join(soname);
        if stale.is_empty() && file.exists() {
            continue;
        }
        let mut command = Command::new(&cxx);
        command.args(["-shared", &format!("-Wl,-soname,{soname}"), "-o"]).arg(&file);
        assert!(command.args(objects.into_iter().map(object)).status().unwrap().success(), "{soname} links");
    }
    work
}

fn hash(common: &DefaultHasher, text: &str) -> u64 {
    let mut hasher = common.clone();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A folder of the framework; tests of other crates use this file too.
fn within(folder: &str) -> PathBuf {
    let up = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    up.map(|dir| dir.join(folder)).find(|path| path.is_dir()).unwrap()
}

fn sources(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut folders = vec![within(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
