//! Serial to HTTP, with the plug pulled in between.

use crate::{PATIENCE, http_sink};
use serde_json::Value;
use tidegate_tests::gateway::Gateway;
use tidegate_tests::serial::SerialLine;
use tidegate_tests::upstream::Upstream;

#[test]
fn readings_come_over_a_serial_line_that_hangs_up_and_comes_back() {
    let mut line = SerialLine::plugged();
    let upstream = Upstream::start();
    let mut gateway = Gateway::configured("", &(meter(&line) + &http_sink("cloud", "meter", &upstream.url())));
    gateway.start_ready();
    line.send(b"\n# a comment\nm1,1767225600000,21.5\nm1,17672");
    line.send(b"25601000,21.6\r\n");
    let temps = |upstream: &Upstream| -> Vec<f64> {
        let records = upstream.accepted();
        records.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["temp"].as_f64()).collect()
    };
    let arrived = |expected: &[f64]| {
        gateway.eventually(PATIENCE, "the readings are delivered", || {
            let seen = temps(&upstream);
            if seen == expected { Ok(()) } else { Err(format!("{seen:?}")) }
        });
    };
    arrived(&[21.5, 21.6]);

    line.unplug();
    gateway.eventually(PATIENCE, "readiness names the port", || match gateway.readiness() {
        (503, reasons) if reasons.contains("meter") => Ok(()),
        (status, reasons) => Err(format!("{status} {reasons}")),
    });
    line.plug();
    gateway.ready(PATIENCE);
    line.send(b"\nm1,1767225602000,21.7\n");
    arrived(&[21.5, 21.6, 21.7]);
}

fn meter(line: &SerialLine) -> String {
    format!(
        r##"
        [streams.meter]
        fields = {{ temp = "f64" }}
        [sources.meter]
        type = "serial"
        stream = "meter"
        port = "{}"
        [sources.meter.decode]
        format = "csv"
        columns = ["device", "time", "temp"]
        comment = "#"
        "##,
        line.port().display()
    )
}
