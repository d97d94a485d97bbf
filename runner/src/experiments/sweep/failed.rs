//! Cells whose failure would come again: they are recorded, and not tried again unless that is asked for.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Table;

use crate::failure::Failure;
use crate::run::{BUILD, PROVENANCE, RunDirError, SUMMARY, SWEEP, write_whole};

/// What is noted in [`SWEEP`].
const FAILS: &str = "fails";
const ALWAYS: &str = "always";

/// Whether a run that ended like this would end like this again: it is the same run, to the bit. What is wrong with an
/// option is known on the CPU; elsewhere the device may be at fault.
pub fn is_certain(failure: &Failure, device: &str) -> bool {
    matches!(failure, Failure::Certain(_)) || matches!(failure, Failure::Usage(_)) && device == "cpu"
}

/// Notes in a run's folder that it would fail again.
///
/// # Errors
/// It cannot be written.
pub fn note(folder: &Path) -> Result<(), RunDirError> {
    let path = folder.join(SWEEP);
    let mut part: Map<String, Value> = read(&path);
    part.insert(FAILS.to_owned(), ALWAYS.into());
    write_whole(&path, Value::Object(part).to_string().as_bytes())
}

/// Why the run of a folder would fail again; `None` where it did not fail, or would not for all that is known: another
/// build of the program may do better.
pub fn reason(folder: &Path) -> Option<String> {
    let summary = read(&folder.join(SUMMARY));
    let failed = summary.get("status").is_some_and(|status| status == "failed");
    let always = || read(&folder.join(SWEEP)).get(FAILS).is_some_and(|fails| fails == ALWAYS);
    let provenance = || fs::read_to_string(folder.join(PROVENANCE)).ok()?.parse::<Table>().ok();
    let build = || Some(provenance()?.get("made")?.get("build")?.as_str()? == BUILD);
    (failed && always() && build() == Some(true))
        .then(|| summary.get("error").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn read(path: &Path) -> Map<String, Value> {
    fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
