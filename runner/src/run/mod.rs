//! One run: its folder, what is recorded there, and how it is carried out from a config to its results.

mod best;
mod checkpoints;
mod error;
mod event_log;
mod execute;
mod files;
mod folder;
mod interrupt;
mod made;
mod provenance;
mod recorder;
mod resumed;
mod saved;
mod summary;
mod survival;

pub use error::RunDirError;
pub use event_log::{EVENTS, lines as log_lines};
pub use execute::{begin, execute};
pub use files::{remove_leftovers, write_asked, write_whole};
pub use folder::{
    CHECKPOINT, CLAIM, COMPRESSED, CONFIG, Claim, FORK, Held, JOB, MODEL, Opened, Owner, PROVENANCE, REPORT, RunDir,
    STEP, SUMMARY, SURVIVAL, SWEEP, has_checkpoint, paused_after,
};
pub use interrupt::Interrupt;
pub use made::{BUILD, Made};
pub use provenance::{ask_repository, made as made_there, with_changes};
pub use recorder::Recorder;
pub use resumed::{config_of, name_of, same_or_accepted};
pub use saved::Saved;
#[cfg(test)]
pub use summary::sealed;
pub use summary::{Damage, check_events, event_lines, is_finished, read_summary};
pub use survival::Survival;
