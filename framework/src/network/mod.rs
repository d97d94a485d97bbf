//! A network: what its parameters are, what they hold, and how an example passes through it.

pub mod compressor;
pub mod forward;
pub mod given;
pub mod graph;
pub mod init;
pub mod layout;
pub mod model;
pub mod model_file;
pub mod params;
pub mod plan;
