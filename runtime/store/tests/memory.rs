//! What a backlog takes of memory. Alone in its process, so that the process's memory is the store's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tidegate_record::{BatchBuilder, Field, Scalar, Schema};
use tidegate_store::{
    Append, Commit, Hold, Keep, Options, Partition, Position, Retention, SledStore, Store, StreamSpec, Visibility,
    WhenFull,
};

/// Stored in all.
const BACKLOG: usize = 80 << 20;
/// Stored by the time memory is looked at first: sled has its buffers by then.
const WARM: usize = 16 << 20;
/// Numbers of a record, that do not compress.
const FIELDS: usize = 64;
const RECORD: usize = FIELDS * 8;
/// Records of a commit.
const HAND: usize = 512;

#[tokio::test]
async fn a_backlog_that_is_written_and_read_again_does_not_stay_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { commit_interval: Duration::from_millis(1), ..Options::new(dir.path(), "plant-7") };
    let store = tidegate_store::sled::open(options).unwrap();
    let schema =
        Arc::new(Schema::new((0..FIELDS).map(|n| Field::new(format!("n{n}"), Scalar::Integer)).collect()).unwrap());
    let keep = Keep::For(Duration::from_secs(3600));
    let retention = Retention { max_bytes: 1 << 30, max_age: None, keep, when_full: WhenFull::Block };
    let readers = vec![("sink/s".to_string(), Hold::Cursor)];
    store
        .declare(vec![StreamSpec { name: "a".into(), schema: schema.clone(), partitions: 1, retention, readers }])
        .unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    write(&store, &schema, &mut rng, WARM).await;
    let warm = resident();
    write(&store, &schema, &mut rng, BACKLOG - WARM).await;
    let written = resident();
    let (mut at, mut rows) = (Position(0), 0);
    while let Some(block) = store.read(&Partition::new("a", 0), at, Visibility::Durable).unwrap() {
        at = block.next;
        rows += block.batch.rows();
    }
    assert_eq!(rows, BACKLOG / RECORD);
    let read = resident();
    println!("{} MiB at {} MiB, {} written, {} read", warm >> 20, WARM >> 20, written >> 20, read >> 20);
    let most = warm + (32 << 20);
    assert!(written < most && read < most, "{warm} bytes at first, {written} written, {read} read");
    store.close().await.unwrap();
}

async fn write(store: &SledStore, schema: &Arc<Schema>, rng: &mut StdRng, bytes: usize) {
    let producer = store.attach("source/s").unwrap();
    for _ in 0..bytes / RECORD / HAND {
        let mut builder = BatchBuilder::new(schema.clone());
        for n in 0..HAND {
            assert!((0..FIELDS).all(|field| builder.integer(field, rng.random())));
            builder.end_row("d", n as i64).unwrap();
        }
        let mut commit = Commit::by(&producer);
        commit.appends.push(Append { stream: "a".into(), batch: Arc::new(builder.finish()) });
        commit.hurry = true;
        store.commit(commit).unwrap_or_else(|refusal| panic!("{refusal:?}")).await.unwrap();
    }
}

/// Bytes of memory this process has.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
