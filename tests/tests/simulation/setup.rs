//! The gateway's configuration, and its plan with the plugins loaded: the same for every life.

use crate::guest::Guest;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;
use tidegate::config::{Config, parse};
use tidegate::topology::{Plan, plan};
use tidegate_sandbox::{Engine, EngineOptions};
use tidegate_tests::parts;

/// A stream holds so much: an outage of some seconds fills it.
const READINGS_BYTES_MAX: u64 = 5_000;
const LINES_BYTES_MAX: u64 = 2_000;
const DIRECT_BYTES_MAX: u64 = 5_000;

const CONFIG: &str = r#"
[gateway]
name = "simulated"

[store]
path = "nowhere"
commit_interval = "40ms"
reserve = "16KiB"

[plugins]
dir = "${PLUGINS}"
faults_max = 6
call_time = "60s"       # deadlines are the real clock's: none may end in a life of virtual time

[streams.readings]
fields = { seq = "i64", temp = "f64" }

[streams.lines]
fields = { seq = "i64", temp = "f64" }
when_full = "drop_oldest"

[streams.direct]
fields = { seq = "i64", temp = "f64" }

[sources.field]
type = "mqtt"
stream = "readings"
url = "mqtt://nowhere"
topics = ["sensors/+"]
client_id = "simulated-field"
receive_max = 24
[sources.field.decode]
format = "json"
device = "/device"
time = "/ts"

[sources.direct]
type = "mqtt_listener"
stream = "direct"
topics = ["direct/+"]
receive_max = 8
[sources.direct.decode]
format = "json"
device = "/device"
time = "/ts"

[sources.meter]
type = "serial"
stream = "lines"
port = "/nowhere"
[sources.meter.decode]
format = "csv"
columns = ["device", "seq", "temp"]

[pipelines.warm]
from = ["readings"]
to = "warm"
checkpoint_interval = "3s"
[[pipelines.warm.operators]]
filter = "threshold"
params = { field = "temp", above = 20.0 }

[pipelines.sums]
from = ["readings"]
to = "sums"
checkpoint_interval = "2s"
[[pipelines.sums.operators]]
aggregate = "stats"
params = { fields = ["temp", "seq"] }
window = { tumbling = "1s", lateness = "10s", idle = "2s" }

[pipelines.brittle]
from = ["readings"]
to = "brittle"
checkpoint_interval = "3s"
[[pipelines.brittle.operators]]
filter = "brittle"
on_quarantine = "bypass"
release_after = "2s"
"#;

/// A filter that keeps every reading, and traps at those of `devices::is_brittle`.
fn brittle() -> String {
    let mut plugin = Guest::filter(
        "(local $row i32) (local $at i32)
         (local.set $at (i32.load offset=4 (local.get $columns)))
         (block $done (loop $next
           (br_if $done (i32.eq (local.get $row) (local.get $rows)))
           (if (i64.ge_u (i64.rem_u (i64.load (local.get $at)) (i64.const 100)) (i64.const 80)) (then unreachable))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (local.set $row (i32.add (local.get $row) (i32.const 1)))
           (br $next)))
         (call $keep_all (local.get $rows))",
    );
    plugin.reads = &["seq"];
    plugin.text()
}

/// The folder of the plugins that ship, with `brittle` beside them.
fn plugins() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["threshold.wasm", "stats.wasm"] {
        std::fs::copy(parts::plugins().join(name), folder.path().join(name)).expect("it is built");
    }
    std::fs::write(folder.path().join("brittle.wat"), brittle()).expect("written");
    folder
}

/// The streams with a sink each.
pub const DELIVERED: [&str; 8] = ["readings", "direct", "lines", "warm", "sums", "brittle", "dead_letters", "ledger"];

/// What a boot is made of.
pub struct Setup {
    pub config: Config,
    pub plan: Plan,
}

/// The one there is: plugins are compiled once.
pub fn setup() -> &'static Setup {
    static SETUP: OnceLock<Setup> = OnceLock::new();
    SETUP.get_or_init(|| {
        let mut text = CONFIG.to_owned();
        for stream in DELIVERED {
            text.push_str(&format!(
                "[sinks.{stream}]\ntype = \"http\"\nfrom = \"{stream}\"\nurl = \"http://nowhere\"\n"
            ));
            text.push_str("backoff_min = \"100ms\"\nbackoff_max = \"2s\"\nrequest_bytes_max = \"4KiB\"\n");
        }
        let folder = plugins();
        let plugins = folder.path().display().to_string();
        let variables = |name: &str| (name == "PLUGINS").then(|| plugins.clone());
        let mut config = parse(Path::new("/simulation.toml"), &text, &variables).unwrap_or_else(|e| panic!("{e}"));
        for (stream, bytes) in
            [("readings", READINGS_BYTES_MAX), ("lines", LINES_BYTES_MAX), ("direct", DIRECT_BYTES_MAX)]
        {
            let of = config.streams.iter_mut().find(|s| s.name == stream).expect("it is declared above");
            of.retention.max_bytes = bytes;
        }
        let engine = Engine::new(EngineOptions::default()).expect("an engine");
        let plan = plan(&config, &engine).unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
        Setup { config, plan }
    })
}
