//! Plugins that are swapped, tried and sent away while readings come in.

use crate::{PATIENCE, pipeline, reading, this_minute, with_plugins};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use tempfile::TempDir;
use tidegate_tests::exact::Exact;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::parts;
use tidegate_tests::process::free_port;

const DEVICES: i64 = 50;
/// Fewest readings between two changes.
const BETWEEN: u64 = 2_000;

/// A gateway whose devices connect straight to it, and whose plugins lie in a folder of its own.
struct Site {
    gateway: Gateway,
    plugins: TempDir,
    port: u16,
}

/// Devices that send until they are told to stop.
struct Devices {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Site {
    /// `operators`: of the pipeline `p` from `readings` to `out`. `files`: plugins to put there at first.
    fn new(on_change: &str, operators: &str, files: &[&str]) -> Site {
        let (plugins, port) = (tempfile::tempdir().unwrap(), free_port());
        for file in files {
            fs::copy(parts::plugins().join(file), plugins.path().join(file)).unwrap();
        }
        let options = format!("on_change = \"{on_change}\"");
        let mut gateway = with_plugins(plugins.path(), &options, &pipeline(port, operators));
        gateway.start_ready();
        Site { gateway, plugins, port }
    }

    /// Readings of some devices in turn, 10 ms of event time apart, at QoS 2: what comes twice is taken once.
    fn devices(&self) -> Devices {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, port, begin) = (stop.clone(), self.port, this_minute() - 3_600_000);
        let thread = std::thread::spawn(move || {
            let mut device = Exact::to(([127, 0, 0, 1], port).into());
            let mut seq = 0;
            while !stopped.load(Relaxed) {
                let name = format!("d{}", seq % DEVICES);
                device.publish(&format!("sensors/{name}"), reading(&name, begin + seq * 10, (seq % 7) as f64, seq));
                seq += 1;
            }
            device.flush();
            seq as u64
        });
        Devices { stop, thread }
    }

    /// Waits until so many more readings have come in.
    fn more(&self, readings: u64) {
        let until = self.gateway.appended("readings") + readings;
        self.gateway.eventually(PATIENCE, "more readings come in", || match self.gateway.appended("readings") {
            appended if appended >= until => Ok(()),
            appended => Err(format!("{appended} of {until}")),
        });
    }

    /// Puts a file into place at once.
    fn put(&self, name: &str, bytes: &[u8]) {
        let part = self.plugins.path().join("part");
        fs::write(&part, bytes).unwrap();
        fs::rename(part, self.plugins.path().join(name)).unwrap();
    }

    fn shown(&self, operator: usize) -> serde_json::Value {
        self.gateway.status()["pipelines"]["p"]["plugins"][operator - 1].clone()
    }

    /// Waits until what an operator shows at `pointer` is so.
    fn shows(&self, operator: usize, pointer: &str, is: impl Fn(&str) -> bool) -> String {
        self.gateway.eventually(PATIENCE, &format!("{pointer} of operator {operator}"), || {
            let shown = self.shown(operator);
            let text = shown.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default().to_string();
            if is(&text) { Ok(text) } else { Err(shown.to_string()) }
        })
    }
}

