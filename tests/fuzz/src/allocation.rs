//! How much memory a piece of work takes, counted by the allocator of this thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counting.
pub struct Counting;

thread_local! {
    /// Bytes this thread has taken and not given back; below zero where it frees what others took.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most of it since the last reset.
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Holds that `work` never has more than `bytes` of memory at once.
pub fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.get();
    MOST.set(before);
    let out = work();
    let most = MOST.get() - before;
    assert!(most <= bytes as isize, "{most} bytes of memory at once where {bytes} are enough");
    out
}

fn count(bytes: isize) {
    // Not `with`: threads allocate while they end.
    let held = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        held.get()
    });
    if let Ok(held) = held {
        let _ = MOST.try_with(|most| most.set(most.get().max(held)));
    }
}

// SAFETY: every call is the system allocator's; counting touches no memory but two cells of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as our caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Counted as both at once, which is the most it may be.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as our caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn the_most_at_once_is_counted_not_the_sum() {
        within(3000, || (0..10).for_each(|_| drop(vec![0u8; 2000])));
    }

    #[test]
    #[should_panic(expected = "bytes of memory at once where 3000 are enough")]
    fn more_than_said_is_a_panic() {
        within(3000, || drop((vec![0u8; 2000], vec![0u8; 2000])));
    }
}
