//! The import `lookup`: a guest asks the gateway's tables, a column of keys at a time.
//!
//! The host's time here is no guest's, so no deadline counts it: it is bounded by what a call may ask, keys that lie in
//! the guest's memory and an answer within `output_bytes`, whose size is known before any of it is made.

use crate::context::Context;
use crate::plugin::interface;
use crate::tables::KeyedTable;
use crate::wire::{BlobsOut, ColumnOut, Field, KeyBlobs, Keys, KeysIn, Scalar, ValuesOut};
use crate::{Tables, fault, reply};
use std::sync::Arc;
use tidegate_record::{Column, Values};
use wasmtime::component::{Linker, WasmStr};
use wasmtime::{StoreContextMut, format_err};

/// What an answer takes at least for a key, in bytes.
const KEY_BYTES: usize = 8;

/// A row a key; none where the key is null or not there.
type Rows = Vec<Option<u32>>;

pub(crate) fn link(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    let mut lookup = linker.instance(&interface("lookup"))?;
    lookup.func_wrap("fields", fields)?;
    lookup.func_wrap("find", find)
}

fn fields(
    store: StoreContextMut<'_, Context>,
    (table,): (WasmStr,),
) -> wasmtime::Result<(Result<Vec<Field>, String>,)> {
    let tables = store.data().tables()?;
    let field = |field: &tidegate_record::Field| Field {
        name: field.name.clone(),
        scalar: Scalar::of(field.scalar),
        unit: field.unit.clone(),
    };
    let name = table.to_str(&store)?;
    Ok((named(tables, &name).map(|table| table.fields().iter().map(field).collect()),))
}

fn find(
    store: StoreContextMut<'_, Context>,
    (table, keys, want): (WasmStr, KeysIn, Vec<String>),
) -> wasmtime::Result<(Result<Vec<ColumnOut>, String>,)> {
    let tables = store.data().tables()?.clone();
    let name = table.to_str(&store)?;
    let table = match named(&tables, &name) {
        Ok(table) => table,
        Err(refusal) => return Ok((Err(refusal),)),
    };
    let columns = match columns(&name, table, &want) {
        Ok(columns) => columns,
        Err(refusal) => return Ok((Err(refusal),)),
    };
    // Nothing ends the host while it looks: what the answer could not hold is not looked for.
    let (count, max) = (count(&keys), store.data().output_bytes / KEY_BYTES);
    if count > max {
        let refusal = format!("{count} keys are more than output_bytes allows answers ({max}): ask for fewer");
        return Ok((Err(fault::bounded(refusal)),));
    }
    let rows = match rows(&store, table, &keys)? {
        Some(rows) => rows,
        None => {
            let key = &table.fields()[0];
            let refusal = format!("table {name} has the key {}, which is {}: these are others", key.name, key.scalar);
            return Ok((Err(fault::bounded(refusal)),));
        }
    };
    let (bytes, max) = (columns.iter().map(|column| bytes(column, &rows)).sum::<usize>(), store.data().output_bytes);
    if bytes > max {
        let refusal = format!("{bytes} bytes of {name} are more than output_bytes ({max}) allows: ask for fewer keys");
        return Ok((Err(fault::bounded(refusal)),));
    }
    Ok((Ok(columns.into_iter().map(|column| gather(column, &rows)).collect()),))
}

fn named<'t>(tables: &'t Tables, name: &str) -> Result<&'t Arc<KeyedTable>, String> {
    tables.get(name).ok_or_else(|| {
        let names: Vec<&str> = tables.iter().map(|(name, _)| name).collect();
        let there = if names.is_empty() { "there is none".into() } else { format!("there are {}", names.join(", ")) };
        fault::bounded(format!("there is no table {:?}; {there}", fault::bounded(name.into())))
    })
}

/// The columns wanted, each once.
fn columns<'t>(name: &str, table: &'t KeyedTable, want: &[String]) -> Result<Vec<&'t Column>, String> {
    let mut places = Vec::with_capacity(want.len().min(table.fields().len()));
    for column in want {
        match table.position(column) {
            Some(place) if places.contains(&place) => {
                return Err(format!("column {column} of table {name} is wanted twice"));
            }
            Some(place) => places.push(place),
            None => {
                let has: Vec<&str> = table.fields().iter().map(|field| field.name.as_str()).collect();
                let column = fault::bounded(column.clone());
                return Err(fault::bounded(format!(
                    "table {name} has no column {column:?}; it has {}",
                    has.join(", ")
                )));
            }
        }
    }
    Ok(places.into_iter().map(|place| table.column(place)).collect())
}

fn count(keys: &KeysIn) -> usize {
    match &keys.values {
        Keys::Floats(keys) => keys.len(),
        Keys::Integers(keys) => keys.len(),
        Keys::Booleans(keys) => keys.len(),
        Keys::Texts(keys) | Keys::Bytes(keys) => keys.offsets.len().saturating_sub(1),
    }
}

