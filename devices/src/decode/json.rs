//! JSON frames.
//!
//! One pass over simd-json's tape beside the tree of pointers; every buffer is kept from frame to frame, so that a
//! frame allocates nothing. simd-json keeps its own stack and bounds the depth, and the walk goes no deeper than the
//! longest pointer: no nesting overflows ours.

use super::error::DecodeError;
use super::pointer::Branch;
use super::row::Row;
use super::value::Found;
use super::{COPIED_BYTES_MAX, DecodeOptions, Target, readings_max};
use crate::OptionsError;
use crate::words::words;
use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape};
use tidegate_record::{BatchBuilder, Schema};

/// Deepest nesting of a payload.
const DEPTH_MAX: usize = 64;
/// Buffers that a frame made larger than this are let go after it.
const KEPT_BYTES: usize = 64 * 1024;

/// Decodes JSON frames.
pub(super) struct Json {
    records: Option<String>,
    pointers: Branch,
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Vec<Node<'static>>,
}

impl Json {
    /// `taken`: what the topic brings, and is not looked for here.
    pub fn new(options: &DecodeOptions, schema: &Schema, taken: &[Target]) -> Result<Self, OptionsError> {
        let mut pointers = Branch::default();
        let mut add = |option: &str, pointer: &str, target: Target| match taken.contains(&target) {
            true => Ok(()),
            false => pointers.add(option, pointer, target),
        };
        if let Some(device) = &options.device {
            add("decode.device", device, Target::Device)?;
        }
        if let Some(time) = &options.time {
            add("decode.time", time, Target::Time)?;
        }
        for (name, _) in &options.fields {
            if schema.position(name).is_none() {
                let problem = "the stream has no such field: declare it there or take it out here";
                return Err(OptionsError::new(format!("decode.fields.{name}"), problem));
            }
        }
        for (at, field) in schema.fields().iter().enumerate() {
            let named = options.fields.iter().find(|(name, _)| *name == field.name);
            let pointer = named.map_or_else(|| format!("/{}", field.name), |(_, pointer)| pointer.clone());
            add(&format!("decode.fields.{}", field.name), &pointer, Target::Field(at))?;
        }
        let records = (!options.records.is_empty()).then(|| options.records.clone());
        if let Some(records) = &records {
            add("decode.records", records, Target::Records)?;
        }
        let buffers = Buffers::with_max_depth(1024, DEPTH_MAX);
        Ok(Json { records, pointers, scratch: Vec::new(), buffers, tape: Vec::new() })
    }

    pub fn decode(&mut self, frame: &[u8], row: &mut Row<'_>, out: &mut BatchBuilder) -> Result<usize, DecodeError> {
        self.scratch.clear();
        self.scratch.extend_from_slice(frame);
        self.scratch.resize(frame.len() + INPUT_PADDING, 0);
        let mut tape = Tape(std::mem::take(&mut self.tape)).reset();
        let parsed = simd_json::fill_tape_padded(&mut self.scratch, frame.len(), &mut self.buffers, &mut tape);
        let result = match parsed {
            Ok(()) => readings(&self.pointers, self.records.as_deref(), &tape.0, row, out),
            Err(error) => Err(not_json(&error, frame)),
        };
        self.tape = tape.reset().0;
        if self.scratch.capacity() > KEPT_BYTES {
            self.shrink();
        }
        result
    }

    #[cold]
    fn shrink(&mut self) {
        (self.scratch, self.tape) = (Vec::new(), Vec::new());
        self.buffers = Buffers::with_max_depth(1024, DEPTH_MAX);
    }
}

