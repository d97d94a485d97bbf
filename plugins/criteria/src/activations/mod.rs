//! Criteria that look at what passes through the network.

mod contribution_rank;
