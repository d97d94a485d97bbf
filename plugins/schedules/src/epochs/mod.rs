//! Pruning between epochs: in rounds and in phases.

mod ac_dc;
mod lottery;
mod periodic;
mod soft_filter;
