//! Where dfdx keeps a tensor's values.

use super::args::Ptr;
use super::failure::{describe, driver_code};
use super::memory_pool::Flat;
use cudarc::driver::result;
use dfdx::tensor::{Cuda, CudaError, ZerosTensor as _};
use std::fmt::{self, Write as _};

/// Makes sure that the address read from a tensor is where its values are.
pub(super) fn check_addresses(device: &Cuda) -> Result<(), String> {
    let tell = |e: CudaError| driver_code(&e).map_or_else(|| format!("{e:?}"), describe);
    let tensor: Flat = device.try_zeros_like(&(3,)).map_err(tell)?;
    let values = [1.5_f32, -2.0, 3.25];
    let addr =
        address(&tensor).ok_or("a dfdx tensor does not show its address; this program was built with another dfdx")?;
    // SAFETY: where the address is not that of the tensor's three values the driver refuses, or the test below fails.
    unsafe { result::memcpy_htod_sync(addr.0, &values) }.map_err(|e| describe(e.0))?;
    if tensor.as_vec() != values {
        return Err("a dfdx tensor does not show its address; this program was built with another dfdx".into());
    }
    Ok(())
}

/// Device address of a dfdx tensor's storage.
///
/// dfdx keeps it to itself; its derived `Debug` shows it, and nothing is formatted beyond that.
pub(super) fn address(tensor: &Flat) -> Option<Ptr> {
    struct Found {
        /// Characters of the key seen last.
        matched: usize,
        value: Option<u64>,
        done: bool,
    }
    const KEY: &[u8] = b"cu_device_ptr: ";
    impl fmt::Write for Found {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            for &b in s.as_bytes() {
                if self.matched < KEY.len() {
                    self.matched = if b == KEY[self.matched] { self.matched + 1 } else { usize::from(b == KEY[0]) };
                } else if b.is_ascii_digit() {
                    self.value =
                        self.value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add(u64::from(b - b'0')));
                } else {
                    self.done = true;
                    return Err(fmt::Error); // ends the formatting
                }
            }
            Ok(())
        }
    }
    let mut found = Found { matched: 0, value: None, done: false };
    let _ = write!(found, "{tensor:?}");
    found.value.filter(|_| found.done).map(Ptr)
}
