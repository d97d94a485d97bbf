//! Devices and the operations they run.
pub mod cpu;
