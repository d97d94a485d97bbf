//! Runtimes that a Python on this machine has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::torch::Written;
use crate::failure::Failure;

/// How the scripts end where the runtime is not there.
const ABSENT: i32 = 71;

const ONNXRUNTIME: &str = r#"
import sys
try:
    import numpy
    import onnxruntime
except ImportError:
    sys.exit(71)
folder, dims = sys.argv[1], [int(d) for d in sys.argv[2:]]
given = numpy.fromfile(folder + "/given", "<f4").reshape(dims)
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
session = onnxruntime.InferenceSession(folder + "/network.onnx", options, providers=["CPUExecutionProvider"])
found = session.run(None, {session.get_inputs()[0].name: given})[0]
found.astype("<f4").tofile(folder + "/found")
"#;

const PYTORCH: &str = r#"
import importlib.util
import sys
try:
    import torch
except ImportError:
    sys.exit(71)
sys.dont_write_bytecode = True
folder, dims = sys.argv[1], [int(d) for d in sys.argv[2:]]
spec = importlib.util.spec_from_file_location("network", folder + "/network.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with open(folder + "/given", "rb") as file:
    given = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(dims)
with torch.no_grad():
    found = module.load()(given)
with open(folder + "/found", "wb") as file:
    file.write(bytes(found.contiguous().clone().untyped_storage()))
"#;

/// What onnxruntime gives; `None` where there is none.
pub fn onnxruntime(file: &[u8], given: &[f32], dims: &[usize]) -> Result<Option<Vec<f64>>, Failure> {
    run("onnxruntime", ONNXRUNTIME, &[("network.onnx", file)], given, dims)
}

/// What the exported file gives in PyTorch; `None` where there is none.
pub fn pytorch(written: &Written, given: &[f32], dims: &[usize]) -> Result<Option<Vec<f64>>, Failure> {
    let files = [("network.py", written.text.as_bytes()), ("network.bin", &written.weights)];
    run("PyTorch", PYTORCH, &files, given, dims)
}

fn run(
    what: &str,
    script: &str,
    files: &[(&str, &[u8])],
    given: &[f32],
    dims: &[usize],
) -> Result<Option<Vec<f64>>, Failure> {
    let failed = |why: String| Failure::Failed(format!("the exported network does not run in {what}: {why}"));
    let folder = Folder::new().map_err(|error| failed(error.to_string()))?;
    let bytes: Vec<u8> = given.iter().flat_map(|v| v.to_le_bytes()).collect();
    for (name, content) in files.iter().copied().chain([("given", &bytes[..])]) {
        fs::write(folder.0.join(name), content).map_err(|error| failed(error.to_string()))?;
    }
    let mut command = Command::new(interpreter());
    command.args(["-c", script]).arg(&folder.0).args(dims.iter().map(ToString::to_string)).stdin(Stdio::null());
    let Ok(ended) = command.output() else { return Ok(None) };
    match ended.status.code() {
        Some(0) => {}
        Some(ABSENT) => return Ok(None),
        // 127: the name of an interpreter that is a shim for none.
        Some(127) => return Ok(None),
        _ => {
            // What was raised stands last; above it is where in the script, which is ours.
            let said = String::from_utf8_lossy(&ended.stderr);
            let raised = said.trim().lines().next_back().unwrap_or("it ended without a word").trim();
            let fix = format!(
                "with an older {what}, install a newer one, or have SECATEUR_PYTHON name a Python without it; nothing \
                 was written"
            );
            return Err(failed(format!("{raised}\n  fix: {fix}")));
        }
    }
    let found = fs::read(folder.0.join("found")).map_err(|error| failed(error.to_string()))?;
    Ok(Some(found.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()))
}

/// The interpreter that is named, that of the active environment, or the first on the path.
fn interpreter() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let inside = |root: std::ffi::OsString| Some(Path::new(&root).join("bin/python")).filter(|path| path.is_file());
    let active = || ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().find_map(|name| inside(set(name)?));
    set("SECATEUR_PYTHON").map(PathBuf::from).or_else(active).unwrap_or_else(|| "python3".into())
}

/// A folder of its own that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let unique = format!("secateur-export-{}-{:?}", std::process::id(), std::time::Instant::now());
        let plain = unique.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect::<String>();
        let path = env::temp_dir().join(plain);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
