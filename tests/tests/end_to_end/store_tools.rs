//! `tidegate store …` beside a running gateway and on its folder.

use crate::{PATIENCE, field, http_sink, reading, this_minute};
use std::fs;
use std::process::Output;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;

const SENT: i64 = 200;

fn good(output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", output.status);
    out.into_owned()
}

fn refused(output: Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{err}");
    err
}

/// The `seq` of every record in an export.
fn seqs(ndjson: &str) -> Vec<i64> {
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_i64().unwrap();
    ndjson.lines().map(seq).collect()
}

fn arrived(gateway: &Gateway, upstream: &Upstream, expected: i64) {
    gateway.eventually(PATIENCE, "what is replayed comes again", || {
        let count = upstream.accepted_count("/cloud") as i64;
        if count == expected { Ok(()) } else { Err(format!("{count} of {expected} arrived")) }
    });
}

/// What may be changed while the gateway runs is, and what may not says why; gives how many records were purged.
fn changed_beside(gateway: &Gateway, upstream: &Upstream) -> i64 {
    let said = refused(gateway.store(&["replay", "cloud", "--from", "200"]));
    assert!(said.contains("409 Conflict: sink \"cloud\": offset 200 is ahead of it: it stands at 200"), "{said}");
    let said = refused(gateway.store(&["replay", "clouds", "--from", "0"]));
    assert!(said.contains("404 Not Found: there is no sink \"clouds\""), "{said}");
    let said = good(gateway.store(&["replay", "cloud", "--from", "50", "--to", "80", "--rate", "1000"]));
    assert!(said.contains("50 to 80 again, at most 1000 records a second; then on from 200"), "{said}");
    arrived(gateway, upstream, SENT + 30);
    gateway.eventually(PATIENCE, "the place it had reached is durable", || {
        let listing = good(gateway.store(&["ls"]));
        if listing.contains("sink/cloud at 200, 0 to read") { Ok(()) } else { Err(listing) }
    });
    assert!(good(gateway.store(&["verify"])).contains("sound: every block is whole"));
    for tool in ["compact", "repair"] {
        let said = refused(gateway.store(&[tool]));
        assert!(said.contains("is at work on this store") && said.contains("Stop the gateway first"), "{tool}: {said}");
    }
    let said = refused(gateway.store(&["purge", "readings", "--before", "201"]));
    assert!(said.contains("409 Conflict: sink/cloud needs readings/0 from offset 200 on"), "{said}");
    assert!(
        good(gateway.store(&["purge", "readings", "--before", "50"])).contains("records of readings were given up")
    );
    let purged = gateway.lost("purged") as i64;
    assert!(good(gateway.store(&["verify"])).contains("sound: every block is whole"));
    purged
}

#[test]
fn a_store_is_looked_into_copied_and_put_back_while_its_gateway_runs_and_when_it_does_not() {
    let (mosquitto, upstream) = (Mosquitto::start(), Upstream::start());
    let config = field(&mosquitto.url()) + &http_sink("cloud", "readings", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    gateway.start_ready();
    let mut devices = Publisher::to(mosquitto.addr(), "devices");
    let now = this_minute();
    // In two halves, so that no block reaches over the middle.
    for half in [0..SENT / 2, SENT / 2..SENT] {
        let end = half.end;
        half.for_each(|seq| devices.publish("sensors/x", reading("d1", now + seq, 20.0, seq)));
        devices.flush();
        gateway.eventually(PATIENCE, "the half is stored", || {
            let count = gateway.appended("readings") as i64;
            if count == end { Ok(()) } else { Err(format!("{count} of {end}")) }
        });
    }
    gateway.eventually(PATIENCE, "everything is delivered and the cursor durable", || {
        let listing: serde_json::Value = serde_json::from_str(&good(gateway.store(&["ls", "--json"]))).unwrap();
        let partitions = listing["partitions"].as_array().cloned().unwrap_or_default();
        let readings = partitions.iter().find(|p| p["stream"] == "readings").cloned().unwrap_or_default();
        let done = readings["next"] == SENT && readings["readers"][0]["behind"] == 0;
        if done { Ok(()) } else { Err(readings.to_string()) }
    });
    let delivered = upstream.accepted_count("/cloud") as i64;
    assert_eq!(delivered, SENT);

    // Beside the running gateway.
    assert_eq!(seqs(&good(gateway.store(&["peek", "readings", "-n", "3", "--from", "50"]))), [50, 51, 52]);
    let all: Vec<i64> = (0..SENT).collect();
    good(gateway.store(&["export", "readings", "--out", "live.ndjson"]));
    let folder = gateway.folder();
    let live = fs::read_to_string(folder.join("live.ndjson")).unwrap();
    assert_eq!(seqs(&live), all);
    good(gateway.store(&["backup", "live.pack"]));
    let purged = changed_beside(&gateway, &upstream);
    let live: String = live.lines().skip(purged as usize).map(|line| format!("{line}\n")).collect();
    assert!(gateway.stop().success());

    // On its folder.
    good(gateway.store(&["verify"]));
    good(gateway.store(&["export", "readings", "--out", "closed.ndjson"]));
    assert_eq!(fs::read_to_string(folder.join("closed.ndjson")).unwrap(), live, "the same, byte for byte");
    good(gateway.store(&["export", "readings", "--out", "some.csv", "--from", "10", "--to", "12"]));
    good(gateway.store(&["export", "readings", "--out", "closed.parquet"]));
    let csv = fs::read_to_string(folder.join("some.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("_id,device,time,"), "{csv}");
    good(gateway.store(&["compact"]));
    assert!(good(gateway.store(&["replay", "cloud", "--from", "150"])).contains("from 200 back to 150"));
    let said = good(gateway.store(&["replay", "cloud", "--from", "100", "--to", "120"]));
    assert!(said.contains("100 to 120 again; then on from 150"), "{said}");
    assert!(
        good(gateway.store(&["purge", "readings", "--before", "100"]))
            .contains(&format!("{} records of readings", 100 - purged))
    );
    good(gateway.store(&["verify"]));

    gateway.start_ready();
    arrived(&gateway, &upstream, SENT + 30 + 50 + 20);
    assert_eq!(gateway.lost("purged"), 100);
    assert!(gateway.stop().success());

    let said = refused(gateway.store(&["restore", "live.pack"]));
    assert!(said.contains("there is a store in this folder already"), "{said}");
    good(gateway.store(&["restore", "live.pack", "--replace"]));
    good(gateway.store(&["verify"]));
    assert_eq!(seqs(&good(gateway.store(&["export", "readings", "--out", "-"]))), all);
}
