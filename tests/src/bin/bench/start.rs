//! From exec to the first delivered record of a filter-only pipeline, plugins compiled before.

use crate::blaster::Blaster;
use crate::firehose::source;
use crate::report::Report;
use std::time::{Duration, Instant};
use tidegate_tests::gateway::Gateway;
use tidegate_tests::upstream::Upstream;
use tidegate_tests::wait::eventually;

/// Measures the second start: the first one compiles the plugin.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the machine's clock")]
pub fn to_first_output(report: &mut Report) {
    let upstream = Upstream::start();
    let config = |blaster: &Blaster| {
        format!(
            "{}\n[pipelines.warm]\nfrom = [\"readings\"]\nto = \"warm\"\n[[pipelines.warm.operators]]\n\
             filter = \"threshold\"\nparams = {{ field = \"temp\", above = -100.0 }}\n\
             [sinks.up]\ntype = \"http\"\nfrom = \"warm\"\nurl = \"{}/warm\"\n",
            source(blaster.addr, "5", 1),
            upstream.url()
        )
    };
    let store = "commit_interval = \"10ms\"";
    let first = Blaster::start(1, 1);
    let mut gateway = Gateway::configured(store, &config(&first));
    for name in ["start, plugins not compiled yet", "start, plugins cached"] {
        let blaster = Blaster::start(1, 1);
        gateway.reconfigure(store, &config(&blaster));
        let before = upstream.accepted_count("/warm");
        let begin = Instant::now();
        gateway.spawn_on(None);
        eventually(Duration::from_secs(60), "the first record arrives", || {
            (upstream.accepted_count("/warm") > before).then_some(()).ok_or_else(|| "nothing yet".into())
        });
        report.figure(name, "exec to first record upstream", begin.elapsed().as_secs_f64() * 1e3, "ms");
        assert!(gateway.stop().success());
        blaster.finish();
    }
}
