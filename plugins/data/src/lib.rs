//! Data sets: those that are made in memory, and readers of those that lie in files.

// What readers take of a damaged file is measured.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: secateur_fuzz::Counting = secateur_fuzz::Counting;

mod cifar;
mod cifar10;
mod cifar100;
mod cubist_spiral;
mod fashion_mnist;
mod gaussian;
mod gaussian_memorisation;
mod glyphs;
pub mod idx;
mod image_folder;
mod index_model;
mod mnist;
mod teacher_student;
#[cfg(test)]
mod testing;

pub use cifar10::Cifar10;
pub use cifar100::{Cifar100, Cifar100Labels};
pub use cubist_spiral::CubistSpiral;
pub use fashion_mnist::FashionMnist;
pub use gaussian_memorisation::{GaussianMemorisation, MemorisationOptions};
pub use glyphs::Glyphs;
pub use image_folder::ImageFolder;
pub use index_model::{IndexModel, IndexOptions, Link};
pub use mnist::Mnist;
pub use teacher_student::{TeacherOptions, TeacherStudent};
