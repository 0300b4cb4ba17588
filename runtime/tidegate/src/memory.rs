//! Memory that was used for a moment and that nobody needs any more.

use std::time::Duration;

/// Between two rounds; the first comes when a start has settled.
const EVERY: Duration = Duration::from_secs(30);
const FIRST: Duration = Duration::from_secs(3);

/// Gives free memory back to the system now and then: reading plugins, replaying a store or catching up after an outage
/// takes megabytes for a moment, and glibc keeps them. At rest it is 5 MB less; a round takes under a millisecond.
pub async fn give_back() {
    let mut rounds = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    loop {
        rounds.tick().await;
        trim();
    }
}

fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number, touches only the allocator's own free lists and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
