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
//!   arrived, [`lookup`] gives a record its row of a table, where the operator's configuration grants it; [`testing`] stands
//!   in for all of them in native tests.
//!
//! # A plugin of each kind
//!
//! Each with a test of the whole plugin: text in, text out, cut in every way a gateway may cut ([`testing`]).
//!
//! A filter keeps records or drops them. An error sets a record aside, to the dead letters:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::{Params, Record};
//! # #[derive(Record)]
//! # struct Climate { temp: f64 }
//! # #[derive(Params)]
//! # struct Warm { above: f64 }
//! #[tidegate::filter]
//! fn warm(r: &Climate, p: &Warm) -> Result<bool, String> {
//!     if r.temp < -273.15 { return Err(format!("{} °C is colder than can be", r.temp)) }
//!     Ok(r.temp > p.above)
//! }
//!
//! tidegate::testing::plugin!().params(r#"{"above": 20}"#).check(
//!     "device  time  temp
//!      d1      0     21.5
//!      d1      1     20
//!      d2      2     -300",
//!     "device  time  temp
//!      d1      0     21.5
//!      fault 2: -300 °C is colder than can be",
//! );
//! ```
//!
//! What it remembers of each device is a plain struct; the gateway keeps it over restarts. So do transforms and detectors:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::Record;
//! # #[derive(Record)]
//! # struct Climate { temp: f64 }
//! #[derive(Default, tidegate::Serialize, tidegate::Deserialize)]
//! # #[serde(crate = "tidegate::serde")]
//! struct Last { kept: Option<f64> }
//!
//! #[tidegate::filter]
//! fn moved(r: &Climate, last: &mut Last) -> bool {
//!     let moved = last.kept.is_none_or(|kept| (r.temp - kept).abs() >= 0.5);
//!     if moved { last.kept = Some(r.temp) }
//!     moved
//! }
//!
//! tidegate::testing::plugin!().check(
//!     "device  time  temp
//!      d1      0     20
//!      d1      1     20.25
//!      d2      1     20.25
//!      d1      2     20.5",
//!     "device  time  temp
//!      d1      0     20
//!      d2      1     20.25
//!      d1      2     20.5",
//! );
//! ```
//!
//! A transform makes records of records; what it emits stands beside the record's own fields, or in place of equal names:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::{Emits, Record};
//! #[derive(Record)]
//! struct Fahrenheit { temp: f64, note: Option<String> }
//!
//! #[derive(Emits)]
//! struct Celsius { #[record(unit = "Cel")] temp: f64, noted: bool }
//!
//! #[tidegate::transform]
//! fn celsius(r: &Fahrenheit) -> Celsius {
//!     Celsius { temp: (r.temp - 32.0) * 5.0 / 9.0, noted: r.note.is_some() }
//! }
//!
//! tidegate::testing::plugin!().check(
//!     "device  time  temp  note:text
//!      d1      0     212   \"at the top\"
//!      d1      1     32    -",
//!     "device  time  note           temp  noted
//!      d1      0     \"at the top\"   100   true
//!      d1      1     -              0     false",
//! );
//! ```
//!
//! A detector finds what is unusual. What it remembers of a device is a plain struct:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::{Deserialize, Finding, Record, Serialize};
//! # #[derive(Record)]
//! # struct Climate { temp: f64 }
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(crate = "tidegate::serde")]
//! struct Last { temp: Option<f64> }
//!
//! #[tidegate::detect]
//! fn jump(r: &Climate, last: &mut Last) -> Option<Finding> {
//!     let by = (r.temp - last.temp.replace(r.temp)?).abs();
//!     (by > 5.0).then(|| Finding::new(by, 50, format!("it jumped by {by}")))
//! }
//!
//! tidegate::testing::plugin!().check(
//!     "device  time  temp
//!      d1      0     20
//!      d2      1     30
//!      d1      2     26",
//!     "device  time  temp  score  severity  reason
//!      d1      2     26    6      50        \"it jumped by 6\"",
//! );
//! ```
//!
//! An aggregate makes one record of a device's window. Its state is the window's:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::{Deserialize, Emits, Record, Serialize};
//! # #[derive(Record)]
//! # struct Climate { temp: f64 }
//! #[derive(Default, Serialize, Deserialize)]
//! #[serde(crate = "tidegate::serde")]
//! struct Greatest { temp: Option<f64> }
//!
//! #[derive(Emits)]
//! struct Result { greatest: Option<f64> }
//!
//! #[tidegate::aggregate]
//! impl Greatest {
//!     fn update(&mut self, r: &Climate) { self.temp = Some(self.temp.map_or(r.temp, |temp| temp.max(r.temp))) }
//!     fn merge(&mut self, later: &Greatest) { later.temp.iter().for_each(|&temp| self.update(&Climate { temp })) }
//!     fn finish(&self) -> Result { Result { greatest: self.temp } }
//! }
//!
//! tidegate::testing::plugin!().window(60.0).check(
//!     "device  time  temp
//!      d1      0     20
//!      d1      59.9  24
//!      d1      60    22",
//!     "device  start  end  greatest
//!      d1      0      60   24
//!      d1      60     120  22",
//! );
//! ```
//!
//! A codec makes records of frames, for wires nobody has a decoder for:
//!
//! ```
//! # extern crate tidegate_sdk as tidegate;
//! # use tidegate::{Emits, Frame};
//! #[derive(Emits)]
//! struct Meter { device: String, watts: f64 }
//!
//! #[tidegate::codec]
//! fn meter(frame: &Frame) -> Result<Meter, &'static str> {
//!     let [id, high, low] = frame.bytes[..] else { return Err("not three bytes") };
//!     Ok(Meter { device: format!("m{id}"), watts: f64::from(u16::from_be_bytes([high, low])) / 10.0 })
//! }
//!
//! tidegate::testing::plugin!().check(
//!     "time  frame:bytes  topic:text
//!      0     0x0700ff     meters/hall
//!      1     0x07         meters/hall",
//!     "time  device  watts
//!      0     m7      25.5
//!      fault 1: not three bytes",
//! );
//! ```
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
mod help;
pub mod log;
pub mod lookup;
mod params;
mod plugin;
mod record;
mod slots;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::types::{Batch, Blobs, Column, Fault, Field, Scalar, Table, Values};
pub use columns::{mask, rows, slots_end};
pub use detect::Finding;
pub use emit::{Emits, Value};
pub use functions::Frame;
pub use help::{FieldHelp, FieldsHelp};
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
