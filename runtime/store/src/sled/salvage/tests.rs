use super::super::tests::tools;
use super::*;
use crate::keys::Kind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::fs;

/// Every value in a store's file, the latest of each key.
fn raw(path: &Path) -> (BTreeMap<Key, Vec<u8>>, Yield) {
    let mut values = BTreeMap::new();
    let found = read(&path.join("streams/db"), &mut |key, value| {
        values.insert(key, value.to_vec());
        Ok(())
    });
    (values, found.unwrap())
}

/// Every value as sled gives it.
fn of_sled(path: &Path) -> BTreeMap<Key, Vec<u8>> {
    let mut values = BTreeMap::new();
    tools::change(path, |medium, _| {
        let (from, to) = (Key::all(Kind::Meta).0, Key::all(Kind::Clock).1);
        let mut add = |key, value: &[u8]| {
            values.insert(key, value.to_vec());
            true
        };
        medium.scan(from, to, &mut add).unwrap();
    });
    values
}

#[test]
fn the_raw_file_gives_what_sled_gives() {
    let dir = tools::many(400);
    let (raw, found) = raw(dir.path());
    assert_eq!((found.damaged_bytes, found.nameless), (0, 0));
    let of_sled = of_sled(dir.path());
    assert!(of_sled.len() > 400, "{}", of_sled.len());
    for (key, value) in &of_sled {
        assert_eq!(raw.get(key), Some(value), "{key:?}");
    }
}

#[test]
fn flipped_bits_cost_what_they_are_in() {
    let dir = tools::many(400);
    let whole = of_sled(dir.path());
    let db = dir.path().join("streams/db");
    let intact = fs::read(&db).unwrap();
    let written = intact.iter().rposition(|&byte| byte != 0).unwrap();
    let mut rng = StdRng::seed_from_u64(4);
    for flips in [1, 3, 20] {
        let mut bytes = intact.clone();
        (0..flips).for_each(|_| bytes[rng.random_range(0..written)] ^= 1 << rng.random_range(0..8));
        fs::write(&db, &bytes).unwrap();
        let (raw, _) = raw(dir.path());
        let blocks = |values: &BTreeMap<Key, Vec<u8>>| values.keys().filter(|k| k.kind == Kind::Block).count();
        let altered = raw.iter().filter(|(k, v)| k.kind == Kind::Block && whole.get(k).is_some_and(|w| w != *v));
        assert_eq!(altered.count(), 0, "nothing comes out altered");
        assert!(blocks(&raw) * 10 >= blocks(&whole) * 5, "{flips}: {} of {}", blocks(&raw), blocks(&whole));
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let dir = tempfile::tempdir().unwrap();
    let db = dir.path().join("db");
    let mut rng = StdRng::seed_from_u64(11);
    for size in [0, 1, 20, 21, 70_000, SEGMENT_BYTES + 40] {
        let bytes: Vec<u8> = (0..size).map(|_| rng.random()).collect();
        fs::write(&db, &bytes).unwrap();
        let found = read(&db, &mut |_, _| Ok(())).unwrap();
        assert_eq!(found.values, 0);
    }
}
