//! The schedules that come with Secateur: each says when to prune and how much, and has its file; `run` holds what they
//! share.

mod constant;
mod cubic;
mod exponential;
mod linear;
mod never;
mod one_shot;
mod periodic;
mod run;
