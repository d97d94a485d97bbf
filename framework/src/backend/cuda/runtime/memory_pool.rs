//! Memory that is kept for the next tensor of its size.
//!
//! dfdx allocates with a memset every time. Here a tensor's memory goes back to a pool when nobody uses it any more,
//! and is handed out again with no call to the driver; the shapes of a training step repeat, so after the first step
//! nothing is allocated.

use dfdx::prelude::HasShape as _;
use dfdx::tensor::{Cuda, Tensor as DfdxTensor};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) type Flat = DfdxTensor<(usize,), f32, Cuda>;

/// What the process has of a GPU's memory, in bytes; cuBLAS and the driver's own part are not in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Memory of tensors that live.
    pub in_use: u64,
    /// The most memory that was ever in use at once.
    pub peak: u64,
    /// Memory taken from the driver: in use, or kept to be handed out again.
    pub reserved: u64,
}

/// Unused memory by element count, and how much there is of everything.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Held>);

#[derive(Default)]
struct Held {
    unused: HashMap<usize, Vec<Unused>>,
    memory: MemoryUse,
    /// Counts allocations.
    now: u64,
}

/// Memory that nobody uses since an allocation ago.
struct Unused {
    memory: Flat,
    addr: *mut f32,
    since: u64,
}

// SAFETY: the address is that of the tensor beside it, which may move between threads.
unsafe impl Send for Unused {}

/// Allocations after which memory that nobody used meanwhile goes back: many training steps. What a step needs is used
/// again in the next one; the sizes of an evaluation, or of a network before it shrank, are not.
const IDLE: u64 = 8192;

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes memory back.
    pub(crate) fn put(&self, memory: Flat, addr: *mut f32) {
        let count = memory.shape().0;
        let mut held = self.lock();
        held.memory.in_use -= bytes(count);
        let since = held.now;
        held.unused.entry(count).or_default().push(Unused { memory, addr, since });
    }

    /// Forgets memory that somebody else has now.
    pub(crate) fn let_go(&self, count: usize) {
        let mut held = self.lock();
        held.memory.in_use -= bytes(count);
        held.memory.reserved -= bytes(count);
    }

    pub(super) fn memory(&self) -> MemoryUse {
        self.lock().memory
    }

    pub(super) fn take(&self, count: usize) -> Option<(Flat, *mut f32)> {
        let mut held = self.lock();
        held.now += 1;
        let now = held.now;
        let idle = if now.is_multiple_of(IDLE) { held.give_up(now - IDLE) } else { vec![] };
        // The one that was used last: the others may turn out to be idle.
        let found = held.unused.get_mut(&count).and_then(Vec::pop)?;
        held.use_more(count);
        drop(held);
        drop(idle);
        Some((found.memory, found.addr))
    }

    /// Counts memory that is new. What is unused goes where it is more than ever was in use: sizes that do not come
    /// back.
    pub(super) fn add(&self, count: usize) {
        let mut held = self.lock();
        held.memory.reserved += bytes(count);
        held.use_more(count);
        let now = held.now;
        let MemoryUse { peak, reserved, .. } = held.memory;
        let gone = if reserved > 2 * peak { held.give_up(now) } else { vec![] };
        drop(held);
        drop(gone);
    }

    pub(super) fn empty(&self) {
        let mut held = self.lock();
        let now = held.now;
        let gone = held.give_up(now);
        drop(held);
        drop(gone);
    }
}

impl Held {
    fn use_more(&mut self, count: usize) {
        self.memory.in_use += bytes(count);
        self.memory.peak = self.memory.peak.max(self.memory.in_use);
    }

    /// What has been unused since then or longer; for the caller to drop.
    fn give_up(&mut self, since: u64) -> Vec<Unused> {
        let mut gone = vec![];
        self.unused.retain(|_, list| {
            // The longest unused come first.
            gone.extend(list.drain(..list.partition_point(|u| u.since <= since)));
            !list.is_empty()
        });
        self.memory.reserved -= gone.iter().map(|u| bytes(u.memory.shape().0)).sum::<u64>();
        gone
    }
}

fn bytes(count: usize) -> u64 {
    4 * count as u64
}