impl Devices {
    /// How many readings they sent; all of them have arrived.
    fn stop(self) -> u64 {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// Another version of a component, by its hash: a custom section more.
fn marked(file: &Path, mark: u8) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    bytes.extend([0, 3, 1, b'v', mark]);
    bytes
}

fn deadband(edits: &[(&str, &str)]) -> Vec<u8> {
    let text = fs::read_to_string(parts::plugins().join("deadband.wat")).unwrap();
    let edited = edits.iter().fold(text, |text, (what, with)| {
        assert!(text.contains(what), "deadband.wat has no {what}");
        text.replace(what, with)
    });
    edited.into_bytes()
}

const SECOND: (&str, &str) = ("(i32.const 16) \"1.0.0\"", "(i32.const 16) \"2.0.0\"");
const TRAPS: (&str, &str) = ("(memory.fill (local.get $mask) (i32.const 0) (local.get $rows))", "(unreachable)");

#[test]
fn swaps_under_load_lose_nothing_and_take_nothing_twice() {
    let operators = r#"
        [[pipelines.p.operators]]
        filter = "threshold"
        params = { field = "temp", above = 0.5 }
        [[pipelines.p.operators]]
        aggregate = "stats"
        params = { fields = ["temp"] }
        [pipelines.p.operators.window]
        tumbling = "5s"
        idle = "2s"
        "#;
    let site = Site::new("swap", operators, &["threshold.wasm", "stats.wasm"]);
    let devices = site.devices();
    for mark in 0..3 {
        site.more(BETWEEN);
        print!("{}", site.gateway.plugin(&["swap", "p", "2"]).unwrap());
        site.more(BETWEEN);
        print!("{}", site.gateway.plugin(&["swap", "p", "1"]).unwrap());
        let before = site.shown(2)["sha256"].as_str().unwrap().to_string();
        site.put("stats.wasm", &marked(&parts::plugins().join("stats.wasm"), mark));
        site.shows(2, "/sha256", |sha256| !sha256.is_empty() && sha256 != before);
    }
    let refused = site.gateway.plugin(&["swap", "p"]).unwrap_err();
    assert!(refused.contains("say which of 1 \"threshold\", 2 \"stats\""), "{refused}");
    site.more(BETWEEN);
    let sent = devices.stop();
    let mut expected: BTreeMap<(String, i64), i64> = BTreeMap::new();
    (0..sent as i64).filter(|seq| seq % 7 > 0).for_each(|seq| {
        *expected.entry((format!("d{}", seq % DEVICES), seq * 10 / 5_000)).or_default() += 1;
    });
    let made = site.gateway.eventually(PATIENCE, "every window closes", || match site.gateway.appended("out") {
        made if made as usize >= expected.len() => Ok(made),
        made => Err(format!("{made} of {}", expected.len())),
    });
    let counts: Vec<i64> =
        site.gateway.tap("out", made as usize).iter().map(|w| w["count"].as_i64().unwrap()).collect();
    assert_eq!((counts.len(), site.gateway.appended("readings")), (expected.len(), sent));
    let (mut found, mut wanted) = (counts, expected.into_values().collect::<Vec<_>>());
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "a record was lost or taken twice");
    let swaps = site.gateway.counter("tidegate_plugin_swaps_total", &["outcome=\"done\""]);
    assert_eq!((swaps, site.gateway.lost("fault")), (9.0, 0));
    assert_eq!(site.gateway.counter("tidegate_plugin_swap_gap_seconds_count", &[]), 9.0);
}

const DEADBAND: &str = "[[pipelines.p.operators]]\nfilter = \"deadband\"\nparams = { band = 0.5 }\n";

#[test]
fn a_file_that_changes_is_taken_when_it_is_whole_and_another_plugin_is_refused() {
    let site = Site::new("swap", DEADBAND, &["deadband.wat"]);
    let second = deadband(&[SECOND]);
    fs::write(site.plugins.path().join("deadband.wat"), &second[..second.len() / 2]).unwrap();
    site.gateway.eventually(PATIENCE, "half a file is told", || match site.gateway.log() {
        log if log.contains("changed and is not taken") => Ok(()),
        _ => Err("nothing yet".into()),
    });
    assert_eq!(site.shown(1)["plugin"], "deadband 1.0.0");
    fs::write(site.plugins.path().join("deadband.wat"), &second).unwrap();
    site.shows(1, "/plugin", |plugin| plugin == "deadband 2.0.0");
    site.put("deadband.wat", &deadband(&[("(i32.const 0) \"deadband\"", "(i32.const 0) \"deadbeef\"")]));
    let refused = site.gateway.plugin(&["swap", "p"]).unwrap_err();
    assert!(refused.contains("deadbeef 1.0.0 is not another version of deadband 2.0.0"), "{refused}");
    assert_eq!(site.shown(1)["plugin"], "deadband 2.0.0");
}

