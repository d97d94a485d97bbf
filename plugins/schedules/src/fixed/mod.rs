//! One sparsity, or none.

mod constant;
mod never;
mod one_shot;
