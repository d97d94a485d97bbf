//! The token compressors that come with Secateur: each makes fewer tokens of many, and has its file.

mod none;
mod token_merging;