#[test]
fn a_canary_that_traps_is_sent_away_and_a_good_one_takes_its_place_and_is_there_after_a_restart() {
    let mut site = Site::new("canary", DEADBAND, &["deadband.wat"]);
    let devices = site.devices();
    site.put("deadband.wat", &deadband(&[SECOND, TRAPS]));
    let outcome = site.shows(1, "/beside/outcome", |outcome| !outcome.is_empty());
    assert!(outcome.starts_with("sent away: "), "{outcome}");
    assert_eq!(site.shown(1)["plugin"], "deadband 1.0.0");
    site.gateway.kill();
    site.gateway.start_ready();
    assert_eq!(site.shown(1)["plugin"], "deadband 1.0.0", "the file that was sent away is not loaded");
    let (_, reasons) = site.gateway.readiness();
    assert!(reasons.contains("which was sent away or not tried to its end"), "{reasons}");

    // One that calls itself otherwise could not go on from what is saved.
    let other = deadband(&[SECOND, ("(data (i32.const 0) \"deadband\")", "(data (i32.const 0) \"deadhand\")")]);
    site.put("other.wat", &other);
    let refused = site.gateway.plugin(&["canary", "p", "1", "other"]).unwrap_err();
    assert!(refused.contains("other calls itself deadhand, not deadband: it may run as a shadow"), "{refused}");
    let refused = site.gateway.plugin(&["canary", "p", "1", "other", "--slower", "NaN"]).unwrap_err();
    assert!(refused.contains("slower: NaN is no bound"), "{refused}");

    site.put("better.wat", &deadband(&[SECOND]));
    site.put("worse.wat", &deadband(&[SECOND, TRAPS]));
    let canary =
        |name| site.gateway.plugin(&["canary", "p", "1", name, "--records", "1000", "--slower", "1000", "--wait"]);
    let refused = canary("worse").unwrap_err();
    assert!(refused.contains("sent away: "), "{refused}");
    let told = canary("better").unwrap();
    assert!(told.contains("canary      deadband 2.0.0"), "{told}");
    assert!(told.contains("took its place: deadband 2.0.0 after deadband 1.0.0"), "{told}");
    let sent = devices.stop();
    assert_eq!((site.gateway.appended("readings"), site.gateway.lost("fault")), (sent, 0));
    site.gateway.stop();
    site.gateway.start_ready();
    assert_eq!(site.shown(1)["plugin"], "deadband 2.0.0", "its file took the place of the other");
    assert!(!site.gateway.readiness().1.contains("sent away"), "nothing is distrusted any more");
}

#[test]
fn a_shadow_shows_what_it_would_do_and_changes_nothing() {
    let site = Site::new("ignore", DEADBAND, &["deadband.wat"]);
    let keeps_all = ("(local.get $slot)))) (global.get $band)))))", "(local.get $slot)))) (f64.const -1)))))");
    site.put("wide.wat", &deadband(&[SECOND, keeps_all]));
    site.gateway.plugin(&["shadow", "p", "1", "wide", "--slower", "1000"]).unwrap();
    let mut device = Exact::to(([127, 0, 0, 1], site.port).into());
    let begin = this_minute();
    (0..100).for_each(|seq| device.publish("sensors/d1", reading("d1", begin + seq, 20.0, seq)));
    device.flush();
    let differences = site.shows(1, "/beside/report/differences/7", |text| !text.is_empty());
    assert!(differences.ends_with("only the shadow has it"), "{differences}");
    site.gateway.eventually(PATIENCE, "all are compared", || {
        let shown = site.gateway.plugin(&["shadow", "p", "1", "--status"])?;
        let has = |figure: &str, value: u64| shown.contains(&format!("  {figure:18}  {value}\n"));
        if has("records", 100) && has("differ", 99) && has("faults", 0) { Ok(()) } else { Err(shown) }
    });
    site.gateway.plugin(&["shadow", "p", "1", "--stop"]).unwrap();
    site.shows(1, "/beside/report/state", |state| state == "stopped");
    assert_eq!(site.gateway.appended("out"), 1);
    let refused = site.gateway.plugin(&["shadow", "p", "1", "../wide"]).unwrap_err();
    assert!(refused.contains("is no plugin name"), "{refused}");
    let unknown = site.gateway.plugin(&["shadow", "q", "1", "wide"]).unwrap_err();
    assert!(unknown.contains("there is no operator 1 of a pipeline \"q\"; there are p 1"), "{unknown}");
}
