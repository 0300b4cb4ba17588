//! The import `lookup`: what is found, and what a guest that asks wrongly gets.

use crate::guest::{Guest, Image, says, schema};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{Batch, BatchBuilder, Blobs, Column, Field, Scalar, Values};
use tidegate_sandbox::{ConfigureError, FaultKind, Grant, Grants, Input, KeyedTable, Kind, Limits, Runner, Tables};

/// Asks `$table` for `$want` by the column at `$keys`; the answer lies at 256, and a transform's made of it at 64.
const LOOK: &str = "(func $look (param $table i32) (param $len i32) (param $keys i32) (param $want i32) (param $count i32)
      (call $find (local.get $table) (local.get $len)
        (i32.load8_u (local.get $keys)) (i32.load offset=4 (local.get $keys)) (i32.load offset=8 (local.get $keys))
        (i32.load offset=12 (local.get $keys)) (i32.load offset=16 (local.get $keys))
        (i32.load8_u offset=20 (local.get $keys)) (i32.load offset=24 (local.get $keys))
        (i32.load offset=28 (local.get $keys)) (local.get $want) (local.get $count) (i32.const 256)))
    (func $answer (result i32)
      (i64.store (i32.const 64) (i64.const 0)) (i32.store (i32.const 76) (i32.load (i32.const 260)))
      (i32.store (i32.const 80) (i32.load (i32.const 264))) (i64.store (i32.const 84) (i64.const 0)) (i32.const 64))
    ;; What was refused is a fault of the first row.
    (func $refusal (result i32)
      (i32.store (i32.const 288) (i32.const 0)) (i64.store align=4 (i32.const 292) (i64.load align=4 (i32.const 260)))
      (i64.store (i32.const 64) (i64.const 0)) (i32.store (i32.const 64) (i32.const 1)) (i64.store (i32.const 72) (i64.const 0))
      (i32.store (i32.const 76) (i32.const 320)) (i32.store (i32.const 80) (i32.const 1))
      (memory.fill (i32.const 320) (i32.const 0) (i32.const 32)) (i32.store8 (i32.const 320) (i32.const 3))
      (i32.store (i32.const 84) (i32.const 288)) (i32.store (i32.const 88) (i32.const 1)) (i32.const 64))";

