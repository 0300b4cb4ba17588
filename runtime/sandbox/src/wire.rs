//! The contract's types (`sdk/wit/tidegate.wit`) as wasmtime lowers and lifts them. What goes in is borrowed: a
//! column crosses as one copy.

use wasmtime::component::{ComponentType, Lift, Lower, WasmList};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Scalar {
    #[component(name = "float")]
    Float,
    #[component(name = "integer")]
    Integer,
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "text")]
    Text,
    #[component(name = "bytes")]
    Bytes,
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Field {
    pub name: String,
    pub scalar: Scalar,
    pub unit: String,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct BlobsIn<'a> {
    pub offsets: &'a [u32],
    pub data: &'a [u8],
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum ValuesIn<'a> {
    #[component(name = "floats")]
    Floats(&'a [f64]),
    #[component(name = "integers")]
    Integers(&'a [i64]),
    #[component(name = "booleans")]
    Booleans(&'a [u8]),
    #[component(name = "texts")]
    Texts(BlobsIn<'a>),
    #[component(name = "bytes")]
    Bytes(BlobsIn<'a>),
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ColumnIn<'a> {
    pub values: ValuesIn<'a>,
    pub valid: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct BatchIn<'a> {
    pub rows: u32,
    pub times: Option<&'a [i64]>,
    pub slots: Option<&'a [u32]>,
    pub columns: &'a [ColumnIn<'a>],
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct BlobsOut {
    pub offsets: Vec<u32>,
    pub data: Vec<u8>,
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum ValuesOut {
    #[component(name = "floats")]
    Floats(Vec<f64>),
    #[component(name = "integers")]
    Integers(Vec<i64>),
    #[component(name = "booleans")]
    Booleans(Vec<u8>),
    #[component(name = "texts")]
    Texts(BlobsOut),
    #[component(name = "bytes")]
    Bytes(BlobsOut),
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct ColumnOut {
    pub values: ValuesOut,
    pub valid: Option<Vec<u8>>,
}

/// Keys as a guest lends them to `lookup`: looked at where they lie.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct KeysIn {
    pub values: Keys,
    pub valid: Option<WasmList<u8>>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct KeyBlobs {
    pub offsets: WasmList<u32>,
    pub data: WasmList<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Keys {
    #[component(name = "floats")]
    Floats(WasmList<f64>),
    #[component(name = "integers")]
    Integers(WasmList<i64>),
    #[component(name = "booleans")]
    Booleans(WasmList<u8>),
    #[component(name = "texts")]
    Texts(KeyBlobs),
    #[component(name = "bytes")]
    Bytes(KeyBlobs),
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct RowFault {
    pub row: u32,
    pub reason: String,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct TableOut {
    pub origin: Option<Vec<u32>>,
    pub columns: Vec<ColumnOut>,
    pub faults: Vec<RowFault>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct About {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub params: String,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct PlanOut {
    pub reads: Vec<String>,
    pub times: bool,
    pub slots: bool,
    pub emits: Vec<Field>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Issue {
    pub at: String,
    pub message: String,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct KeptOut {
    pub keep: Vec<u8>,
    pub faults: Vec<RowFault>,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct FindingOut {
    pub row: u32,
    pub score: f64,
    pub severity: u8,
    pub reason: String,
}

#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct FoundOut {
    pub findings: Vec<FindingOut>,
    pub scores: Option<Vec<f64>>,
    pub faults: Vec<RowFault>,
}

#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WindowsIn<'a> {
    pub slots: &'a [u32],
    pub starts: &'a [i64],
    pub ends: &'a [i64],
}

impl Scalar {
    pub(crate) fn of(scalar: tidegate_record::Scalar) -> Self {
        match scalar {
            tidegate_record::Scalar::Float => Scalar::Float,
            tidegate_record::Scalar::Integer => Scalar::Integer,
            tidegate_record::Scalar::Boolean => Scalar::Boolean,
            tidegate_record::Scalar::Text => Scalar::Text,
            tidegate_record::Scalar::Bytes => Scalar::Bytes,
        }
    }

    pub(crate) fn record(self) -> tidegate_record::Scalar {
        match self {
            Scalar::Float => tidegate_record::Scalar::Float,
            Scalar::Integer => tidegate_record::Scalar::Integer,
            Scalar::Boolean => tidegate_record::Scalar::Boolean,
            Scalar::Text => tidegate_record::Scalar::Text,
            Scalar::Bytes => tidegate_record::Scalar::Bytes,
        }
    }
}
