//! A gateway process among real parts: mosquitto, Kafka, a serial line, an upstream that does what it is told.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bad_input;
mod clock;
mod custody;
mod fuel;
mod listener;
mod lookup;
mod network;
mod outage;
mod power_cut;
mod quarantine;
mod registry;
mod restart;
mod serial_line;
mod store_tools;
mod uplink;
mod versions;

use std::path::Path;
use std::time::{Duration, SystemTime};
use tidegate_tests::gateway::Gateway;

/// Longest anything may take that depends on other processes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listener `door` for the same readings, and their stream, which keeps them.
fn door(port: u16) -> String {
    format!(
        r#"
        [streams.readings]
        fields = {{ temp = "f64", seq = "i64" }}
        keep = "1h"
        [sources.door]
        type = "mqtt_listener"
        stream = "readings"
        listen = "127.0.0.1:{port}"
        topics = ["sensors/+"]
        [sources.door.decode]
        format = "json"
        device = "/device"
        time = "/ts"
        "#
    )
}

/// The configuration of a pipeline `p` from that stream to `out`; `operators`: its operators.
fn pipeline(port: u16, operators: &str) -> String {
    format!(
        r#"
        {}
        [streams.out]
        keep = "1h"
        [pipelines.p]
        from = ["readings"]
        to = "out"
        {operators}
        "#,
        door(port)
    )
}

/// Such a gateway, with plugins of its own and further options in `[plugins]`; it commits often.
fn with_plugins(plugins: &Path, options: &str, config: &str) -> Gateway {
    let mut gateway = Gateway::configured("", config);
    gateway.plugins_from(plugins.into());
    plugins_change(&mut gateway, options, config);
    gateway
}

/// Gives it other options in `[plugins]`, from the next start on.
fn plugins_change(gateway: &mut Gateway, options: &str, config: &str) {
    gateway.plugin_options(options);
    gateway.reconfigure("commit_interval = \"20ms\"", config);
}

/// An MQTT source `field` of readings `{"device", "ts", "temp", "seq"}`, and its stream, which keeps them.
fn field(broker_url: &str) -> String {
    format!(
        r#"
        [streams.readings]
        fields = {{ temp = "f64", seq = "i64" }}
        keep = "1h"
        [sources.field]
        type = "mqtt"
        stream = "readings"
        url = "{broker_url}"
        topics = ["sensors/+"]
        client_id = "test-gateway-field"
        [sources.field.decode]
        format = "json"
        device = "/device"
        time = "/ts"
        "#
    )
}

/// A pipeline `windows` that counts readings per device and second.
fn windows(tumbling: &str, idle: &str) -> String {
    format!(
        r#"
        [pipelines.windows]
        from = ["readings"]
        to = "windows"
        [[pipelines.windows.operators]]
        aggregate = "stats"
        params = {{ fields = ["temp"] }}
        [pipelines.windows.operators.window]
        tumbling = "{tumbling}"
        idle = "{idle}"
        "#
    )
}

/// An HTTP sink of a stream.
fn http_sink(name: &str, from: &str, url: &str) -> String {
    format!(
        r#"
        [sinks.{name}]
        type = "http"
        from = "{from}"
        url = "{url}/{name}"
        backoff_min = "100ms"
        backoff_max = "1s"
        "#
    )
}

/// A Kafka sink of a stream; makes its topic.
fn kafka_sink(name: &str, from: &str, brokers: &str) -> String {
    format!(
        r#"
        [sinks.{name}]
        type = "kafka"
        from = "{from}"
        brokers = ["{brokers}"]
        topic = "{name}"
        backoff_min = "100ms"
        backoff_max = "1s"
        [sinks.{name}.create_topic]
        partitions = 1
        "#
    )
}

/// One reading as JSON; `ts` in milliseconds.
fn reading(device: &str, ts: i64, temp: f64, seq: i64) -> String {
    format!(r#"{{"device":"{device}","ts":{ts},"temp":{temp:?},"seq":{seq}}}"#)
}

/// Now in milliseconds since the epoch, at a whole minute: event times of tests begin there.
#[allow(clippy::disallowed_methods, reason = "devices of tests have clocks too")]
fn this_minute() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    now.as_secs() as i64 / 60 * 60_000
}
