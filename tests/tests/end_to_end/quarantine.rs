//! A plugin that gives up, killed and put back while readings come in.

use crate::{PATIENCE, pipeline, reading, this_minute, with_plugins};
use std::fs;
use tempfile::TempDir;
use tidegate_tests::exact::Exact;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::parts;
use tidegate_tests::process::free_port;

/// The value that the plugin traps at.
const BAD: f64 = 13.0;

/// A gateway with `deadband`, which traps at [`BAD`] and is given up after ten faults in a row.
struct Site {
    gateway: Gateway,
    plugins: TempDir,
    port: u16,
    sent: i64,
}

impl Site {
    fn new(on_quarantine: &str) -> Site {
        let (plugins, port) = (tempfile::tempdir().unwrap(), free_port());
        let operators = format!(
            "[[pipelines.p.operators]]\nfilter = \"deadband\"\nparams = {{ band = 0.5 }}\non_quarantine = \"{on_quarantine}\""
        );
        let gateway = with_plugins(plugins.path(), "faults_max = 10", &pipeline(port, &operators));
        let site = Site { gateway, plugins, port, sent: 0 };
        let at = "(local.set $value (f64.load (local.get $at)))";
        let text = deadband();
        assert!(text.contains(at), "deadband.wat has no {at}");
        let trap = format!("{at} (if (f64.eq (local.get $value) (f64.const 13)) (then (call $boom)))");
        let boom = ("(func (export \"version\")", "(func $boom (unreachable)) (func (export \"version\")");
        site.put(&text.replace(at, &trap).replacen(boom.0, boom.1, 1));
        site
    }

    fn put(&self, text: &str) {
        fs::write(self.plugins.path().join("deadband.wat"), text).unwrap();
    }

    /// Ten or more readings, far enough apart to be kept, that have been acknowledged.
    fn send(&mut self, count: i64, value: impl Fn(i64) -> f64) {
        let mut device = Exact::to(([127, 0, 0, 1], self.port).into());
        for _ in 0..count {
            let seq = self.sent;
            device.publish("sensors/d1", reading("d1", this_minute() + seq, value(seq), seq));
            self.sent += 1;
        }
        device.flush();
    }

    fn good(&mut self) {
        self.send(10, |seq| if seq % 2 == 0 { 20.0 } else { 30.0 });
    }

    /// Waits until a stream has had so many records.
    fn appended(&self, stream: &str, records: u64) {
        self.gateway.eventually(PATIENCE, &format!("{records} records of {stream}"), || {
            match self.gateway.appended(stream) {
                appended if appended == records => Ok(()),
                appended => Err(format!("{appended}")),
            }
        });
    }

    fn says(&self, status: u16, parts: &[&str]) {
        self.gateway.eventually(PATIENCE, &format!("/readyz says {parts:?}"), || {
            let (said, body) = self.gateway.readiness();
            if said == status && parts.iter().all(|part| body.contains(part)) { Ok(()) } else { Err(body) }
        });
    }
}

fn deadband() -> String {
    fs::read_to_string(parts::plugins().join("deadband.wat")).unwrap()
}

#[test]
fn a_quarantined_plugins_records_are_set_aside_over_a_kill_until_it_is_released() {
    let mut site = Site::new("dead_letter");
    site.gateway.start_ready();
    site.good();
    site.appended("out", 10);
    site.send(30, |_| BAD);
    site.appended("dead_letters", 30);
    let named =
        ["operator 1 (deadband 1.0.0) is in quarantine since readings/0@", "(device d1): 10 faulted calls in a row"];
    site.says(200, &named);
    site.says(200, &["(in boom)", "`tidegate plugin release p 1` puts it back"]);
    site.good();
    site.appended("dead_letters", 40);

    site.gateway.kill();
    site.gateway.start_ready();
    site.says(200, &named);
    site.good();
    site.appended("dead_letters", 50);
    let released = site.gateway.plugin(&["release", "p"]).unwrap();
    assert_eq!(released, "operator 1 (deadband 1.0.0) of pipeline p works again\n");
    site.good();
    site.appended("out", 20);

    site.gateway.kill();
    site.gateway.start_ready();
    let refused = site.gateway.plugin(&["release", "p"]).unwrap_err();
    assert!(refused.contains("no operator of pipeline p is in quarantine"), "{refused}");
    let refused = site.gateway.plugin(&["release", "p", "1"]).unwrap_err();
    assert!(refused.contains("operator 1 of pipeline p is not in quarantine"), "{refused}");
    let shown = &site.gateway.status()["pipelines"]["p"];
    assert_eq!((&shown["notes"], shown["state"].as_str()), (&serde_json::json!([]), Some("running")));
    assert_eq!((site.gateway.lost("fault"), site.gateway.appended("out")), (50, 20));
    let seqs = |stream: &str, seq: &dyn Fn(&serde_json::Value) -> i64, count: usize| {
        let mut seqs: Vec<i64> = site.gateway.tap(stream, count).iter().map(seq).collect();
        seqs.sort_unstable();
        seqs
    };
    assert_eq!(seqs("out", &|record| record["seq"].as_i64().unwrap(), 20), (0..10).chain(60..70).collect::<Vec<_>>());
    let of_letter = |letter: &serde_json::Value| {
        let origin = letter["origin"].as_str().unwrap();
        assert!(letter["plugin"] == "deadband 1.0.0" && origin.starts_with("readings/0@"), "{letter}");
        origin.rsplit('@').next().unwrap().parse().unwrap()
    };
    let mut letters = seqs("dead_letters", &of_letter, 50);
    letters.dedup();
    assert_eq!(letters.len(), 50, "a record was set aside twice");
}

#[test]
fn a_pipeline_that_halts_stands_over_a_kill_until_a_better_version_is_swapped_in() {
    let mut site = Site::new("halt");
    site.gateway.start_ready();
    site.good();
    site.appended("out", 10);
    site.send(30, |_| BAD);
    let stands = [
        "operator 1 (deadband 1.0.0) is in quarantine since readings/0@",
        "it stands until `tidegate plugin release p 1`",
    ];
    site.says(503, &stands);
    site.gateway.kill();
    site.gateway.start();
    site.says(503, &stands);
    // It is given another chance, and the record is still there.
    site.gateway.plugin(&["release", "p"]).unwrap();
    site.says(503, &stands);
    site.good();
    site.put(&deadband());
    let swapped = site.gateway.plugin(&["swap", "p", "1"]).unwrap();
    assert!(swapped.contains("deadband 1.0.0"), "{swapped}");
    // The first of the bad ones is far enough from the last good one, the others are not.
    site.appended("out", 21);
    site.gateway.ready(PATIENCE);
    assert_eq!(site.gateway.appended("dead_letters"), site.gateway.lost("fault"));
}
