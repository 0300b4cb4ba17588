//! Plugins written to break their host, or merely badly: every one costs itself, is named, and the rest goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bounds;
mod calls;
mod guest;
mod imports;
mod loading;
mod lookup;
mod plans;
mod replies;
mod states;
