//! What the tests of several data sets share.

use secateur::prelude::*;
use std::env;
use std::path::{Path, PathBuf};

/// Opens a set whose files lie in `dir`.
pub fn in_folder(source: &dyn DataSource, dir: &Path) -> Result<Examples> {
    source.open(&Folders { dir: Some(dir.to_owned()), ..Folders::default() }, &mut |_| ())
}

/// The folder of a real data set, where there is one: in `$SECATEUR_DATA`, or in `shared/data` beside the workspace.
pub fn real(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let roots = [env::var_os("SECATEUR_DATA").map(PathBuf::from), Some(beside)];
    let found = roots.into_iter().flatten().map(|root| root.join(name)).find(|dir| dir.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: the real {name} is not here; set SECATEUR_DATA to the folder that holds it");
    }
    found
}
