//! Runs and sweeps while they go on: what their folders say, looked at again and again. Nothing is written.

mod runs;
mod server;
mod tail;
mod terminal;
mod view;

pub use runs::Watched;
pub use server::Server;
pub use terminal::text;
