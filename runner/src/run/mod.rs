//! One run: its folder, what is recorded there, and how it is carried out from a config to its results.

mod checkpoints;
mod error;
mod event_log;
mod execute;
mod files;
mod folder;
mod interrupt;
mod provenance;
mod recorder;
mod survival;

pub use error::RunDirError;
pub use event_log::EVENTS;
pub use execute::{begin, execute};
pub use files::write_whole;
pub use folder::{
    COMPRESSED, CONFIG, MODEL, Opened, PROVENANCE, REPORT, RunDir, SUMMARY, SURVIVAL, SWEEP, Saved, is_finished,
};
pub use interrupt::Interrupt;
pub use survival::Survival;
