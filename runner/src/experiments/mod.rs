//! Many runs: sweeps that make them, the index that finds them again, statistics, comparisons, and how
//! to follow them.

pub mod claims;
pub mod cluster;
pub mod compare;
pub mod figures;
pub mod index;
pub mod information;
pub mod kept;
pub mod ranks;
mod record;
pub mod search;
mod sequential;
mod statistics;
pub mod sweep;
mod ties;
pub mod watch;
