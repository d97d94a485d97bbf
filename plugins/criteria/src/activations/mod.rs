//! Criteria that look at what passes through the network.

mod awsc;
mod contribution_rank;
mod hrank;
mod inputs;
mod ria;
mod wanda;
