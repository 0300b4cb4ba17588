mod broken;
mod copies;
mod format_1;
mod rebuild;
pub(super) mod tools;

use super::*;
use crate::keys::{Key, Kind};
use crate::medium::{Medium, WriteSet};
use crate::{Append, Commit, Keep, Partition, Position, Retention, Store, StreamSpec, Visibility, WhenFull};
use std::fs;
use std::path::Path;
use tidegate_record::{BatchBuilder, Field, Scalar, Schema};

fn options(path: &Path) -> Options {
    Options { commit_interval: Duration::from_millis(1), ..Options::new(path, "plant-7") }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), future).await }).expect("in time")
}

fn declared(store: SledStore) -> SledStore {
    let retention = Retention { max_bytes: 1 << 20, max_age: None, keep: Keep::UntilRead, when_full: WhenFull::Block };
    let spec = StreamSpec { name: "a".into(), schema: schema(), partitions: 1, retention, readers: vec![] };
    store.declare(vec![spec]).unwrap();
    store
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new("n", Scalar::Integer)]).unwrap())
}

fn append(store: &SledStore, n: i64) {
    let mut builder = BatchBuilder::new(schema());
    builder.integer(0, n);
    builder.end_row("d", n).unwrap();
    let mut commit = Commit::by(&store.attach("source/s").unwrap());
    commit.appends.push(Append { stream: "a".into(), batch: Arc::new(builder.finish()) });
    commit.hurry = true;
    let receipt = store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    wait(receipt).unwrap();
}

fn rows(store: &SledStore) -> usize {
    let (mut at, mut rows) = (Position(0), 0);
    while let Some(block) = store.read(&Partition::new("a", 0), at, Visibility::Durable).unwrap() {
        at = block.next;
        rows += block.batch.rows();
    }
    rows
}

fn refusal(path: &Path) -> String {
    open(options(path)).err().expect("it is refused").to_string()
}

#[test]
fn a_store_that_is_open_already_is_refused_and_not_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let store = declared(open(options(dir.path())).unwrap());
    append(&store, 1);
    assert!(refusal(dir.path()).contains("another process has it open"), "{}", refusal(dir.path()));
    assert!(!dir.path().join("streams.broken-1").exists());
    wait(store.close()).unwrap();
    drop(store);
    assert_eq!(rows(&declared(open(options(dir.path())).unwrap())), 1);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be refuses root too.
    let file = dir.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    assert!(refusal(&file).contains("the folder cannot be made"), "{}", refusal(&file));
    let no_probe = dir.path().join("store");
    fs::create_dir_all(no_probe.join("probe")).unwrap();
    assert!(refusal(&no_probe).contains("it cannot be written"), "{}", refusal(&no_probe));
}

#[test]
fn a_torn_snapshot_does_not_keep_the_store_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let store = declared(open(options(dir.path())).unwrap());
    append(&store, 1);
    let identity = store.identity();
    wait(store.close()).unwrap();
    drop(store);
    fs::write(dir.path().join("streams/snap.0000000000001234.generating"), [0xff; 100]).unwrap();
    let store = declared(open(options(dir.path())).unwrap());
    assert_eq!((store.identity(), rows(&store)), (identity, 1));
    assert!(store.health().notes.iter().any(|note| note.contains("torn snapshot")), "{:?}", store.health().notes);
}

#[test]
fn a_broken_database_is_set_aside_and_a_fresh_store_begins() {
    let dir = tempfile::tempdir().unwrap();
    let mut epochs = Vec::new();
    for turn in 1..=2 {
        let store = declared(open(options(dir.path())).unwrap());
        epochs.push(store.identity().epoch);
        append(&store, 1);
        wait(store.close()).unwrap();
        drop(store);
        let conf = dir.path().join("streams/conf");
        let mut bytes = fs::read(&conf).unwrap();
        bytes[0] ^= 0xff;
        fs::write(&conf, bytes).unwrap();
        let store = declared(open(options(dir.path())).unwrap());
        assert_eq!(rows(&store), 0);
        let notes = store.health().notes;
        assert!(notes.iter().any(|note| note.contains(&format!("streams.broken-{turn}"))), "{notes:?}");
        append(&store, 2);
        wait(store.close()).unwrap();
        epochs.push(store.identity().epoch);
    }
    assert_eq!(epochs[1], epochs[2], "a restart keeps the epoch");
    epochs.dedup();
    assert_eq!(epochs.len(), 3, "a fresh store has another epoch");
    assert!(dir.path().join("streams.broken-2").exists());
}

