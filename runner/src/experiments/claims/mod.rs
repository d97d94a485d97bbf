//! What a sweep was made to show: claims that stand in its config before it runs, and what its runs say of each.

mod judged;
mod shown;
mod stated;

pub use judged::{Judged, judge};
pub use shown::{json, lines, table};
pub use stated::{Claim, Noted, note_before, noted};
