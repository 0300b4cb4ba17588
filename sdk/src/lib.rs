//! Write Tidegate plugins in Rust.
//!
//! A filter that keeps warm readings, whole:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! use tidegate::{Params, Record};
//!
//! #[derive(Record)]
//! struct Climate { temp: f64 }
//!
//! #[derive(Params)]
//! struct Warm { above: f64 }
//!
//! #[tidegate::filter]
//! fn warm(r: &Climate, p: &Warm) -> bool { r.temp > p.above }
//!
//! assert!(warm(&Climate { temp: 21.5 }, &Warm { above: 20.0 }));
//! ```
//!
//! Its manifest names the SDK `tidegate` and says what the gateway shows of it:
//!
//! ```toml
//! [package]
//! name = "warm"
//! version = "0.1.0"
//! edition = "2024"
//! description = "Keeps warm readings"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! tidegate = { package = "tidegate-sdk", path = "../tidegate/sdk" }
//! ```
//!
//! `tidegate plugin new warm --kind filter` begins it with tests and cases; `tidegate plugin build` makes it a component
//! and `tidegate plugin test` runs its cases in the sandbox. In the `plugins` folder of Tidegate's own checkout
//! `cargo xtask plugins` builds it. The function stays what it is,
//! so native tests call it: everything about WebAssembly exists only for `wasm32`.
//!
//! - [`macro@filter`], [`macro@detect`] and [`macro@transform`] take a function of one record, [`macro@codec`] one of a
//!   frame, [`macro@aggregate`] an `impl` of a state.
//! - A plain field (`temp: f64`) faults the records where it is null; `Option<f64>` receives the null.
//! - State is a plain struct that derives `Default`, `Serialize` and `Deserialize`: one for each slot (a device, or a
//!   device's window), saved and loaded by the host with [postcard](https://docs.rs/postcard).
//! - Plugins whose fields are named by their parameters, or that want whole columns, implement [`Plugin`] and
//!   [`Filter`], [`Detect`], [`Transform`], [`Codec`] or [`Aggregate`] themselves and [`export!`] the type.
//! - `device: String` in a record receives the device's name. [`macro@log`] says a line and [`clock`] tells when records
//!   arrived, where the operator's configuration grants it; [`testing`] stands in for both in native tests.
//!
//! One rule holds for all of them: results must not depend on how records are cut into batches.

#[cfg(test)]
extern crate self as tidegate;

pub mod bindings;
pub mod clock;
mod columns;
mod detect;
mod emit;
mod export;
#[doc(hidden)]
pub mod functions;
pub mod log;
pub mod lookup;
mod params;
mod plugin;
mod record;
mod slots;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::types::{Batch, Blobs, Column, Fault, Field, Scalar, Table, Values};
pub use columns::{mask, rows};
pub use detect::Finding;
pub use emit::{Emits, Value};
pub use functions::Frame;
pub use params::{Issue, Json, Param, Params, ParamsReader, Schema};
pub use plugin::{About, Aggregate, Codec, Detect, Filter, Plan, Plugin, State, Transform, Window};
pub use record::{Cell, Record};
pub use serde::{Deserialize, Serialize};
pub use slots::{Slots, read_state, write_state};
pub use tidegate_sdk_macros::{Emits, Params, Record, aggregate, codec, detect, filter, transform};

#[doc(hidden)]
pub use export::glue;
#[doc(hidden)]
pub use plugin::outcome;
#[doc(hidden)]
pub use serde;
