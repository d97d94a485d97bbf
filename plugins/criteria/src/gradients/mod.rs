//! Criteria that look at gradients: those of training, or of questions of their own.

pub mod autosparse;
mod gradient;
mod grasp;
mod movement;
mod obd;
mod snip;
mod synflow;
mod taylor;
