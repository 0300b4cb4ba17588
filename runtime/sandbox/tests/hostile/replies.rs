//! Answers that lie about themselves. What cannot be believed of one row is that row's fault, and names what is wrong.

use crate::guest::{Guest, Image, batch, says};
use tidegate_record::Scalar;
use tidegate_sandbox::{FaultKind, Input, Kind, Limits, RowFault, Window};

/// A plugin that gives the same answer to every batch, given one row: it is set aside, and its fault has all the parts.
fn check(guest: Guest, parts: &[&str]) {
    let kind = guest.kind;
    let mut runner = guest.runner();
    let (batch, slots) = (batch(&[1.0]), [0]);
    let input = Input::with_slots(&batch, &slots);
    let faults: Vec<RowFault> = match kind {
        Kind::Filter => runner.keep(input).expect("goes on").faults,
        Kind::Detect => runner.score(input).expect("goes on").faults,
        Kind::Aggregate => runner.update(input).expect("goes on"),
        Kind::Transform | Kind::Codec => runner.apply(input).expect("goes on").faults,
    };
    assert_eq!(faults.iter().map(|f| f.row).collect::<Vec<_>>(), [0], "{parts:?}");
    assert_eq!(faults[0].fault.kind, FaultKind::BadReply);
    says(&faults[0].fault, &["plugin hostile 1.0.0: bad_reply: "]);
    says(&faults[0].fault, parts);
}

fn filter(reply: impl FnOnce(&mut Image) -> u32, parts: &[&str]) {
    check(Guest::answering(Kind::Filter, reply), parts);
}

fn detect(reply: impl FnOnce(&mut Image) -> u32, parts: &[&str]) {
    check(Guest::answering(Kind::Detect, reply), parts);
}

fn transform(emits: &'static [(&'static str, Scalar)], reply: impl FnOnce(&mut Image) -> u32, parts: &[&str]) {
    check(Guest { emits, ..Guest::answering(Kind::Transform, reply) }, parts);
}

#[test]
fn a_mask_is_a_byte_a_row() {
    filter(|image| image.kept(&[1, 1, 1], &[]), &["keep has 3 bytes for 1 rows"]);
    filter(|image| image.kept(&[], &[]), &["keep has 0 bytes for 1 rows"]);
    filter(|image| image.kept(&[7], &[]), &["keep of row 0 is 7, not 0 or 1"]);
}

#[test]
fn a_fault_names_a_row_that_is_there() {
    filter(|image| image.kept(&[1], &[(9, b"no")]), &["a fault names row 9 of 1"]);
    filter(|image| image.kept(&[1], &[(u32::MAX, b"no")]), &["a fault names row 4294967295 of 1"]);
    filter(|image| image.kept(&[1], &[(0, b"a"), (0, b"b")]), &["2 faults for 1 rows"]);
    filter(|image| image.kept(&[1], &[(0, b"\xff\xfe")]), &["invalid utf-8"]);
    let mut guest = Guest::answering(Kind::Aggregate, |image| {
        let faults = image.faults(&[(3, b"no")]);
        image.words(&faults)
    });
    guest.save = Some("unreachable");
    check(guest, &["a fault names row 3 of 1"]);
}

#[test]
fn lists_lie_within_the_guests_memory() {
    filter(|image| image.words(&[0x7fff_0000, 4, 0, 0]), &["list pointer/length out of bounds of memory"]);
    filter(|image| image.words(&[0, u32::MAX, 0, 0]), &["list pointer/length out of bounds of memory"]);
    filter(|image| image.words(&[0, 1, 0, 0x4000_0000]), &["list pointer/length out of bounds of memory"]);
    filter(|image| image.words(&[0, 1, 6, 1]), &["list pointer is not aligned"]);
    filter(|_| 0x7fff_0000, &["pointer out of bounds of memory"]);
    filter(|_| 66, &["pointer not aligned"]);
}

#[test]
fn answers_larger_than_the_cap_are_refused() {
    // 12 MiB of the guest's own memory, told to be the mask.
    let mut guest = Guest::answering(Kind::Filter, |image| image.words(&[0, 12 << 20, 0, 0]));
    guest.memory = "200";
    check(guest, &["answered more than output_bytes (8388608) allows"]);
    // Half a million faults for one row.
    let mut guest = Guest::answering(Kind::Filter, |image| image.words(&[0, 1, 65536, 500_000]));
    guest.memory = "200";
    check(guest, &["answered more than output_bytes (8388608) allows"]);
    // Each of many texts is small, the same one: together they are too much.
    let mut guest = Guest::answering(Kind::Filter, |image| {
        let long = image.list(&[b'a'; 16 << 10], 16 << 10);
        let faults: Vec<u32> = (0..1000).flat_map(|_| [0, long[0], long[1]]).collect();
        let faults = image.words(&faults);
        image.words(&[0, 1, faults, 1000])
    });
    guest.memory = "200";
    check(guest, &["answered more than output_bytes (8388608) allows"]);
}

