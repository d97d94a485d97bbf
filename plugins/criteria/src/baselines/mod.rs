//! What a criterion must beat: no knowledge at all, the right shares without the right choice, and the reverse of one.

mod order;
mod random;
mod shuffled;
mod worst;
