//! Criteria that look at the weights alone.

mod lamp;
mod magnitude;
mod surgery;
