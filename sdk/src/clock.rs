//! When the records at hand arrived, where an operator grants it: `grant = ["clock"]`. It is what the log of records
//! says, so a replay sees the same. Ask where there are records: elsewhere (in `configure`, `save`, `load`) it traps.
//! Native tests set it by [`crate::testing::arrived`].

/// The gateway's arrival clock, microseconds: never goes back, goes on over restarts, and is no date.
pub fn arrival() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::clock::arrival();
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::arrival().0
}

/// The date then, microseconds since the epoch; `None` while nobody had set the gateway's clock.
pub fn wall() -> Option<i64> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::clock::wall();
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::arrival().1
}
