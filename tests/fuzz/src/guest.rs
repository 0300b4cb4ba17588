//! A plugin's reply: whatever lies in its memory, what comes out is sound or a fault that is told.
//!
//! The plugins are the hostile ones of the sandbox's own tests. Each is given the input as a value of its first record,
//! copies it to a fixed place in its memory and answers that its reply is there.

#[path = "../../../runtime/sandbox/tests/hostile/guest.rs"]
#[allow(dead_code, reason = "the sandbox's tests use more of it")]
mod hostile;

use crate::Verdict;
use crate::allocation::within;
use crate::bytes::Bytes;
use hostile::Guest;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tidegate_record::{Batch, BatchBuilder, Column, Field, Scalar, Schema};
use tidegate_sandbox::{Halted, Input, Kind, Limits, Plugin, RowFault, Runner, TEXT_BYTES_MAX, Window};

/// Copies the data of the first column to [`PLACE`], at most half a page, and answers with it.
const ECHO: &str = "
    (local $len i32)
    (local.set $len (i32.load offset=16 (local.get $columns)))
    (if (i32.gt_u (local.get $len) (i32.const 32768)) (then (local.set $len (i32.const 32768))))
    (memory.copy (i32.const 32768) (i32.load offset=12 (local.get $columns)) (local.get $len))
    (i32.const 32768)";
/// The same for an aggregate, whose reply to rows is that none is at fault (nothing lies at 512); that to windows is
/// the input.
const KEEP_FOR_LATER: &str = "
    (local $len i32)
    (local.set $len (i32.load offset=16 (local.get $columns)))
    (if (i32.gt_u (local.get $len) (i32.const 32768)) (then (local.set $len (i32.const 32768))))
    (memory.copy (i32.const 32768) (i32.load offset=12 (local.get $columns)) (local.get $len))
    (i32.const 512)";
const PLACE: u32 = 32768;
/// What transforms and aggregates make.
const EMITS: &[(&str, Scalar)] = &[("a", Scalar::Float), ("b", Scalar::Text), ("c", Scalar::Boolean)];
const KINDS: [Kind; 5] = [Kind::Filter, Kind::Detect, Kind::Transform, Kind::Aggregate, Kind::Codec];
const ROWS_MAX: u8 = 4;

static PLUGINS: LazyLock<Vec<Arc<Plugin>>> = LazyLock::new(|| KINDS.map(plugin).to_vec());

pub fn run(input: &[u8]) -> Verdict {
    let mut input = Bytes(input);
    let (choice, rows) = (usize::from(input.byte()) % KINDS.len(), input.byte() % ROWS_MAX + 1);
    let batch = batch(rows, input.0);
    let replied = reply(choice, &batch);
    assert_eq!(reply(choice, &batch), replied, "the same reply is understood alike");
    if replied.faults == 0 { Verdict::Accepted } else { Verdict::Refused }
}

/// What came of a reply, for comparison.
#[derive(Debug, PartialEq)]
struct Replied {
    faults: usize,
    shown: String,
}

fn plugin(kind: Kind) -> Arc<Plugin> {
    let state = kind == Kind::Filter;
    let guest = Guest {
        rows: Some(if kind == Kind::Aggregate { KEEP_FOR_LATER } else { ECHO }),
        save: Some("(i32.const 32768)"),
        reply: PLACE,
        reads: &["image"],
        emits: if matches!(kind, Kind::Filter | Kind::Detect) { &[] } else { EMITS },
        state: state || kind == Kind::Aggregate,
        slots: state || kind == Kind::Aggregate,
        ..Guest::new(kind)
    };
    guest.load_limited(&limits()).expect("a plugin")
}

/// The usual limits, but for a clock that a busy machine cannot run out of.
fn limits() -> Limits {
    Limits { call_time: Duration::from_secs(30), output_bytes: 1 << 20, ..Limits::default() }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("image", Scalar::Bytes)]).expect("a schema"))
}

fn batch(rows: u8, image: &[u8]) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for row in 0..rows {
        assert!(builder.bytes(0, if row == 0 { image } else { &[] }));
        builder.end_row("d1", i64::from(row)).expect("a device");
    }
    Arc::new(builder.finish())
}

fn reply(choice: usize, batch: &Arc<Batch>) -> Replied {
    let limits = limits();
    let mut runner = Runner::new(PLUGINS[choice].clone(), "{}", &schema(), &limits).expect("a runner");
    // The reply, what becomes of it, and instances made anew; an instance's own memory is not the allocator's.
    within(4 * limits.output_bytes + (1 << 20), || match KINDS[choice] {
        Kind::Filter => kept(&mut runner, batch),
        Kind::Detect => found(&mut runner, batch),
        Kind::Transform | Kind::Codec => table(&mut runner, batch),
        Kind::Aggregate => finished(&mut runner, batch),
    })
}

