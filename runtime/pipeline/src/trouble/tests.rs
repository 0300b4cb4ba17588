use super::*;
use tidegate_record::{Batch, Field, Scalar, Schema};
use tidegate_sandbox::FaultKind;
use tidegate_store::{MemoryStore, Options, Position, Run, Store as _};

/// An entry of `rows` records of `bytes` each.
fn entry(rows: u32, bytes: usize) -> Entry {
    let schema = Arc::new(Schema::new(vec![Field::new("text", Scalar::Text)]).unwrap());
    let mut builder = BatchBuilder::new(schema);
    for _ in 0..rows {
        builder.text(0, &"x".repeat(bytes));
        builder.end_row("d1", 0).unwrap();
    }
    let run = Run { commit: 1, arrival: 0, wall: 0, trusted: true, stamped: None, rows };
    let (first, next, batch) = (Position(100), Position(100 + u64::from(rows)), Arc::new(builder.finish()));
    Entry { input: 0, first, next, run, era: None, batch }
}

/// What is noted of an entry: the batches of letters, and the losses.
fn noted(entry: &Entry, trouble: &Trouble) -> (Vec<Arc<Batch>>, Vec<Loss>) {
    let store = MemoryStore::new(Options::new("", "test"), 1);
    store.declare(Vec::new()).unwrap();
    let mut commit = Commit::by(&store.attach("pipeline/p").unwrap());
    let shown = Quarantined {
        operator: 2,
        plugin: "stats 1.0.0".into(),
        policy: crate::OnQuarantine::DeadLetter,
        at: String::new(),
        device: String::new(),
        reason: "trap".into(),
        release_at: None,
        records: 0,
    };
    let report = Report {
        producer: &"pipeline/p".into(),
        partition: &Partition::new("frames", 0),
        entry,
        plugin: "stats 1.0.0".into(),
        operator: 1,
        held: Some(&shown),
        wall: Wall { micros: 0, trusted: true },
    };
    report.note(trouble, &mut commit);
    let batches = commit.appends.into_iter().map(|append| append.batch).collect();
    (batches, commit.losses)
}

fn letters(batches: &[Arc<Batch>]) -> Vec<serde_json::Value> {
    let rows = batches.iter().flat_map(|batch| (0..batch.rows()).map(|row| serde_json::to_value(batch.row(row))));
    rows.map(Result::unwrap).collect()
}

fn fault(kind: FaultKind, message: &str) -> Fault {
    Fault { kind, bound: None, message: message.into(), backtrace: String::new(), plugin: "stats 1.0.0".into() }
}

#[test]
fn a_record_that_was_rejected_is_given_to_the_plugin_again_by_replay() {
    let rows = vec![(3, 0, fault(FaultKind::Rejected, "cold")), (5, 0, fault(FaultKind::Deadline, "slow"))];
    let trouble = Trouble { rows, ..Trouble::default() };
    assert_eq!(trouble.verdict().unwrap().rows, [5]);
    let trouble = Trouble { rows: trouble.rows[..1].to_vec(), ..Trouble::default() };
    assert_eq!(trouble.verdict(), None);
}

#[test]
fn a_record_that_many_were_made_of_is_one_letter_and_one_loss() {
    let made = |origin: u32| std::iter::repeat_n(origin, 10_000);
    let trouble = Trouble {
        aside: made(0).chain(made(2)).collect(),
        overflow: made(1).collect(),
        rows: vec![
            (0, 1, fault(FaultKind::Rejected, "cold")),
            (1, 1, fault(FaultKind::Rejected, "hot")),
            (2, 2, fault(FaultKind::Rejected, "wet")),
        ],
        ..Trouble::default()
    };
    let (batches, losses) = noted(&entry(3, 10), &trouble);
    let letters = letters(&batches);
    let told = letters.iter().map(|l| (l["stage"].as_str().unwrap(), l["origin"].as_str().unwrap()));
    let expected = [
        ("quarantine", "frames/0@100"),
        ("quarantine", "frames/0@102"),
        ("keys", "frames/0@101"),
        ("plugin", "frames/0@101"),
        ("plugin", "frames/0@102"),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let reasons: Vec<_> = letters[3..].iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    let first = "2 records made of this one faulted, the first: plugin stats 1.0.0: rejected: cold";
    assert_eq!(reasons, [first, "plugin stats 1.0.0: rejected: wet"]);
    let losses: Vec<_> = losses.iter().map(|loss| (loss.count, loss.offsets)).collect();
    assert_eq!(losses, [(1, Some((101, 101))), (2, Some((101, 102))), (2, Some((100, 102)))]);
}

#[test]
fn letters_are_put_into_batches_as_they_are_made() {
    let (rows, bytes) = (300, 50_000);
    let trouble = Trouble { aside: (0..rows).collect(), ..Trouble::default() };
    let (batches, _) = noted(&entry(rows, bytes), &trouble);
    assert_eq!(letters(&batches).len(), rows as usize);
    let most = batches.iter().map(|batch| batch.memory_bytes()).max().unwrap();
    assert!(most < LETTERS_BYTES_MAX + LETTERS_BYTES_MAX / 8, "{most} bytes in {} batches", batches.len());
}
