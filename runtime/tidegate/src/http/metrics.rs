//! The recorder of this process's metrics and its text for Prometheus.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Upper bounds of the buckets of everything measured in seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder, once a process. Before any part is built: what is counted earlier is counted by nobody.
pub fn install() {
    handle();
}

pub(super) fn handle() -> &'static PrometheusHandle {
    HANDLE.get_or_init(|| {
        let matcher = Matcher::Suffix("seconds".into());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(matcher, &SECONDS).and_then(|builder| {
            let matcher = Matcher::Full("tidegate_plugin_record_ns".into());
            builder.set_buckets_for_metric(matcher, &tidegate_sandbox::RECORD_NS.map(|bound| bound as f64))
        });
        let recorder = builder.unwrap_or_else(|error| unreachable!("there are buckets: {error}")).build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder of metrics is installed: /metrics stays empty");
        }
        handle
    })
}
