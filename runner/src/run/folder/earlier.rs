//! What an earlier run left in a folder: removed, or kept aside where it may have cost hours.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::{CHECKPOINT, FILES, RunDir};
use crate::output::PICTURES;
use crate::run::error::{RunDirError, failed};
use crate::run::files::sync_folder;

/// How the folders begin into which an earlier run goes until its successor has come to its end.
const EARLIER: &str = ".earlier-";

/// What `secateur export` makes of the network, unless other names are given.
const EXPORTED: [&str; 4] = ["network.py", "network.bin", "network.onnx", "network.safetensors"];

impl RunDir {
    /// The folders into which earlier runs went, the latest last.
    pub fn earlier(&self) -> Vec<PathBuf> {
        let mut all: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.strip_prefix(EARLIER)?.parse().ok());
            all.extend(number.map(|number| (number, entry.path())));
        }
        all.sort();
        all.into_iter().map(|(_, path)| path).collect()
    }

    /// Puts everything of an earlier run into a folder of its own. The summary goes first, so that a crash in between
    /// leaves nothing that looks finished.
    pub(super) fn set_aside(&self) -> Result<(), RunDirError> {
        let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(EARLIER)?.parse::<u64>().ok();
        let next = self.earlier().last().and_then(number).unwrap_or(0) + 1;
        let aside = self.path.join(format!("{EARLIER}{next}"));
        fs::create_dir(&aside).map_err(failed(&aside, "create it"))?;
        for name in FILES.into_iter().chain(EXPORTED).chain([PICTURES, CHECKPOINT]) {
            let path = self.path.join(name);
            match fs::rename(&path, aside.join(name)) {
                Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed(&path, "move it")(source)),
                _ => {}
            }
        }
        sync_folder(&aside).and_then(|()| sync_folder(&self.path)).map_err(failed(&self.path, "write it"))
    }

    /// Removes an earlier run. The summary goes first, so that a crash in between leaves nothing that looks finished.
    pub(super) fn clear(&self) -> Result<(), RunDirError> {
        for name in FILES.into_iter().chain(EXPORTED) {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed(&path, "remove it")(source)),
                _ => {}
            }
        }
        for name in [PICTURES, CHECKPOINT] {
            let path = self.path.join(name);
            match fs::remove_dir_all(&path) {
                Err(source) if source.kind() != ErrorKind::NotFound => return Err(failed(&path, "remove it")(source)),
                _ => {}
            }
        }
        sync_folder(&self.path).map_err(failed(&self.path, "write it"))
    }
}