#[test]
fn findings_name_rows_and_are_no_worse_than_critical() {
    detect(|image| image.found(&[(1, 50)], None), &["a finding names row 1 of 1"]);
    detect(|image| image.found(&[(0, 101)], None), &["a finding has severity 101, more than 100"]);
    detect(|image| image.found(&[], Some(&[1.0, 2.0])), &["2 scores for 1 rows"]);
    detect(|image| image.found(&[(0, 50); 3], None), &["3 findings for 1 rows"]);
}

#[test]
fn rows_made_are_of_the_plan_and_come_from_rows_given() {
    const NUMBER: &[(&str, Scalar)] = &[("made", Scalar::Float)];
    const TEXT: &[(&str, Scalar)] = &[("made", Scalar::Text)];
    transform(NUMBER, |image| image.table(None, &[]), &["0 columns where the plan emits 1"]);
    transform(
        NUMBER,
        |image| {
            let column = image.floats(&[1.0, 2.0], None);
            image.table(None, &[column])
        },
        &["column made has 2 values for 1 rows"],
    );
    transform(
        TEXT,
        |image| {
            let column = image.floats(&[1.0], None);
            image.table(None, &[column])
        },
        &["column made holds f64 where the plan says text"],
    );
    let origins: [(&[u32], &str); 2] = [(&[1], "an origin names row 1 of 1"), (&[1, 0], "origins do not ascend")];
    for (origin, part) in origins {
        transform(NUMBER, |image| image.table(Some(origin), &[]), &[part]);
    }
    transform(
        NUMBER,
        |image| {
            let column = image.floats(&[1.0], Some(&[1, 1, 1]));
            image.table(None, &[column])
        },
        &["validity of made has 3 bytes for 1 rows"],
    );
    let offsets: [&[u32]; 5] = [&[0, 9], &[1, 2], &[0, 2, 1], &[], &[0, u32::MAX]];
    for lie in offsets {
        transform(
            TEXT,
            |image| {
                let column = image.texts(lie, b"ab");
                image.table(None, &[column])
            },
            &["offsets of made do not describe its data"],
        );
    }
    transform(
        TEXT,
        |image| {
            let column = image.texts(&[0, 2], b"\xff\xfe");
            image.table(None, &[column])
        },
        &["column made holds text that is not UTF-8 in row 0"],
    );
    transform(
        TEXT,
        |image| {
            let mut column = image.texts(&[0, 2], b"ab");
            column[0] = 9;
            image.table(None, &[column])
        },
        &["unexpected discriminant: 9"],
    );
}

#[test]
fn results_of_windows_are_a_row_a_window() {
    let finish = |columns: &[[u32; 8]], image: &mut Image| {
        let columns = image.columns(columns);
        image.words(&columns)
    };
    type Columns = fn(&mut Image) -> Vec<[u32; 8]>;
    let cases: [(Columns, &str); 2] = [
        (|_| Vec::new(), "0 columns where the plan emits 1"),
        (|image| vec![image.floats(&[1.0, 2.0, 3.0], None)], "column made has 3 values for 1 rows"),
    ];
    for (columns, part) in cases {
        let mut guest = Guest::answering(Kind::Aggregate, |image| {
            let columns = columns(image);
            finish(&columns, image)
        });
        guest.emits = &[("made", Scalar::Float)];
        let mut runner = guest.runner_limited(&Limits::default());
        let finished = runner.finish(&[0, 1].map(|slot| Window { slot, start: 0, end: 1 })).expect("goes on");
        assert_eq!(finished.faults.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1]);
        says(&finished.faults[0].1, &["bad_reply", part]);
        assert_eq!(finished.columns[0].valid, Some(vec![0, 0]), "what is not known is null");
    }
}

#[test]
fn what_a_faulted_row_made_is_left_out() {
    let guest = |origin: Option<&'static [u32]>, values: &'static [f64]| Guest {
        emits: &[("made", Scalar::Float)],
        ..Guest::answering(Kind::Transform, |image| {
            let made = image.floats(values, None);
            let (columns, faults) = (image.columns(&[made]), image.faults(&[(1, b"no")]));
            let rows = image.words(origin.unwrap_or_default());
            let count = origin.unwrap_or_default().len() as u32;
            image.words(&[u32::from(origin.is_some()), rows, count, columns[0], columns[1], faults[0], faults[1]])
        })
    };
    let made = |guest: Guest| {
        let table = guest.runner().apply(Input::of(&batch(&[1.0, 2.0, 3.0]))).expect("runs");
        assert_eq!(table.faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [1]);
        let tidegate_record::Values::Floats(values) = &table.columns[0].values else { panic!("{table:?}") };
        (table.origin, values.clone())
    };
    assert_eq!(made(guest(None, &[10.0, 20.0, 30.0])), (vec![0, 2], vec![10.0, 30.0]));
    assert_eq!(made(guest(Some(&[0, 1, 1, 2]), &[1.0, 2.0, 3.0, 4.0])), (vec![0, 2], vec![1.0, 4.0]));
    assert_eq!(made(guest(Some(&[0]), &[1.0])), (vec![0], vec![1.0]));
}