/// Every reading of a payload.
fn readings(
    pointers: &Branch,
    records: Option<&str>,
    nodes: &[Node<'_>],
    row: &mut Row<'_>,
    out: &mut BatchBuilder,
) -> Result<usize, DecodeError> {
    let mut outer = Vec::new();
    let mut start = 0;
    if let Some(pointer) = records {
        let mut found = None;
        walk(pointers, nodes, 0, &mut |target, at| {
            match target {
                Target::Records => found = Some(at),
                target => outer.push((target, at)),
            }
            Ok(())
        })?;
        let missing = || DecodeError::Records { pointer: pointer.into(), found: super::error::Shown::plain("nothing") };
        start = found.ok_or_else(missing)?;
    }
    let Node::Array { len, .. } = nodes[start] else {
        return reading(pointers, records, nodes, start, &outer, row, out).map(|()| 1);
    };
    let len_max = readings_max(row.schema.fields().len());
    if len > len_max {
        return Err(DecodeError::TooMany(len_max));
    }
    let texts = outer.iter().map(|&(_, at)| if let Node::String(text) = nodes[at] { text.len() } else { 0 });
    let bytes = texts.sum::<usize>() + row.topic_values.iter().map(|(_, text)| text.len()).sum::<usize>();
    if bytes.saturating_mul(len) > COPIED_BYTES_MAX {
        return Err(DecodeError::TooLong { bytes, readings: len, max: COPIED_BYTES_MAX });
    }
    let mut at = start + 1;
    for _ in 0..len {
        reading(pointers, records, nodes, at, &outer, row, out)?;
        at += size(&nodes[at]);
    }
    Ok(len)
}

/// One reading: what it says itself, and what the payload says for all.
fn reading(
    pointers: &Branch,
    records: Option<&str>,
    nodes: &[Node<'_>],
    at: usize,
    outer: &[(Target, usize)],
    row: &mut Row<'_>,
    out: &mut BatchBuilder,
) -> Result<(), DecodeError> {
    if !matches!(nodes[at], Node::Object { .. } | Node::Array { .. }) {
        let found = value(&nodes[at]).shown();
        return Err(DecodeError::Records { pointer: records.unwrap_or_default().into(), found });
    }
    row.begin();
    walk(pointers, nodes, at, &mut |target, at| row.set(target, value(&nodes[at]), out))?;
    for &(target, at) in outer {
        if !row.is_set(target) {
            row.set(target, value(&nodes[at]), out)?;
        }
    }
    row.end(out)
}

/// Hands the place of every value that a pointer names below node `at` to `visit`.
fn walk(
    branch: &Branch,
    nodes: &[Node<'_>],
    mut at: usize,
    visit: &mut impl FnMut(Target, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    match nodes[at] {
        Node::Object { len, .. } => {
            at += 1;
            let mut hint = 0;
            for _ in 0..len {
                if let Node::String(key) = nodes[at]
                    && let Some(child) = branch.key(key, &mut hint)
                {
                    visit_child(child, nodes, at + 1, visit)?;
                }
                at += 1 + size(&nodes[at + 1]);
            }
        }
        Node::Array { len, .. } if !branch.is_leaf() => {
            at += 1;
            for index in 0..len {
                if let Some(child) = branch.index(index) {
                    visit_child(child, nodes, at, visit)?;
                }
                at += size(&nodes[at]);
            }
        }
        _ => {}
    }
    Ok(())
}

#[inline]
fn visit_child(
    child: &Branch,
    nodes: &[Node<'_>],
    at: usize,
    visit: &mut impl FnMut(Target, usize) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    for &target in &child.targets {
        visit(target, at)?;
    }
    if child.is_leaf() {
        return Ok(());
    }
    walk(child, nodes, at, visit)
}

/// How many nodes a value takes on the tape.
#[inline]
fn size(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

#[inline]
fn value<'a>(node: &Node<'a>) -> Found<'a> {
    match *node {
        Node::String(text) => Found::Text(text),
        Node::Object { .. } => Found::Object,
        Node::Array { .. } => Found::Array,
        Node::Static(StaticNode::Null) => Found::Null,
        Node::Static(StaticNode::Bool(value)) => Found::Boolean(value),
        Node::Static(StaticNode::I64(value)) => Found::Integer(value),
        Node::Static(StaticNode::U64(value)) => match i64::try_from(value) {
            Ok(value) => Found::Integer(value),
            Err(_) => Found::Unsigned(value),
        },
        Node::Static(StaticNode::F64(value)) => Found::Float(value),
    }
}

#[cold]
fn not_json(error: &simd_json::Error, frame: &[u8]) -> DecodeError {
    let problem = match std::str::from_utf8(frame) {
        Err(bad) => return DecodeError::NotJson { problem: "not UTF-8".into(), at: bad.valid_up_to() },
        Ok(text) if text.trim_ascii().is_empty() => "the frame is empty".into(),
        // What simd-json says of NaN, Infinity and other texts that are no value.
        Ok(_) if *error.error() == ErrorType::InternalError => "no JSON value".into(),
        Ok(_) => words(&format!("{:?}", error.error())),
    };
    DecodeError::NotJson { problem, at: error.index().min(frame.len()) }
}
