//! Where a config says to compute, and with how many threads.

use secateur::backend::{Bits, Cpu, DeviceName, use_bits};
use secateur::plugins::registry::Registered;

use crate::config::TopConfig;
use crate::failure::Failure;

/// What can be done on any device.
pub trait Work: Send {
    /// What it gives.
    type Made: Send;

    /// Does it.
    ///
    /// # Errors
    /// Whatever ends it early.
    fn on<B: Registered>(self, device: B) -> Result<Self::Made, Failure>;
}

/// Does something on the device and the threads that a config names, with such bits.
///
/// # Errors
/// There is no such device; whatever ends the work early.
pub fn on_device<W: Work>((top, bits): (&TopConfig, Bits), work: W) -> Result<W::Made, Failure> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(top.threads);
    // The pool is this run's own: other runs of the process may have other bits.
    let threads = threads.start_handler(move |_| use_bits(bits)).build();
    let threads = threads.map_err(|error| Failure::Failed(format!("threads = {}: {error}", top.threads)))?;
    let place =
        DeviceName::parse(&top.device).map_err(|allowed| Failure::Failed(format!("device: must be {allowed}")))?;
    threads.install(|| match place {
        #[cfg(feature = "cuda")]
        DeviceName::Cuda(n) => work.on(secateur::backend::cuda::cuda(n)?),
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cuda(_) => {
            Err(Failure::Failed(format!("device = \"{place}\": this program was built without CUDA")))
        }
        DeviceName::Cpu => work.on(Cpu::default()),
    })
}
