//! The criteria that come with Secateur: each says what a weight or a unit is worth, and has its file.

mod contribution_rank;
mod magnitude;
mod order;
mod random;
mod shuffled;
mod worst;
