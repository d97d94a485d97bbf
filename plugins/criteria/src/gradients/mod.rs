//! Criteria that look at gradients: those of training, or of questions of their own.

mod gradient;
mod grasp;
mod movement;
mod obd;
mod snip;
mod synflow;
mod taylor;