/// A folder with a store that holds nothing but its meta entry.
fn made_with(format: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::lock(dir.path()).unwrap());
    let db = open_db(&folder).unwrap_or_else(|_| panic!("it opens"));
    let medium = SledMedium::new(db, folder.clone()).unwrap();
    let meta = crate::values::Meta { format, epoch: 77, gateway: "plant-7".into(), arrival: 5, number: 9 };
    let mut set = WriteSet::default();
    set.put(Key::only(Kind::Meta), crate::values::encode(&meta));
    medium.write(&set).unwrap();
    medium.release();
    dir
}

#[test]
fn a_store_of_another_format_is_refused_and_left_alone() {
    let dir = made_with(3);
    for _ in 0..2 {
        assert!(refusal(dir.path()).contains("of format 3"), "{}", refusal(dir.path()));
    }
    let looked = verify(dir.path()).unwrap_err().to_string();
    assert!(looked.contains("of format 3") && looked.contains("Run the version that made it"), "{looked}");
    assert!(!dir.path().join("streams.broken-1").exists());
}

#[test]
fn a_store_of_the_first_format_is_taken_over_by_its_next_commit() {
    let dir = made_with(1);
    let store = declared(open(options(dir.path())).unwrap());
    assert_eq!(store.identity().epoch, 77, "it is the same store");
    append(&store, 1);
    wait(store.close()).unwrap();
    drop(store);
    let folder = Arc::new(Folder::lock(dir.path()).unwrap());
    let medium = SledMedium::new(open_db(&folder).unwrap_or_else(|_| panic!("it opens")), folder).unwrap();
    let bytes = crate::medium::value(&medium, Key::only(Kind::Meta)).unwrap().unwrap();
    let meta: crate::values::Meta = crate::values::decode(&bytes).unwrap();
    assert_eq!((meta.format, meta.epoch), (crate::values::FORMAT, 77));
    assert!(meta.number > 9, "numbers go on: {}", meta.number);
}

#[test]
fn sled_keeps_what_a_medium_has_to_keep() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::lock(dir.path()).unwrap());
    let db = open_db(&folder).unwrap_or_else(|_| panic!("it opens"));
    let medium = SledMedium::new(db, folder.clone()).unwrap();
    let key = |offset| Key::new(Kind::Block, 1, 0, offset);
    let mut set = WriteSet::default();
    let long: Vec<u8> = (0..20_000u32).map(|i| i as u8).collect();
    assert_eq!(set.put(key(5), long.clone()), 4);
    set.put(key(9), vec![9]);
    medium.write(&set).unwrap();
    assert_eq!(crate::medium::value(&medium, key(5)), Ok(Some(long)));
    assert_eq!(medium.last(key(0), key(8)), Ok(Some(key(5).part(3))));
    assert_eq!(medium.last(key(0), key(4)), Ok(None));
    let mut set = WriteSet::default();
    assert_eq!(set.replace(key(5), vec![1], 4), 1);
    medium.write(&set).unwrap();
    assert_eq!(medium.last(key(0), key(8)), Ok(Some(key(5))));
    assert!(medium.disk_bytes() > 0 && medium.disk_free().is_some());
    medium.release();
    assert!(medium.last(key(0), key(8)).is_err());
}

