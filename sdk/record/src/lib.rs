//! The words every part of Tidegate shares: [`Schema`], [`Field`], columnar [`Batch`], [`Identity`], [`Clock`].
//!
//! A leaf crate: it depends on no other part of Tidegate, and devices, store, sandbox, pipelines and sinks all
//! speak it. A **batch** is built once, at decode, by a [`BatchBuilder`], and stays columnar through operators,
//! store and sinks; a row is a [`Row`] view, made only where text leaves the gateway.

mod batch;
mod builder;
mod clock;
mod column;
mod identity;
mod row;
mod schema;
pub mod streams;

pub use batch::{BATCH_BYTES_MAX, Batch, BatchError, ROWS_MAX};
pub use builder::{BatchBuilder, DEVICE_BYTES_MAX, DeviceError, check_device};
pub use clock::{Clock, ManualClock, SystemClock, Times, Trust, TrustRule, Wall};
pub use column::{Blobs, Column, Values};
pub use identity::{Identity, RecordId};
pub use row::{Row, rfc3339};
pub use schema::{FIELDS_MAX, Field, NAME_BYTES_MAX, Scalar, Schema, SchemaError, valid_name};
