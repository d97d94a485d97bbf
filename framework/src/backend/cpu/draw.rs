//! Batches are drawn on the host by the data set itself: there is nothing for the device to hold.

use crate::backend::{DrawOps, Picks, Values};
use crate::error::Result;
use crate::tensor::Tensor;
use dfdx::tensor::Cpu;
use std::convert::Infallible;

impl DrawOps for Cpu {
    type Examples = Infallible;

    fn examples(&self, _: &Values) -> Result<Option<Infallible>> {
        Ok(None)
    }

    fn draw(&self, from: &Infallible, _: &Picks<'_>) -> Result<Tensor<Self>> {
        match *from {}
    }
}
