//! How this process takes memory from the system.

/// Allocations from here on get pages of their own, which are touched as they are used and given back at once. sled asks
/// for buffers of 512 KiB and uses little of them; the batches of the hot path are smaller and stay on the heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES_BYTES: i32 = 500_000;

/// To be called first. glibc raises this threshold to megabytes once a large buffer was freed: the next ones come from the
/// heap, cleared and so resident, and stay with it. Measured: 19 MB at rest instead of 24, 50 under load instead of 60.
pub fn settle() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two numbers and sets a parameter of the allocator; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
    }
}