/// The row of each key; `None` where the keys are of another scalar than the table's. An error for what is no column.
fn rows(store: &StoreContextMut<'_, Context>, table: &KeyedTable, keys: &KeysIn) -> wasmtime::Result<Option<Rows>> {
    let valid = keys.valid.as_ref().map(|valid| valid.as_le_slice(store));
    let is_valid = |row: usize| valid.is_none_or(|valid| valid[row] != 0);
    let checked = |rows: usize| match valid {
        Some(valid) => reply::mask("validity of the keys", valid, rows).map_err(wasmtime::Error::msg),
        None => Ok(()),
    };
    let row = |found: Option<usize>| found.map(|row| row as u32);
    match (&keys.values, table.fields()[0].scalar) {
        (Keys::Integers(keys), tidegate_record::Scalar::Integer) => {
            let keys = keys.as_le_slice(store);
            checked(keys.len())?;
            let find =
                |(at, key): (usize, &i64)| row(table.row_of_integer(i64::from_le(*key)).filter(|_| is_valid(at)));
            Ok(Some(keys.iter().enumerate().map(find).collect()))
        }
        (Keys::Texts(keys), tidegate_record::Scalar::Text) => {
            let (offsets, data) = parts(store, keys)?;
            checked(offsets.len().saturating_sub(1))?;
            // What is not UTF-8 is no key of a table: it is not looked at closer.
            let find = |(at, ends): (usize, &[u32])| {
                let key = &data[u32::from_le(ends[0]) as usize..u32::from_le(ends[1]) as usize];
                row(table.row_of_text(key).filter(|_| is_valid(at)))
            };
            Ok(Some(offsets.windows(2).enumerate().map(find).collect()))
        }
        _ => Ok(None),
    }
}

/// Offsets and data of keys, where the one describes the other.
fn parts<'s>(store: &'s StoreContextMut<'_, Context>, keys: &KeyBlobs) -> wasmtime::Result<(&'s [u32], &'s [u8])> {
    let (offsets, data) = (keys.offsets.as_le_slice(store), keys.data.as_le_slice(store));
    let first = offsets.first().map_or(0, |&first| u32::from_le(first));
    let last = offsets.last().map_or(0, |&last| u32::from_le(last));
    let sorted = offsets.is_sorted_by_key(|&offset| u32::from_le(offset));
    match first == 0 && last as usize == data.len() && sorted {
        true => Ok((offsets, data)),
        false => Err(format_err!("offsets of the keys do not describe their data")),
    }
}

/// What a column of an answer takes in the guest.
fn bytes(column: &Column, rows: &Rows) -> usize {
    let valid = if is_whole(column, rows) { 0 } else { rows.len() };
    valid
        + match &column.values {
            Values::Floats(_) | Values::Integers(_) => 8 * rows.len(),
            Values::Booleans(_) => rows.len(),
            Values::Texts(blobs) | Values::Bytes(blobs) => {
                let offsets = blobs.offsets();
                let one = |&row: &u32| (offsets[row as usize + 1] - offsets[row as usize]) as usize;
                4 * (rows.len() + 1) + rows.iter().flatten().map(one).sum::<usize>()
            }
        }
}

/// Whether every key has a value there.
fn is_whole(column: &Column, rows: &Rows) -> bool {
    rows.iter().all(|row| row.is_some_and(|row| column.is_valid(row as usize)))
}

fn gather(column: &Column, rows: &Rows) -> ColumnOut {
    let valid = |row: &Option<u32>| u8::from(row.is_some_and(|row| column.is_valid(row as usize)));
    let values = match &column.values {
        Values::Floats(values) => ValuesOut::Floats(pick(values, rows)),
        Values::Integers(values) => ValuesOut::Integers(pick(values, rows)),
        Values::Booleans(values) => ValuesOut::Booleans(pick(values, rows)),
        Values::Texts(blobs) | Values::Bytes(blobs) => {
            let mut out = BlobsOut { offsets: Vec::with_capacity(rows.len() + 1), data: Vec::new() };
            out.offsets.push(0);
            for row in rows {
                out.data.extend_from_slice(row.map_or(&[], |row| blobs.at(row as usize)));
                out.offsets.push(out.data.len() as u32);
            }
            match column.values {
                Values::Texts(_) => ValuesOut::Texts(out),
                _ => ValuesOut::Bytes(out),
            }
        }
    };
    ColumnOut { values, valid: (!is_whole(column, rows)).then(|| rows.iter().map(valid).collect()) }
}

fn pick<T: Copy + Default>(values: &[T], rows: &Rows) -> Vec<T> {
    rows.iter().map(|row| row.map_or(T::default(), |row| values[row as usize])).collect()
}
