//! Where a config says to compute, and with how many threads.

use secateur::backend::{Cpu, DeviceName};
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

/// Does something on the device and the threads that a config names.
///
/// # Errors
/// There is no such device; whatever ends the work early.
pub fn on_device<W: Work>(top: &TopConfig, work: W) -> Result<W::Made, Failure> {
    let threads = rayon::ThreadPoolBuilder::new().num_threads(top.threads).build();
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