fn kept(runner: &mut Runner, batch: &Arc<Batch>) -> Replied {
    let slots: Vec<u32> = (0..batch.rows() as u32).collect();
    let kept = match runner.keep(Input::with_slots(batch, &slots)) {
        Ok(kept) => kept,
        Err(halted) => return told(&halted),
    };
    assert_eq!(kept.keep.len(), batch.rows());
    assert!(kept.keep.iter().all(|&byte| byte <= 1), "{:?}", kept.keep);
    assert!(kept.faults.iter().all(|fault| kept.keep[fault.row as usize] == 0), "no row at fault is kept");
    assert_faults(&kept.faults, batch.rows());
    // The same bytes again, as saved states.
    let saved = match runner.save(&slots) {
        Ok(saved) => saved,
        Err(halted) => return Replied { faults: 1 + kept.faults.len(), ..told(&halted) },
    };
    assert_eq!(saved.len(), slots.len());
    Replied { faults: kept.faults.len(), shown: format!("{kept:?} {saved:?}") }
}

fn found(runner: &mut Runner, batch: &Arc<Batch>) -> Replied {
    let found = match runner.score(Input::of(batch)) {
        Ok(found) => found,
        Err(halted) => return told(&halted),
    };
    assert!(found.findings.is_sorted_by_key(|finding| finding.row), "{found:?}");
    for finding in &found.findings {
        assert!((finding.row as usize) < batch.rows() && finding.severity <= 100, "{finding:?}");
        assert!(finding.reason.len() <= TEXT_BYTES_MAX + 8, "{finding:?}");
    }
    assert!(found.scores.as_ref().is_none_or(|scores| scores.len() == batch.rows()), "{found:?}");
    assert_faults(&found.faults, batch.rows());
    // NaN equals itself as text.
    Replied { faults: found.faults.len(), shown: format!("{found:?}") }
}

fn table(runner: &mut Runner, batch: &Arc<Batch>) -> Replied {
    let table = match runner.apply(Input::of(batch)) {
        Ok(table) => table,
        Err(halted) => return told(&halted),
    };
    assert!(table.origin.is_sorted() && table.origin.iter().all(|&row| (row as usize) < batch.rows()), "{table:?}");
    assert_faults(&table.faults, batch.rows());
    assert_batch(&batch.take(&table.origin), table.columns.clone());
    Replied { faults: table.faults.len(), shown: format!("{table:?}") }
}

fn finished(runner: &mut Runner, batch: &Arc<Batch>) -> Replied {
    let slots: Vec<u32> = (0..batch.rows() as u32).collect();
    match runner.update(Input::with_slots(batch, &slots)) {
        Ok(faults) => assert_faults(&faults, batch.rows()),
        Err(halted) => return told(&halted),
    }
    let windows: Vec<Window> = slots.iter().map(|&slot| Window { slot, start: 0, end: 1_000_000 }).collect();
    let finished = match runner.finish(&windows) {
        Ok(finished) => finished,
        Err(halted) => return told(&halted),
    };
    assert!(finished.faults.iter().all(|(window, _)| *window < windows.len()), "{finished:?}");
    assert_batch(batch, finished.columns.clone());
    Replied { faults: finished.faults.len(), shown: format!("{finished:?}") }
}

/// Columns a pipeline can go on with: those of the plan, for the records of `batch`, and nothing behind a null.
fn assert_batch(batch: &Batch, columns: Vec<Column>) {
    let emits = EMITS.iter().map(|&(name, scalar)| Field::new(name, scalar)).collect();
    let made = batch.with_columns(Arc::new(Schema::new(emits).expect("a schema")), columns);
    let made = made.expect("columns of the plan");
    for column in made.columns() {
        let nulls = (0..made.rows()).filter(|&row| !column.is_valid(row));
        let zero = Column::nulls(column.values.scalar(), 1);
        nulls.for_each(|row| assert_eq!(column.slice(row..row + 1).values, zero.values, "a null holds nothing"));
    }
}

fn assert_faults(faults: &[RowFault], rows: usize) {
    assert!(faults.is_sorted_by(|a, b| a.row < b.row), "ascending, one a row: {faults:?}");
    for RowFault { row, fault } in faults {
        assert!((*row as usize) < rows, "row {row} of {rows}");
        let told = fault.to_string();
        assert!(told.contains("hostile 1.0.0") && told.len() < 4096, "{told}");
    }
}

fn told(halted: &Halted) -> Replied {
    let shown = halted.to_string();
    assert!(shown.contains("hostile 1.0.0"), "{shown}");
    Replied { faults: 1, shown }
}