fn texts(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Column {
    let mut blobs = Blobs::default();
    values.into_iter().for_each(|value| blobs.push(value.as_ref()));
    Column::of(Values::Texts(blobs))
}

/// Sites of devices d1 and d2 (d3 has none), meters by number, and one whose text is a megabyte.
fn tables() -> Arc<Tables> {
    let site = Column { valid: Some(vec![1, 1, 0]), ..texts(["north", "south", ""]) };
    let sites = vec![Field::new("device", Scalar::Text), Field::new("site", Scalar::Text)];
    let sites = KeyedTable::new(sites, vec![texts(["d1", "d2", "d3"]), site]).expect("a table");
    let meters = vec![Field::new("number", Scalar::Integer), Field::new("factor", Scalar::Float)];
    let numbers = Column::of(Values::Integers(vec![7, -1]));
    let meters = KeyedTable::new(meters, vec![numbers, Column::of(Values::Floats(vec![1.5, 2.5]))]);
    let large = vec![Field::new("device", Scalar::Text), Field::new("text", Scalar::Text)];
    let large = KeyedTable::new(large, vec![texts(["d1"]), texts(["x".repeat(1 << 20)])]);
    Arc::new(Tables::new([
        ("sites".to_string(), sites),
        ("meters".to_string(), meters.expect("a table")),
        ("large".to_string(), large.expect("a table")),
    ]))
}

fn granted() -> Limits {
    Limits {
        grants: Grants { lookup: true, ..Grants::default() },
        tables: tables(),
        call_time: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// Makes a column of keys in the guest's memory.
type Keys = fn(&mut Image) -> [u32; 8];

/// What a plugin asks for.
struct Ask {
    table: &'static str,
    want: Vec<&'static str>,
    /// Keys other than the first column of the batch.
    keys: Option<Keys>,
}

impl Ask {
    fn of(table: &'static str, want: &[&'static str]) -> Self {
        Ask { table, want: want.to_vec(), keys: None }
    }

    fn with(self, keys: Keys) -> Self {
        Ask { keys: Some(keys), ..self }
    }

    /// A transform that emits a text column `site`: what was found, or a fault of the first row that tells what was refused.
    fn guest(self) -> Guest {
        let mut guest = Guest {
            imports: &[Grant::Lookup],
            reads: &["device"],
            emits: &[("site", Scalar::Text)],
            ..Guest::new(Kind::Transform)
        };
        let [table, len] = guest.image.list(self.table.as_bytes(), self.table.len());
        let want: Vec<u32> = self.want.iter().flat_map(|name| guest.image.list(name.as_bytes(), name.len())).collect();
        let (want, count) = (guest.image.words(&want), self.want.len());
        let keys = match self.keys {
            Some(keys) => {
                let keys = keys(&mut guest.image);
                format!("(i32.const {})", guest.image.words(&keys))
            }
            None => "(local.get $columns)".into(),
        };
        let call = format!(
            "(call $look (i32.const {table}) (i32.const {len}) (local.get $keys) (i32.const {want}) (i32.const {count}))"
        );
        guest.core = format!("{LOOK} (func $ask (param $keys i32) {call})");
        let rows = format!(
            "(call $ask {keys}) (if (result i32) (i32.load8_u (i32.const 256)) (then (call $refusal)) (else (call $answer)))"
        );
        guest.rows = Some(rows.leak());
        guest
    }

    /// The reason of the fault its first row gets.
    fn refused(self) -> String {
        let mut runner = self.guest().runner_limited(&granted());
        let table = runner.apply(Input::of(&devices(&["d1"]))).expect("goes on");
        assert_eq!((table.origin.len(), table.faults.len()), (0, 1), "{table:?}");
        table.faults[0].fault.message.clone()
    }

    /// What kind of fault it is, and the message.
    fn faulted(self) -> (FaultKind, String) {
        let mut runner = self.guest().runner_limited(&granted());
        let fault = runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults.remove(0).fault;
        (fault.kind, fault.message)
    }
}

fn devices(names: &[&str]) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(schema());
    for name in names {
        assert!(builder.float(0, 1.0));
        builder.end_row(name, 0).expect("a device");
    }
    Arc::new(builder.finish())
}

fn sites(column: &Column) -> Vec<Option<&str>> {
    let Values::Texts(texts) = &column.values else { panic!("{column:?}") };
    (0..texts.len()).map(|row| column.is_valid(row).then(|| texts.text(row))).collect()
}

#[test]
fn every_key_gets_its_row_and_null_where_there_is_none() {
    let mut runner = Ask::of("sites", &["site"]).guest().runner_limited(&granted());
    let table = runner.apply(Input::of(&devices(&["d2", "d1", "d9", "d3", "d2"]))).expect("runs");
    assert_eq!(table.origin, [0, 1, 2, 3, 4]);
    assert_eq!(sites(&table.columns[0]), [Some("south"), Some("north"), None, None, Some("south")]);
    let table = runner.apply(Input::of(&devices(&["d1"]))).expect("runs");
    assert_eq!(sites(&table.columns[0]), [Some("north")], "all there: no validity");
    let mut runner = Ask::of("sites", &["device"]).guest().runner_limited(&granted());
    let table = runner.apply(Input::of(&devices(&["d3", "d9"]))).expect("runs");
    assert_eq!(sites(&table.columns[0]), [Some("d3"), None], "the key tells whether there is a row");
}

#[test]
fn a_null_key_finds_nothing() {
    let keys = |image: &mut Image| {
        let mut keys = image.texts(&[0, 2], b"d1");
        let [at, len] = image.list(&[0], 1);
        (keys[5], keys[6], keys[7]) = (1, at, len);
        keys
    };
    let mut runner = Ask::of("sites", &["site"]).with(keys).guest().runner_limited(&granted());
    let table = runner.apply(Input::of(&devices(&["d1"]))).expect("runs");
    assert_eq!(sites(&table.columns[0]), [None]);
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    assert_eq!(Ask::of("places", &["site"]).refused(), "there is no table \"places\"; there are large, meters, sites");
    assert_eq!(
        Ask::of("sites", &["site", "floor"]).refused(),
        "table sites has no column \"floor\"; it has device, site"
    );
    assert_eq!(Ask::of("sites", &["site", "site"]).refused(), "column site of table sites is wanted twice");
}

#[test]
fn keys_of_another_scalar_are_refused() {
    says(
        Ask::of("meters", &["factor"]).refused(),
        &["table meters has the key number, which is i64: these are others"],
    );
    let floats = |image: &mut Image| image.floats(&[1.0], None);
    says(Ask::of("sites", &["site"]).with(floats).refused(), &["the key device, which is text"]);
}

#[test]
fn keys_that_are_no_column_are_a_fault() {
    let shapes: [(Keys, &str); 5] = [
        (|image| image.texts(&[0, 9], b"d1"), "offsets of the keys do not describe their data"),
        (|image| image.texts(&[1, 2], b"d1"), "offsets of the keys do not describe their data"),
        (|image| image.texts(&[0, 2, 1, 2], b"d1"), "offsets of the keys do not describe their data"),
        (|image| [3, 1 << 30, 2, 0, 0, 0, 0, 0].map(|word| word + u32::from(image.put(&[]) == 0)), "out of bounds"),
        (
            |image| {
                let mut keys = image.texts(&[0, 2], b"d1");
                (keys[5], keys[6], keys[7]) = (1, image.put(&[7]), 1);
                keys
            },
            "validity of the keys of row 0 is 7",
        ),
    ];
    for (keys, expected) in shapes {
        let (kind, message) = Ask::of("sites", &["site"]).with(keys).faulted();
        assert_eq!(kind, FaultKind::BadReply, "{message}");
        assert!(message.contains(expected), "{message}\ndoes not say\n{expected}");
    }
}

#[test]
fn no_keys_find_nothing_in_as_many_rows() {
    let none = |image: &mut Image| image.texts(&[], b"");
    let mut guest = Ask::of("sites", &["site"]).with(none).guest();
    // What is found has no row, so it is no answer to one row: all that is told is how many columns there are.
    guest.rows = Some("(call $ask (i32.const 512)) (call $answer)");
    guest.core.push_str("(data (i32.const 512) \"\\03\")");
    let mut runner = guest.runner_limited(&granted());
    let fault = &runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults[0].fault;
    says(fault, &["column site has 0 values for 1 rows"]);
}

#[test]
fn an_answer_over_the_bound_of_output_is_refused_before_it_is_made() {
    // 40 keys of a row with a megabyte each.
    let keys = |image: &mut Image| {
        let offsets: Vec<u32> = (0..=40).map(|row| row * 2).collect();
        image.texts(&offsets, "d1".repeat(40).as_bytes())
    };
    let refused = Ask::of("large", &["text"]).with(keys).refused();
    says(refused, &["41943204 bytes of large are more than output_bytes (8388608) allows: ask for fewer keys"]);
}

#[test]
fn a_huge_list_of_columns_is_a_fault() {
    let mut guest = Ask::of("sites", &[]).guest();
    guest.core.push_str(
        "(func $huge (call $find (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0)
           (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 0x7fffffff)
           (i32.const 256)))",
    );
    guest.rows = Some("(call $huge) (call $answer)");
    let mut runner = guest.runner_limited(&granted());
    let fault = &runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults[0].fault;
    assert_eq!(fault.kind, FaultKind::BadReply, "{fault}");
    // As many as lie in its memory: names of no bytes, which are no column.
    let mut guest = Ask::of("sites", &[]).guest();
    guest.memory = "100";
    guest.core.push_str(
        "(func $many (memory.fill (i32.const 262144) (i32.const 0) (i32.const 4194304))
           (call $look (i32.const 0) (i32.const 0) (i32.const 512) (i32.const 262144) (i32.const 524288)))",
    );
    guest.rows = Some("(call $many) (call $refusal)");
    let mut runner = guest.runner_limited(&granted());
    let fault = &runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults[0].fault;
    says(fault, &["output_bytes"]);
}

