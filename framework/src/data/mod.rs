//! Data sets: found or generated, split by seed, delivered as batches of normalised host memory.

mod batches;
mod cifar;
mod config;
mod dataset;
mod error;
mod file;
mod glyphs;
pub mod idx;
mod image_folder;
mod locate;
mod mnist;
mod normalize;
mod random;
mod sources;
mod spiral;
mod split;

pub use crate::backend::{Pick, Picks, Values};
pub use batches::{Batches, Order};
pub use cifar::{Cifar100Labels, Cifar100Options};
pub use config::{Augment, DataConfig, Holdout};
pub use dataset::{Dataset, Origin, Part, SourceFile, Split};
pub use error::{DataError, Found, Place};
pub use glyphs::GlyphOptions;
pub use image_folder::ImageFolderOptions;
pub use locate::Surroundings;
pub use normalize::{Normalize, Normalizer, Statistics};
pub use sources::{DataInfo, LoadProgress, Opened, Report, check, list, load, load_from, open};
pub use spiral::SpiralOptions;
