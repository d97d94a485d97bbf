//! A pass's operations across the boundary: what went in and out of each, and functions that compute it again.

mod far;
mod lent;

pub(super) use far::received;
pub(super) use lent::{Lent, hand_over};
