//! A store of format 1, written by the code of commit 1050b45, is taken over.
//!
//! Stream `a` in two partitions: 300 records in 30 commits, `n` counts them, `temp` is n ÷ 4 and absent for each third,
//! `text` says "reading n"; 3 frames were ledgered as not decoded. `sink/s` has read 40 of a/0 and has a state;
//! `pipeline/p` has a snapshot at 30 of a/1. Stream `b` is empty.

use super::*;
use crate::{Hold, LossReason};
use tidegate_record::Values;

/// The fixture's folder, with sled's files in it.
fn unpacked() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let streams = dir.path().join("streams");
    fs::create_dir_all(streams.join("blobs")).unwrap();
    let db = zstd::decode_all(&include_bytes!("../../../fixtures/store_v1/db.zst")[..]).unwrap();
    fs::write(streams.join("db"), db).unwrap();
    fs::write(streams.join("conf"), include_bytes!("../../../fixtures/store_v1/conf")).unwrap();
    dir
}

fn format(path: &Path) -> u32 {
    let mut format = 0;
    tools::change(path, |medium, _| {
        let meta = crate::medium::value(medium, Key::only(Kind::Meta)).unwrap().unwrap();
        format = crate::values::decode::<crate::values::Meta>(&meta).unwrap().format;
    });
    format
}

fn declared(store: SledStore) -> SledStore {
    let fields =
        [("n", Scalar::Integer), ("temp", Scalar::Float), ("text", Scalar::Text)].map(|(n, s)| Field::new(n, s));
    let schema = Arc::new(Schema::new(fields.to_vec()).unwrap());
    let keep = Keep::For(Duration::from_secs(10 * 365 * 86_400));
    let retention = Retention { max_bytes: 1 << 20, max_age: None, keep, when_full: WhenFull::Block };
    let spec = |name: &str, partitions, readers| {
        let (schema, retention) = (schema.clone(), retention.clone());
        StreamSpec { name: name.into(), schema, partitions, retention, readers }
    };
    let reader = |name: &str| (name.to_string(), Hold::Cursor);
    store.declare(vec![spec("a", 2, vec![reader("sink/s")]), spec("b", 1, vec![])]).unwrap();
    store
}

#[test]
fn everything_in_a_store_of_format_1_is_there_under_its_identity() {
    let dir = unpacked();
    let report = verify(dir.path()).unwrap();
    assert!(report.is_sound() && format(dir.path()) == 1, "{report:?}");
    let store = declared(open(options(dir.path())).unwrap());
    assert_eq!(store.identity().epoch, report.epoch);
    let mut numbers = Vec::new();
    for partition in [0, 1] {
        let (partition, mut at) = (Partition::new("a", partition), Position(0));
        while let Some(block) = store.read(&partition, at, Visibility::Durable).unwrap() {
            at = block.next;
            let (temps, texts) = (&block.batch.columns()[1], &block.batch.columns()[2]);
            let Values::Integers(ns) = &block.batch.columns()[0].values else { panic!("n is an integer") };
            let Values::Floats(floats) = &temps.values else { panic!("temp is a float") };
            let Values::Texts(words) = &texts.values else { panic!("text is a text") };
            for (row, &n) in ns.iter().enumerate() {
                let temp = temps.is_valid(row).then(|| floats[row]);
                assert_eq!((temp, words.text(row)), ((n % 3 > 0).then_some(n as f64 / 4.0), &*format!("reading {n}")));
                assert_eq!(block.batch.times()[row], 1_780_000_000_000_000 + n * 1_000);
                numbers.push(n);
            }
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert_eq!(store.cursor("sink/s", &Partition::new("a", 0)).unwrap(), Some(Position(40)));
    assert_eq!(store.state("sink/s").unwrap().as_deref(), Some(&b"a small state"[..]));
    let snapshot = store.snapshot("pipeline/p").unwrap().unwrap();
    assert_eq!((snapshot.at, snapshot.bytes), (vec![(Partition::new("a", 1), Position(30))], vec![7; 9_000]));
    assert_eq!(store.health().losses, vec![("a".into(), LossReason::Decode, 3)]);
}

#[test]
fn a_store_of_format_1_goes_on_in_the_present_format() {
    let dir = unpacked();
    let store = declared(open(options(dir.path())).unwrap());
    let ends = |store: &SledStore| store.health().partitions[..2].iter().map(|p| p.next.0).collect::<Vec<_>>();
    assert_eq!(ends(&store), [129, 171]);
    let mut builder = BatchBuilder::new(
        store.read(&Partition::new("a", 0), Position(0), Visibility::Durable).unwrap().unwrap().batch.schema().clone(),
    );
    builder.integer(0, 300);
    builder.end_row("device 0", 1).unwrap();
    let mut commit = Commit::by(&store.attach("source/s").unwrap());
    commit.appends.push(Append { stream: "a".into(), batch: Arc::new(builder.finish()) });
    commit.hurry = true;
    wait(store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"))).unwrap();
    assert_eq!(ends(&store).iter().sum::<u64>(), 301, "no offset is given twice");
    wait(store.close()).unwrap();
    drop(store);
    let report = verify(dir.path()).unwrap();
    assert!(report.is_sound() && format(dir.path()) == crate::values::FORMAT, "{report:?}");
    assert!(compact(dir.path()).is_ok() && verify(dir.path()).unwrap().is_sound());
}
