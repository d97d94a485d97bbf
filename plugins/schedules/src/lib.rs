//! The schedules that come with Secateur: each says when to prune and how much, and has its file; `run` holds what they
//! share.

mod curves;
mod epochs;
mod fixed;
mod guided;
mod run;
