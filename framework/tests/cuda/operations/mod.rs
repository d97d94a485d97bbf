//! Operations, one file a family.

mod attention;
mod contribution;
mod conv;
mod draw;
mod dropout;
mod elementwise;
mod linear;
mod loss;
mod merging;
mod norm;
mod optimizer;
mod pool;
mod ranking;
mod reduce;
mod tokens;