/// What sled does with a place in its log that does not read: it opens as what it was before.
#[test]
fn a_database_that_fell_behind_is_told_and_no_offset_is_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (path, earlier) = (dir.path().join("store"), dir.path().join("earlier"));
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    let run = |numbers: std::ops::Range<i64>| {
        let store = declared(open(options(&path)).unwrap());
        numbers.for_each(|n| append(&store, n));
        wait(store.close()).unwrap();
    };
    run(0..3);
    copy(&path.join("streams"), &earlier);
    run(3..10);
    fs::remove_dir_all(path.join("streams")).unwrap();
    copy(&earlier, &path.join("streams"));
    // The number does not tell: what came while a group was encoded is counted in it.
    tools::change(&path, |medium, set| {
        let meta = crate::medium::value(medium, Key::only(Kind::Meta)).unwrap().unwrap();
        let meta: crate::values::Meta = crate::values::decode(&meta).unwrap();
        set.put(Key::only(Kind::Meta), crate::values::encode(&crate::values::Meta { number: 1_000, ..meta }));
    });

    let store = declared(open(options(&path)).unwrap());
    let notes = store.health().notes;
    assert!(notes.iter().any(|note| note.contains("7 records that were durable are no longer in it")), "{notes:?}");
    append(&store, 10);
    let health = store.health();
    let a = health.partitions.iter().find(|p| &*p.partition.stream == "a").unwrap();
    assert_eq!((a.next.0, a.appended, a.stored, a.lost), (11, 11, 4, 7));
    assert_eq!(health.losses, [("a".into(), crate::LossReason::Quarantined, 7)]);
    assert_eq!(rows(&store), 4);
    wait(store.close()).unwrap();
    drop(store);
    let report = verify(&path).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let again = declared(open(options(&path)).unwrap());
    assert_eq!((again.health().notes, again.health().losses.len()), (Vec::new(), 1), "it is told once");
}

#[test]
fn a_database_that_is_empty_and_was_not_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let store = declared(open(options(dir.path())).unwrap());
    append(&store, 1);
    wait(store.close()).unwrap();
    drop(store);
    fs::remove_dir_all(dir.path().join("streams")).unwrap();
    let store = declared(open(options(dir.path())).unwrap());
    let notes = store.health().notes;
    assert!(notes.iter().any(|note| note.contains("it is empty, and was not")), "{notes:?}");
    assert!(dir.path().join("streams.broken-1/tail").exists());
    append(&store, 2);
    wait(store.close()).unwrap();
    drop(store);
    assert_eq!(declared(open(options(dir.path())).unwrap()).health().notes.len(), 0, "it is told once");
}

/// Bytes of the files that tell sled where its pages are.
fn pages_told(path: &Path) -> Vec<String> {
    let files = fs::read_dir(path.join("streams")).unwrap().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with("snap.")).collect()
}

#[test]
fn a_store_that_was_written_to_is_renewed_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = declared(open(Options { renew_bytes: 10_000, ..options(dir.path()) }).unwrap());
    let first = pages_told(dir.path());
    (0..200).for_each(|n| append(&store, n));
    assert_ne!(pages_told(dir.path()), first, "where its pages are is written down anew");
    assert_eq!(rows(&store), 200);
    wait(store.close()).unwrap();
    assert!(verify(dir.path()).unwrap().is_sound());
}

#[test]
fn a_store_that_does_not_open_when_it_is_renewed_is_poisoned_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = declared(open(Options { renew_bytes: 10_000, ..options(dir.path()) }).unwrap());
    append(&store, 0);
    let conf = dir.path().join("streams/conf");
    let before = fs::read(&conf).unwrap();
    fs::write(&conf, "no configuration").unwrap();
    let mut builder = BatchBuilder::new(schema());
    builder.integer(0, 7);
    builder.end_row("d", 7).unwrap();
    let batch = Arc::new(builder.finish());
    let mut durable = 1;
    let poisoned = (0..1_000).find_map(|_| {
        let session = match store.attach("source/s") {
            Ok(session) => session,
            Err(error) => return Some(error.to_string()),
        };
        let mut commit = Commit::by(&session);
        commit.appends.push(Append { stream: "a".into(), batch: batch.clone() });
        commit.hurry = true;
        match store.commit(commit).map(wait) {
            Ok(Ok(_)) => durable += 1,
            Ok(Err(error)) => return Some(error.to_string()),
            Err(refusal) => return Some(format!("{refusal:?}")),
        }
        None
    });
    assert!(poisoned.as_ref().is_some_and(|why| why.contains("does not open")), "{poisoned:?}");
    drop(store);
    fs::write(&conf, before).unwrap();
    assert_eq!(rows(&declared(open(options(dir.path())).unwrap())), durable);
}
