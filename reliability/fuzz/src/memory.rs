//! An allocator that counts what one thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, which counts for a thread that asks for it.
pub struct Counting;

thread_local! {
    // Without a destructor: an allocator is called until a thread's last moment.
    static COUNTS: Cell<bool> = const { Cell::new(false) };
    /// Bytes more than where the count began; fewer where what was there before is freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    if COUNTS.get() {
        HELD.set(HELD.get() + bytes);
        MOST.set(MOST.get().max(HELD.get()));
    }
}

// SAFETY: every request goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: promised by the caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What a function gives, and the most bytes that this thread held meanwhile beyond those it held before.
pub fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    HELD.set(0);
    MOST.set(0);
    COUNTS.set(true);
    let given = run();
    COUNTS.set(false);
    (given, MOST.get().unsigned_abs())
}
