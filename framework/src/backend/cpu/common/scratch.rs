//! Working memory that is reused: what the last user left is still in it.

use std::cell::RefCell;

thread_local! { static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) }; }

/// Lends `f` a buffer of `len` numbers of any value, to be written before it is read.
///
/// Buffers stay with their thread; calls may be nested.
pub fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = FREE.with_borrow_mut(|free| {
        // The smallest that is long enough, so that nested uses of each step find their own buffers again.
        let fit = free.iter().enumerate().filter(|(_, b)| b.len() >= len).min_by_key(|(_, b)| b.len()).map(|(i, _)| i);
        fit.map(|i| free.swap_remove(i)).or_else(|| free.pop()).unwrap_or_default()
    });
    if buffer.len() < len {
        buffer = vec![0.0; len];
    }
    #[cfg(debug_assertions)]
    buffer[..len].fill(f32::NAN);
    let result = f(&mut buffer[..len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

/// Lets go of the unused buffers of this thread, and of those of the pool's others when these come to it.
pub(crate) fn trim() {
    let this = || FREE.with_borrow_mut(Vec::clear);
    this();
    if rayon::current_thread_index().is_some() {
        rayon::spawn_broadcast(move |_| this());
    }
}

/// Lends `f` a buffer of numbers of any value that begins at a cache line.
pub(crate) fn aligned<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    const LINE: usize = 64;
    with(len + LINE / 4, |buffer| {
        let skip = buffer.as_ptr().align_offset(LINE).min(LINE / 4);
        f(&mut buffer[skip..][..len])
    })
}

/// A vector of `len` numbers that have not been written yet.
///
/// Zeroing a large output that is then overwritten costs a pass over memory. Debug builds fill it with NaN, so that a
/// forgotten element shows.
///
/// # Safety
/// Every element must be written before it is read.
pub unsafe fn unwritten(len: usize) -> Vec<f32> {
    let mut buffer = Vec::with_capacity(len);
    #[cfg(debug_assertions)]
    buffer.resize(len, f32::NAN);
    // SAFETY: the capacity suffices; the caller writes each element before reading it, and any bits are an `f32`.
    #[allow(clippy::uninit_vec, reason = "the contract of this function")]
    unsafe {
        buffer.set_len(len);
    }
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_buffers_are_distinct_and_reused() {
        let first = with(100, |a| {
            a.fill(1.0);
            with(50, |b| b.fill(2.0));
            assert!(a.iter().all(|&v| v == 1.0));
            a.as_ptr() as usize
        });
        assert_eq!(with(100, |a| a.as_ptr() as usize), first);
        assert_eq!(with(0, |a| a.len()), 0);
    }

    #[test]
    fn unwritten_has_its_length() {
        // SAFETY: nothing is read.
        assert_eq!(unsafe { unwritten(7) }.len(), 7);
    }
}
