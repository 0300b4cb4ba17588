//! The harness of the end-to-end tests: real brokers, ports and processes, each ended with the test that began it.
//!
//! Everything here is used from the test's own thread and blocks it; what must run beside it runs on [`runtime`].
//! Children die with the thread that started them (`PR_SET_PDEATHSIG`), so start them from the test's thread.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness fails its test by panicking")]

pub mod accounts;
pub mod exact;
pub mod faketime;
pub mod gateway;
pub mod http;
pub mod kafka;
pub mod link;
pub mod mosquitto;
pub mod parts;
pub mod process;
pub mod publisher;
pub mod registry;
pub mod serial;
pub mod torture;
pub mod upstream;
pub mod wait;

use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

/// The runtime of the upstream doubles and HTTP clients; it lives as long as the test process.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));
    &RUNTIME
}
