//! What people see of a run: progress while it goes on, pictures, its report, and files for other programs.

mod export;
mod page;
mod pictures;
mod progress;
mod protobuf;
mod report;
mod share;
mod size_table;
mod tensorboard;
mod validated;

pub use export::{Exported, Format, agree, export};
pub use page::page;
pub use pictures::{Mask, PICTURES, Shown, mask, png};
pub use progress::Progress;
pub use report::{Chart, Column, Curves, Scale, Series, Thinned, headlines, kept, render as report, rounded, thinned};
pub use share::percent;
pub use size_table::size_table;
pub use tensorboard::{Ended, EventFile, KeptEvents};
pub use validated::validated;
