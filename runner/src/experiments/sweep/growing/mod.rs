//! Sweeps whose plan grows: seeds that are added until comparisons are settled, and searches. Each is a series of plans
//! that do not change, and each of these follows from what the runs of those before it came to.

mod corners;
mod figures;
mod finalists;
mod points;
mod searched;
mod trial;
mod trials;
mod until;
mod waves;

pub use corners::{corners, rungs};
pub use searched::Searched;
pub use trials::{Leg, Part, Trials};
pub use until::Until;
pub use waves::Waves;
