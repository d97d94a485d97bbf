//! Criteria that look at the gradients of the loss.

mod gradient;
