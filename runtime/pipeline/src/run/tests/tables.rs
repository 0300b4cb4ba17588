//! Tables that plugins look things up in, over a restart.

use super::*;
use tidegate_record::{Blobs, Column, Values};
use tidegate_sandbox::{Grants, KeyedTable, Tables};

/// `enrich` with a table of where the devices are.
fn enriched(sites: [&str; 2]) -> Vec<OperatorOptions> {
    let texts = |values: [&str; 2]| {
        let mut blobs = Blobs::default();
        values.iter().for_each(|value| blobs.push(value.as_bytes()));
        Column::of(Values::Texts(blobs))
    };
    let fields = vec![Field::new("device", Scalar::Text), Field::new("site", Scalar::Text)];
    let table = KeyedTable::new(fields, vec![texts(["d1", "d2"]), texts(sites)]).unwrap();
    let limits = Limits {
        grants: Grants { lookup: true, ..Grants::default() },
        tables: Arc::new(Tables::new([("sites".to_string(), table)])),
        ..Limits::default()
    };
    let plugin = Engine::new(EngineOptions::default()).unwrap().load(&plugins().join("enrich.wasm"), &limits).unwrap();
    let params = r#"{"table":"sites"}"#.into();
    vec![OperatorOptions { params, limits, max_keys: 100, ..OperatorOptions::of(plugin) }]
}

#[test]
fn a_replay_that_looks_things_up_in_other_tables_says_so() {
    let mut bench = Bench::new(enriched(["north", "south"]));
    let mut running = bench.begin();
    bench.append(&[(1, 0, 20.0)]);
    bench.go(&mut running);
    let commit = running.checkpoint(Commit::by(&running.session)).unwrap();
    bench.tokio.block_on(running.send(commit, None, &CancellationToken::new())).unwrap();
    // The same table, and nothing to replay: nothing to say.
    drop(running);
    let mut running = bench.begin();
    assert_eq!(running.pipeline.handle.status().notes, Vec::<String>::new());
    bench.append(&[(1, 0, 20.0), (2, 0, 20.0)]);
    bench.go(&mut running);
    drop(running);
    bench.operators = enriched(["north", "east"]);
    let running = bench.begin();
    let notes = running.pipeline.handle.status().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let said =
        "table sites: not as at its last snapshot; 2 records from there on were looked up again, in what is there now";
    assert_eq!(notes[0], said);
    assert!(notes[1].contains("its file is the one that made the snapshot, a table is not"), "{notes:?}");
    drop(running);
    bench.operators = enriched(["north", "south"]);
    assert_eq!(bench.begin().pipeline.handle.status().notes, Vec::<String>::new(), "as they were committed");
    let sites = bench.lines("out");
    assert!(sites[1].contains("north") && sites[2].contains("south"), "{sites:?}");
}
