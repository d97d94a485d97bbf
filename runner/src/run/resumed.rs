//! Whether a run may go on from the checkpoint in its folder: only as the run that it was, on the same data, by the
//! same build, on the same kind of processor, unless the person who asks for it accepts what changed.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use secateur::training::checkpoint_name;
use toml::Table;

use super::folder::{CONFIG, PROVENANCE, RunDir};
use super::made::Made;
use super::provenance;
use super::saved::Saved;
use crate::config::{Content, Resolved, earlier_identity, identity_of};
use crate::engine::Workbench;
use crate::failure::Failure;

/// Checks a checkpoint against this process, and notes in the provenance what was accepted.
///
/// # Errors
/// The data, the build or the vector instructions are others and that was not accepted; a provenance that cannot be
/// written. A checkpoint that is damaged is left to whoever goes on from it.
pub fn same_or_accepted(config: &Resolved, folder: &RunDir, saved: &Saved, accept: bool) -> Result<(), Failure> {
    let Ok(name) = checkpoint_name(&saved.bytes) else { return Ok(()) };
    let changes = Made::here(config).changes(&Made::of(&name).1);
    if changes.is_empty() {
        return Ok(());
    }
    let dir = folder.path().display();
    if !accept {
        return Err(Failure::Usage(format!(
            "{dir}: the checkpoint was made with something else, so that other bits may follow\n  {}\n  fix: go on where \
             everything is as it was, or accept the change: secateur run --resume {dir} --accept-changed (a sweep takes \
             --accept-changed too)",
            changes.join("\n  ")
        )));
    }
    let text = fs::read_to_string(folder.path().join(PROVENANCE)).unwrap_or_default();
    // A provenance that is damaged says less, and stops nobody.
    if let Ok(text) = provenance::with_changes(&text, "the checkpoint that was gone on from", &changes) {
        folder.write(PROVENANCE, text.as_bytes())?;
    }
    Ok(())
}

/// The name under which a checkpoint was taken, where its run is this one; else the name that this one has, so that the
/// checkpoint is refused.
///
/// A run is the same on files of other content, which [`same_or_accepted`] has looked at. In a folder that an earlier version
/// began, the name is a hash of the whole config there, or of one in which the data's place stood for its content.
pub fn name_of(saved: &Saved, config: &Resolved, folder: &RunDir, workbench: &Workbench) -> String {
    let own = Made::here(config).name(&config.identity());
    let Ok(name) = checkpoint_name(&saved.bytes) else { return own };
    if saved.kept.is_some() {
        return name;
    }
    let (identity, made) = Made::of(&name);
    let own_content = config.content().clone();
    let there = Content { data: made.data.or(own_content.data), init: made.init.or(own_content.init) };
    let on_its_files = config.identity_on(&there);
    let begun = || folder.config().ok().filter(|begun| config.differences(begun, workbench).is_empty());
    let same = identity == config.identity()
        || on_its_files == identity
        || begun()
            .is_some_and(|begun| identity == earlier_identity(&begun) || identity == identity_of(&begun, workbench));
    if same { name } else { own }
}

/// The config that the run of a folder was begun with.
///
/// # Errors
/// It cannot be read, or is not TOML.
pub fn config_of(folder: &Path) -> Result<Table, Failure> {
    let path = folder.join(CONFIG);
    let unreadable = |error: &dyn Display| Failure::Failed(format!("{}: cannot read it: {error}", path.display()));
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&error))?;
    text.parse().map_err(|error: toml::de::Error| unreadable(&error))
}
