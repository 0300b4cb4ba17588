//! What the local HTTP shows: every part's status, as one JSON document.

use super::versions::Versions;
use crate::config::Config;
use crate::flash::Watch;
use crate::http;
use crate::readiness::{Monitor, Ready, Seen};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tidegate_record::Clock;
use tidegate_store::{Health, PartitionHealth, Store};

/// The handles of everything that runs.
pub(super) struct View {
    gateway: String,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    flash: Arc<Watch>,
    monitor: Monitor,
    pub warnings: Vec<String>,
    pub sources: Vec<tidegate_devices::Handle>,
    pub pipelines: Vec<(String, tidegate_pipeline::Handle)>,
    pub sinks: Vec<tidegate_sinks::Handle>,
    pub uplink: Option<Arc<tidegate_sinks::Uplink>>,
    pub versions: Option<Versions>,
}

impl View {
    /// Nothing runs yet.
    pub fn new(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>, flash: Arc<Watch>) -> Self {
        View {
            gateway: config.gateway.clone(),
            clock,
            store,
            flash,
            monitor: Monitor::new(&config.streams).with_reserve(config.store.reserve),
            warnings: config.warnings.clone(),
            sources: Vec::new(),
            pipelines: Vec::new(),
            sinks: Vec::new(),
            uplink: None,
            versions: None,
        }
    }

    fn pipeline_status(&self, name: &str, handle: &tidegate_pipeline::Handle) -> Value {
        let mut status = json!(handle.status());
        if let Some(status) = status.as_object_mut() {
            status.insert("operators".into(), json!(handle.costs()));
            status.extend(self.versions.iter().map(|versions| ("plugins".to_string(), versions.status(name))));
        }
        status
    }

    fn judge(&self, health: &Health) -> Ready {
        let sources: Vec<_> = self.sources.iter().map(|handle| handle.status()).collect();
        let pipelines: Vec<_> = self.pipelines.iter().map(|(name, handle)| (name.clone(), handle.status())).collect();
        let sinks: Vec<_> = self.sinks.iter().map(|handle| handle.status()).collect();
        let ready = self.monitor.judge(&Seen {
            boot: self.clock.boot(),
            wall: self.clock.wall(),
            arrival: self.store.arrival_now(),
            health,
            sources: &sources,
            pipelines: &pipelines,
            sinks: &sinks,
        });
        self.flash.count();
        let versions = self.versions.as_ref().map(Versions::reasons).unwrap_or_default();
        ready.with(self.flash.reasons()).with(versions)
    }
}

impl http::View for View {
    fn versions(&self) -> Option<Arc<dyn http::Versions>> {
        let versions = self.versions.clone()?;
        Some(Arc::new(versions))
    }

    fn plugins(&self) -> Vec<String> {
        self.versions.as_ref().map(Versions::names).unwrap_or_default()
    }

    fn plugin(&self, name: &str) -> Option<Value> {
        self.versions.as_ref()?.form(name)
    }

    fn pipeline(&self, name: &str) -> Option<tidegate_pipeline::Handle> {
        self.pipelines.iter().find(|(known, _)| known == name).map(|(_, handle)| handle.clone())
    }

    fn sink(&self, name: &str) -> Option<tidegate_sinks::Handle> {
        self.sinks.iter().find(|handle| handle.status().name == name).cloned()
    }

    fn ready(&self) -> Ready {
        self.judge(&self.store.health())
    }

    /// Keyed by name throughout, so that a path into it stays the same when something is added.
    fn status(&self) -> Value {
        let health = self.store.health();
        let identity = self.store.identity();
        let sources: Map<_, _> = self.sources.iter().map(|h| (h.name().to_owned(), json!(h.status()))).collect();
        let pipelines: Map<_, _> =
            self.pipelines.iter().map(|(name, h)| (name.clone(), self.pipeline_status(name, h))).collect();
        let sinks: Map<_, _> = self.sinks.iter().map(|h| h.status()).map(|s| (s.name.clone(), json!(s))).collect();
        json!({
            "gateway": self.gateway,
            "version": env!("CARGO_PKG_VERSION"),
            "epoch": format!("{:016x}", identity.epoch),
            "ready": self.judge(&health),
            "warnings": self.warnings,
            "store": store(&health),
            "flash": self.flash.status(),
            "streams": streams(&health),
            "sources": sources,
            "pipelines": pipelines,
            "sinks": sinks,
            "uplink": self.uplink.as_ref().map(|uplink| uplink.status()),
        })
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }
}

fn store(health: &Health) -> Value {
    let losses = health
        .losses
        .iter()
        .map(|(stream, reason, count)| json!({ "stream": stream, "reason": reason.word(), "count": count }));
    json!({
        "poisoned": health.poisoned,
        "disk_bytes": health.disk_bytes,
        "disk_bytes_max": health.disk_bytes_max,
        "disk_free_bytes": health.disk_free,
        "full": health.full,
        "waits_for_disk": health.waits_for_disk,
        "notes": health.notes,
        "orphans": health.orphans,
        "losses": losses.collect::<Vec<_>>(),
    })
}

fn streams(health: &Health) -> Map<String, Value> {
    let mut out = Map::new();
    for partition in &health.partitions {
        let stream = out.entry(&*partition.partition.stream).or_insert_with(|| json!({ "partitions": [] }));
        if let Some(Value::Array(partitions)) = stream.get_mut("partitions") {
            partitions.push(partition_status(partition));
        }
    }
    out
}

fn partition_status(p: &PartitionHealth) -> Value {
    let readers: Map<_, _> = p
        .readers
        .iter()
        .map(|r| {
            let status = json!({
                "cursor": r.cursor.0,
                "behind": r.behind,
                "oldest_unread_arrival": r.oldest_unread_arrival,
            });
            (r.reader.clone(), status)
        })
        .collect();
    json!({
        "partition": p.partition.number,
        "first": p.first.0,
        "next": p.next.0,
        "durable": p.durable.0,
        "appended": p.appended,
        "stored": p.stored,
        "released": p.released,
        "lost": p.lost,
        "bytes": p.bytes,
        "oldest_arrival": p.oldest_arrival,
        "readers": readers,
    })
}
