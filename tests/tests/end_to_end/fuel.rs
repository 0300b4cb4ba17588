//! Fuel, where a gateway counts it: told of every operator, and a record that takes too much is the same one after a kill.

use crate::{PATIENCE, pipeline, plugins_change, reading, this_minute, with_plugins};
use serde_json::Value;
use std::fs;
use tidegate_tests::exact::Exact;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::parts;
use tidegate_tests::process::free_port;

/// The value that the plugin works on for too long.
const HEAVY: f64 = 13.0;

/// What its only operator costs.
fn cost(gateway: &Gateway) -> Value {
    let (_, pipelines) = gateway.get("/api/v1/pipelines");
    let pipelines: Value = serde_json::from_str(&pipelines).unwrap();
    let costs = &pipelines["p"]["operators"];
    assert_eq!(costs.as_array().map(Vec::len), Some(1), "{pipelines}");
    costs[0].clone()
}

fn send(port: u16, seqs: std::ops::Range<i64>) {
    let mut device = Exact::to(([127, 0, 0, 1], port).into());
    for seq in seqs {
        // One in twenty is heavy; the others are far enough apart to be kept.
        let value = if seq % 20 == 5 { HEAVY } else { 100.0 * seq as f64 };
        device.publish("sensors/d1", reading("d1", this_minute() + seq, value, seq));
    }
    device.flush();
}

/// `deadband`, which takes a million turns for [`HEAVY`].
fn heavy() -> String {
    let text = fs::read_to_string(parts::plugins().join("deadband.wat")).unwrap();
    let at = "(local.set $value (f64.load (local.get $at)))";
    let work = "(if (f64.eq (local.get $value) (f64.const 13)) (then (call $work)))";
    let core = "(func $work (local $turns i32) (loop $on (br_if $on (i32.lt_u
                  (local.tee $turns (i32.add (local.get $turns) (i32.const 1))) (i32.const 1000000)))))";
    assert!(text.contains(at), "deadband.wat has no {at}");
    let text = text.replace(at, &format!("{at} {work}"));
    text.replacen("(func (export \"version\")", &format!("{core} (func (export \"version\")"), 1)
}

/// The shadow of the same plugin has seen twenty records, and took the same fuel over them.
fn shadow_takes_as_much(gateway: &Gateway) {
    let told = gateway.eventually(PATIENCE, "the shadow has seen them", || {
        match gateway.plugin(&["shadow", "p", "1", "--status"]).unwrap() {
            told if told.contains(&format!("  {:18}  20\n", "records")) => Ok(told),
            told => Err(told),
        }
    });
    let fuel_of = |figure: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(figure)).unwrap_or_else(|| panic!("{told}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(fuel_of("fuel_per_record") > 10_000, "{told}");
    assert_eq!(fuel_of("fuel_per_record"), fuel_of("live_fuel_per_record"), "it is the same plugin");
}

#[test]
fn fuel_is_told_and_a_record_that_takes_too_much_is_set_aside_over_a_kill() {
    let (plugins, port) = (tempfile::tempdir().unwrap(), free_port());
    let config = pipeline(port, "[[pipelines.p.operators]]\nfilter = \"deadband\"\nparams = { band = 0.5 }");
    fs::write(plugins.path().join("deadband.wat"), heavy()).unwrap();

    let options = |call_fuel: u64| format!("fuel = true\ncall_fuel = {call_fuel}\ncall_time = \"60s\"");
    let mut gateway = with_plugins(plugins.path(), &options(1_000_000), &config);
    let appended = |gateway: &Gateway, out: u64, letters: u64| {
        gateway.eventually(PATIENCE, &format!("{out} records and {letters} dead letters"), || {
            match (gateway.appended("out"), gateway.appended("dead_letters")) {
                found if found == (out, letters) => Ok(()),
                found => Err(format!("{found:?}")),
            }
        });
    };
    gateway.start_ready();
    send(port, 0..40);
    appended(&gateway, 38, 2);
    let told = cost(&gateway);
    assert_eq!(told["limits_hit"].as_object().unwrap().keys().collect::<Vec<_>>(), ["call_fuel"], "{told}");
    let (fuel, records) = (told["fuel"].as_u64().unwrap(), told["records_in"].as_u64().unwrap());
    assert_eq!(told["fuel_per_record"].as_u64(), Some(fuel / records), "{told}");
    assert!(fuel > 2_000_000, "{told}: each of the two took all it may");
    let operator = ["operator=\"p/1\"", "plugin=\"deadband 1.0.0\""];
    assert_eq!(gateway.counter("tidegate_plugin_fuel_total", &operator), fuel as f64);
    assert!(gateway.counter("tidegate_plugin_limits_hit_total", &["limit=\"call_fuel\""]) >= 2.0);
    assert!(gateway.counter("tidegate_plugin_faults_total", &["kind=\"fuel\""]) >= 2.0);

    gateway.kill();
    gateway.start_ready();
    send(port, 40..60);
    appended(&gateway, 57, 3);
    assert_eq!(gateway.lost("fault"), 3);
    for letter in gateway.tap("dead_letters", 3) {
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.contains("fuel: took more fuel than call_fuel allows (in work)"), "{letter}");
    }
    // What runs beside it is compared by its fuel, too.
    gateway.plugin(&["shadow", "p", "1", "deadband"]).unwrap();
    send(port, 60..80);
    appended(&gateway, 76, 4);
    shadow_takes_as_much(&gateway);
    let (_, ready) = gateway.readiness();
    assert!(!ready.contains("replay"), "{ready}");

    // Another limit is one for what comes: what passed under the old one is replayed as it was.
    gateway.kill();
    plugins_change(&mut gateway, &options(10), &config);
    gateway.start_ready();
    let replayed = &gateway.status()["pipelines"]["p"]["replayed"];
    assert!(replayed.as_u64().is_some_and(|records| records > 0), "{replayed}");
    let (_, ready) = gateway.readiness();
    assert!(!ready.contains("replay"), "{ready}");
    send(port, 80..81);
    appended(&gateway, 76, 5);
}