#[test]
fn a_plugin_that_only_looks_up_is_ended_like_any_endless_loop() {
    let mut guest = Ask::of("sites", &["site"]).guest();
    guest.rows = Some("(loop $forever (call $ask (local.get $columns)) (br $forever)) (unreachable)");
    let mut runner = guest.runner_limited(&granted());
    let fault = &runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults[0].fault;
    assert_eq!(fault.kind, FaultKind::Deadline);
}

#[test]
fn room_that_a_guest_does_not_give_is_a_fault() {
    let mut guest = Ask::of("large", &["text"]).guest();
    guest.memory = "2 4";
    let mut runner = guest.runner_limited(&granted());
    let fault = &runner.apply(Input::of(&devices(&["d1"]))).expect("goes on").faults[0].fault;
    assert!(matches!(fault.kind, FaultKind::BadReply | FaultKind::Trap), "{fault}");
}

#[test]
fn it_may_be_asked_while_configured_and_not_while_saving() {
    let ask = "(call $fields (i32.const 1024) (i32.const 5) (i32.const 256)) (if (i32.load8_u (i32.const 256)) (then unreachable))";
    let guest = Guest { configure: ask.into(), ..Ask::of("sites", &["site"]).guest() };
    guest.runner_limited(&granted());
    let missing = Guest { configure: ask.into(), ..Ask::of("place", &["site"]).guest() };
    let plugin = missing.load_limited(&granted()).expect("loads");
    let error = Runner::new(plugin, "{}", &schema(), &granted()).err().expect("a trap");
    assert!(matches!(error, ConfigureError::Fault(_)), "{error}");
    let mut guest = Guest { state: true, slots: true, ..Ask::of("sites", &["site"]).guest() };
    guest.save = Some("(call $fields (i32.const 1024) (i32.const 5) (i32.const 256)) (unreachable)");
    let mut runner = guest.runner_limited(&granted());
    runner.apply(Input::with_slots(&devices(&["d1"]), &[0])).expect("runs");
    let halted = runner.save(&[0]).expect_err("asks where it may not");
    says(halted, &["asked for a table in describe, version, save or release"]);
}

#[test]
fn without_the_grant_it_does_not_load() {
    let error = Ask::of("sites", &["site"]).guest().load_limited(&Limits::default()).expect_err("not granted");
    says(error, &["imports tidegate:plugin/lookup@1.0.0, which is not granted: write grant = [\"lookup\"]"]);
}
