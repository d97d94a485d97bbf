//! Plugins: known by kind and name, linked in or loaded from dynamic libraries, and held to the same properties.

pub mod boundary;
pub mod conformance;
pub mod registry;
