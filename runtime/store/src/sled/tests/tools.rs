//! Tools on a store that no gateway has open.

use super::*;

/// A folder with a closed store of records in stream `a`, a block each, ten of which `sink/s` has read.
pub(in crate::sled) fn many(records: i64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = read_by_s(open(options(dir.path())).unwrap());
    (0..records).for_each(|n| append(&store, n));
    let mut commit = Commit::by(&store.attach("sink/s").unwrap());
    commit.reads.push((Partition::new("a", 0), Position(10)));
    commit.state = Some(b"delivered ahead".to_vec());
    wait(store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}"))).unwrap();
    wait(store.close()).unwrap();
    dir
}

/// Stream `a`, read by `sink/s`, every block kept.
pub(in crate::sled) fn read_by_s(store: SledStore) -> SledStore {
    let keep = Keep::For(Duration::from_secs(3600));
    let retention = Retention { max_bytes: 1 << 20, max_age: None, keep, when_full: WhenFull::Block };
    let readers = vec![("sink/s".to_string(), crate::Hold::Cursor)];
    let spec = StreamSpec { name: "a".into(), schema: schema(), partitions: 1, retention, readers };
    store.declare(vec![spec]).unwrap();
    store
}

pub(in crate::sled) fn numbers(store: &Offline, at: u64) -> (Vec<i64>, Vec<String>) {
    let (mut numbers, mut damaged) = (Vec::new(), Vec::new());
    let visited = store.blocks("a", at, &mut |_, block| {
        match block {
            Ok(block) => numbers.extend(block.batch.times()),
            Err(reason) => damaged.push(reason),
        }
        true
    });
    visited.unwrap();
    (numbers, damaged)
}

#[test]
fn a_closed_store_is_listed_with_its_readers() {
    let dir = many(20);
    let listing = Offline::open(dir.path()).unwrap().listing();
    let a = listing.partitions.iter().find(|p| p.stream == "a").unwrap();
    assert_eq!((a.first, a.next, a.appended, a.stored, a.released, a.lost), (0, 20, 20, 20, 0, 0));
    assert_eq!(a.readers.len(), 1, "{:?}", a.readers);
    let s = &a.readers[0];
    assert_eq!((s.reader.as_str(), s.cursor, s.behind, s.holds_from), ("sink/s", 10, 10, 10));
    assert_eq!((listing.gateway.as_str(), listing.epoch.len()), ("plant-7", 16));
    assert!(listing.damaged.is_empty() && listing.aside.is_empty(), "{listing:?}");
}

#[test]
fn blocks_are_visited_from_an_offset_on_and_damaged_ones_told() {
    let dir = many(20);
    let store = Offline::open(dir.path()).unwrap();
    assert_eq!(numbers(&store, 0).0, (0..20).collect::<Vec<_>>());
    assert_eq!(numbers(&store, 15).0, [15, 16, 17, 18, 19]);
    assert_eq!(numbers(&store, 20).0, []);
    let unknown = store.blocks("b", 0, &mut |_, _| true).unwrap_err().to_string();
    assert!(unknown.contains("there is no stream \"b\"") && unknown.contains("There are: a"), "{unknown}");
    drop(store);
    change(dir.path(), |medium, set| {
        let key = Key::new(Kind::Block, 0, 0, 7);
        let mut bytes = crate::medium::value(medium, key).unwrap().unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        set.put(key, bytes);
    });
    let (left, damaged) = numbers(&Offline::open(dir.path()).unwrap(), 0);
    assert_eq!(left.len(), 19);
    assert!(damaged[0].contains("a/0: the block at 7 is damaged"), "{damaged:?}");
}

#[test]
fn a_tool_says_which_folder_it_cannot_use_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| Offline::open(path).err().expect("it is refused").to_string();
    assert!(said(dir.path()).contains("there is no store in this folder"), "{}", said(dir.path()));
    let store = declared(open(options(dir.path())).unwrap());
    assert!(said(dir.path()).contains("another process has it open"), "{}", said(dir.path()));
    wait(store.close()).unwrap();
    drop(store);
    let conf = dir.path().join("streams/conf");
    let mut bytes = fs::read(&conf).unwrap();
    bytes[0] ^= 0xff;
    fs::write(&conf, bytes).unwrap();
    assert!(said(dir.path()).contains("it does not open"), "{}", said(dir.path()));
    assert!(dir.path().join("streams").exists(), "a tool sets nothing aside that it was not told to");
}

/// Changes entries of a closed store.
pub(in crate::sled) fn change(path: &Path, change: impl FnOnce(&dyn Medium, &mut WriteSet)) {
    let folder = Arc::new(Folder::lock(path).unwrap());
    let medium = SledMedium::new(open_db(&folder).unwrap_or_else(|_| panic!("it opens")), folder).unwrap();
    let mut set = WriteSet::default();
    change(&medium, &mut set);
    medium.write(&set).unwrap();
    medium.release();
}
