//! What the store has written to the disk against what came in.

use crate::blaster::Blaster;
use crate::firehose::source;
use crate::report::Report;
use std::time::Duration;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::wait::eventually;

/// Readings a second.
const RATE: u64 = 1_000;
/// How long.
const SECONDS: u64 = 60;
/// A reading as JSON.
const PAYLOAD_BYTES: f64 = 61.0;

/// At 1,000 readings a second, MQTT 5, QoS 1: bytes the process has had written, by the kernel's count, for a byte of JSON.
pub fn measure(report: &mut Report) {
    for (name, store) in [("2s", "commit_interval = \"2s\""), ("200ms, the default", "")] {
        let readings = RATE * SECONDS;
        let blaster = Blaster::at_rate(readings, 1, Some(RATE));
        // A window that two seconds do not fill: a full one begins a commit.
        let config = source(blaster.addr, "5", 1).replace("qos = 1", "qos = 1\nreceive_max = 8192");
        let mut gateway = Gateway::configured(store, &config);
        gateway.spawn_on(None);
        let begin = gateway.written_bytes();
        eventually(Duration::from_secs(3 * SECONDS), "every reading is stored", || {
            match gateway.appended("readings") {
                count if count >= readings => Ok(()),
                count => Err(format!("{count} of {readings}")),
            }
        });
        let written = (gateway.written_bytes() - begin) as f64;
        let of = format!("1,000 readings a second, commit_interval {name}");
        report.figure(&of, "written to the disk", written / (readings as f64 * PAYLOAD_BYTES), "B/B of JSON");
        assert!(gateway.stop().success());
        blaster.finish();
    }
}
