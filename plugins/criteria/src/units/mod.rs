//! Criteria that look at whole units: filters, heads, and what belongs to them.

mod fpgm;
mod group_lasso;
mod lasso_channel;
mod network_slimming;
