//! A gateway with a table, which its plugins look things up in.

use crate::{PATIENCE, field, http_sink, reading, this_minute};
use serde_json::Value;
use std::fs;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::mosquitto::Mosquitto;
use tidegate_tests::publisher::Publisher;
use tidegate_tests::upstream::Upstream;

const SITES: &str = "device,site,floor\nd1,north,1\nd2,south,\n";

/// A pipeline that adds what the table has of a record's device.
const PLACED: &str = r#"
    [tables.sites]
    file = "sites.csv"
    key = "device"
    [pipelines.placed]
    from = ["readings"]
    to = "placed"
    [[pipelines.placed.operators]]
    transform = "enrich"
    params = { table = "sites" }
    grant = ["lookup"]
"#;

#[test]
fn a_reading_gets_what_the_table_has_of_its_device() {
    let (mosquitto, upstream) = (Mosquitto::start(), Upstream::start());
    let config = field(&mosquitto.url()) + PLACED + &http_sink("placed", "placed", &upstream.url());
    let mut gateway = Gateway::configured("", &config);
    let table = gateway.folder().join("sites.csv");

    // What is wrong with the table is told before anything runs.
    fs::write(&table, "device,site,floor\nd1,north,1\nd1,south,2\n").expect("written");
    let check = gateway.verb("check");
    let said = String::from_utf8_lossy(&check.stderr);
    let twice = "sites.csv, line 3: the key \"d1\" is in line 2 already: a key stands for one row";
    assert!(!check.status.success() && said.contains(twice) && said.lines().count() == 1, "{said}");

    fs::write(&table, SITES).expect("written");
    gateway.start_ready();
    let (_, form) = gateway.get("/api/v1/plugins/enrich");
    let form: Value = serde_json::from_str(&form).expect("JSON");
    assert_eq!((&form["kind"], &form["imports"][0]), (&"transform".into(), &"lookup".into()), "{form}");
    assert_eq!(form["params"]["properties"]["table"]["type"], "string", "{form}");
    assert_eq!(form["operators"], serde_json::json!([{ "pipeline": "placed", "operator": 1 }]), "{form}");

    let mut devices = Publisher::to(mosquitto.addr(), "devices");
    for (seq, device) in ["d1", "d2", "d9", "d1"].into_iter().enumerate() {
        devices.publish(&format!("sensors/{device}"), reading(device, this_minute(), 20.5, seq as i64));
    }
    devices.flush();
    let records = gateway.eventually(PATIENCE, "the readings arrive with their sites", || {
        let lines = upstream.accepted();
        if lines.len() == 4 { Ok(lines) } else { Err(format!("{} of 4", lines.len())) }
    });
    let placed = records.iter().map(|line| {
        let record: Value = serde_json::from_str(line).expect("JSON");
        (record["seq"].as_i64(), record["site"].as_str().map(str::to_string), record["floor"].as_i64())
    });
    let north = || Some("north".to_string());
    assert_eq!(
        placed.collect::<Vec<_>>(),
        [
            (Some(0), north(), Some(1)),
            (Some(1), Some("south".into()), None),
            (Some(2), None, None),
            (Some(3), north(), Some(1))
        ]
    );
}
