//! The gateway under torture: the power is cut, it is killed. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod card;
mod faults;
mod full_disk;
