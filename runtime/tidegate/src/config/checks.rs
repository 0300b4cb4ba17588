//! What must hold between sections.

use super::context::Context;
use super::decode::template_problem;
use super::suggest::did_you_mean;
use super::{Config, SourceConfig, SourceKind, StreamConfig, url};
use std::collections::{BTreeMap, HashSet};
use tidegate_devices::decode::Format;
use tidegate_record::{Schema, streams};
#[cfg(feature = "kafka")]
use tidegate_sinks::kafka::Cleanup;
use tidegate_store::WhenFull;

/// Notes everything that does not fit together.
pub(super) fn check(config: &Config, context: &Context<'_>) {
    let checks = Checks { config, context };
    checks.streams();
    checks.sources();
    checks.pipelines();
    checks.tables();
    checks.cycles();
    checks.sinks();
    checks.addresses();
    checks.caps();
}

struct Checks<'c> {
    config: &'c Config,
    context: &'c Context<'c>,
}

fn is_own(stream: &str) -> bool {
    stream == streams::DEAD_LETTERS || stream == streams::LEDGER
}

impl<'c> Checks<'c> {
    fn stream(&self, name: &str) -> Option<&'c StreamConfig> {
        self.config.streams.iter().find(|stream| stream.name == name)
    }

    /// The stream an option names; where there is none, a problem is noted (unless the option itself is one).
    fn named(&self, path: &str, name: &str) -> Option<&'c StreamConfig> {
        let found = self.stream(name);
        if found.is_none() && !name.is_empty() {
            let hint = did_you_mean(name, self.config.streams.iter().map(|stream| stream.name.as_str()));
            self.context.problem_at(path, format!("there is no stream {name:?}{hint}"));
        }
        found
    }

    fn streams(&self) {
        let config = self.config;
        for stream in config.streams.iter().filter(|stream| !is_own(&stream.name)) {
            let path = format!("streams.{}", stream.name);
            let made = config.pipelines.iter().any(|pipeline| pipeline.to == stream.name);
            let filled = config.sources.iter().any(|source| source.stream == stream.name);
            let has_fields = self.context.is_given(&format!("{path}.fields"));
            if !has_fields && !made {
                self.context.problem_at(&path, "has no fields, and no pipeline makes them: declare its fields");
            } else if !made && !filled {
                self.context.warning_at(&path, "no source and no pipeline appends to this stream");
            }
            // It is read as a time of the record's own, and corrected with it.
            if filled && stream.schema.as_ref().is_some_and(|schema| schema.position(streams::WINDOW_END).is_some()) {
                let message = "is where a window ends, which pipelines say: give a source's field another name";
                self.context.problem_at(&format!("{path}.fields.{}", streams::WINDOW_END), message);
            }
        }
    }

    fn tables(&self) {
        let mut looks = false;
        for pipeline in &self.config.pipelines {
            for (index, _) in pipeline.operators.iter().enumerate().filter(|(_, operator)| operator.grants.lookup) {
                looks = true;
                if self.config.tables.is_empty() {
                    let path = format!("pipelines.{}.operators[{index}].grant", pipeline.name);
                    let message = "\"lookup\" is granted, and there is no table: add a section [tables.NAME]";
                    self.context.problem_at(&path, message);
                }
            }
        }
        for table in self.config.tables.iter().filter(|_| !looks) {
            let message = "no operator may look it up: write grant = [\"lookup\"] beside the plugin that is to";
            self.context.warning_at(&format!("tables.{}", table.name), message);
        }
    }

    fn sources(&self) {
        let mut clients: BTreeMap<_, &str> = BTreeMap::new();
        let mut ports: BTreeMap<_, &str> = BTreeMap::new();
        for source in &self.config.sources {
            let name = source.name.as_str();
            let path = |option: &str| format!("sources.{name}.{option}");
            self.target(source, &path("stream"));
            match &source.kind {
                SourceKind::Mqtt(options) if !options.client_id.is_empty() => {
                    let other = url::place(&options.url)
                        .and_then(|place| clients.insert((place, options.client_id.clone()), name));
                    if let Some(other) = other {
                        let why = "the broker would end one connection for the other";
                        let message = format!("sources.{other} has the same client_id on the same broker: {why}");
                        self.context.problem_at(&path("client_id"), message);
                    }
                }
                SourceKind::Serial(options) => {
                    if let Some(other) = ports.insert(options.port.clone(), name) {
                        self.context.problem_at(&path("port"), format!("sources.{other} reads this port already"));
                    }
                }
                SourceKind::Mqtt(_) | SourceKind::Listener(_) => {}
            }
        }
    }

    /// The stream a source appends to, and the fields its decoder names.
    fn target(&self, source: &SourceConfig, path: &str) {
        if is_own(&source.stream) {
            return self.context.problem_at(path, format!("{} is the gateway's own stream", source.stream));
        }
        let Some(stream) = self.named(path, &source.stream) else { return };
        match &stream.schema {
            Some(schema) => self.decoded(source, schema),
            None if self.context.is_given(&format!("streams.{}.fields", stream.name)) => {}
            None => {
                let message = format!("stream {:?} declares no fields, and a source needs them", stream.name);
                self.context.problem_at(path, message);
            }
        }
    }

    fn decoded(&self, source: &SourceConfig, schema: &Schema) {
        let decode = source.decode();
        let path = format!("sources.{}.decode", source.name);
        let field = |option: &str, name: &str, also: &[&str]| {
            if schema.position(name).is_some() || also.contains(&name) {
                return;
            }
            let known = schema.fields().iter().map(|field| field.name.as_str()).chain(also.iter().copied());
            let hint = did_you_mean(name, known);
            self.context.problem_at(option, format!("stream {:?} has no field {name:?}{hint}", source.stream));
        };
        for name in decode.topic.iter().filter_map(|topic| template_problem(topic).ok()).flatten() {
            field(&format!("{path}.topic"), &name, &["device"]);
        }
        if decode.format == Format::Csv {
            for name in decode.columns.iter().filter(|column| !column.is_empty()) {
                field(&format!("{path}.columns"), name, &["device", "time"]);
            }
        }
        for (name, _) in &decode.fields {
            field(&format!("{path}.fields.{name}"), name, &[]);
        }
    }

    fn pipelines(&self) {
        for pipeline in &self.config.pipelines {
            let path = |option: &str| format!("pipelines.{}.{option}", pipeline.name);
            if is_own(&pipeline.to) {
                self.context.problem_at(&path("to"), format!("{} is the gateway's own stream", pipeline.to));
            }
            let mut seen = HashSet::new();
            let mut schemas = Vec::new();
            for from in &pipeline.from {
                if is_own(from) {
                    let why = "what it faults on would come back to it";
                    self.context.problem_at(&path("from"), format!("a pipeline may not read {from}: {why}"));
                } else if !seen.insert(from) {
                    self.context.problem_at(&path("from"), format!("{from:?} is there twice"));
                } else if let Some(stream) = self.named(&path("from"), from) {
                    schemas.extend(stream.schema.as_ref().map(|schema| (from, schema)));
                }
            }
            if let Some(pair) = schemas.windows(2).find(|pair| pair[0].1 != pair[1].1) {
                let message = format!("{:?} and {:?} have different fields", pair[0].0, pair[1].0);
                self.context.problem_at(&path("from"), message);
            }
        }
    }

    /// A pipeline may not feed itself, directly or through others.
    fn cycles(&self) {
        let pipelines = &self.config.pipelines;
        for start in 0..pipelines.len() {
            let mut came_from = vec![None; pipelines.len()];
            let mut waiting = vec![start];
            while let Some(at) = waiting.pop() {
                let fed = |next: &usize| pipelines[*next].from.contains(&pipelines[at].to);
                // Each cycle is reported once, at its first pipeline in the file.
                for next in (start..pipelines.len()).filter(fed) {
                    if came_from[next].is_none() {
                        came_from[next] = Some(at);
                        waiting.push(next);
                    }
                }
            }
            if came_from[start].is_none() {
                continue;
            }
            let mut names = vec![pipelines[start].name.as_str()];
            let mut at = start;
            while let Some(before) = came_from[at] {
                names.insert(0, &pipelines[before].name);
                at = before;
                if at == start {
                    break;
                }
            }
            let path = format!("pipelines.{}.to", pipelines[start].name);
            self.context.problem_at(&path, format!("feeds itself: {}", names.join(" -> ")));
        }
    }

    fn sinks(&self) {
        for sink in &self.config.sinks {
            let path = |option: &str| format!("sinks.{}.{option}", sink.forward.name);
            self.named(&path("from"), &sink.forward.stream);
            #[cfg(feature = "kafka")]
            if let super::SinkKind::Kafka(kafka) = &sink.kind
                && kafka.create_topic.as_ref().is_some_and(|topic| topic.cleanup == Cleanup::Compact)
                && sink.forward.live.share > 0.0
            {
                let why = "a compacted topic keeps what comes last, and a backlog comes after fresh records";
                self.context.problem_at(&path("live_share"), format!("{why}: leave it out, or cleanup = \"delete\""));
            }
            let thinned = |stream: &&StreamConfig| matches!(stream.retention.when_full, WhenFull::Thin(_));
            if sink.forward.live.share > 0.0 && self.stream(&sink.forward.stream).filter(thinned).is_some() {
                let why = "a stream with when_full = \"thin\" is delivered in order";
                self.context.problem_at(&path("live_share"), format!("{why}: leave live_share out"));
            }
            for option in ["weight", "urgent"] {
                let shares = self.config.uplink.is_some() && sink.share.is_some();
                if !shares && self.context.is_given(&path(option)) {
                    let why = "not used: the sink shares no uplink ([uplink], and uplink = true)";
                    self.context.warning_at(&path(option), why);
                }
            }
        }
    }

    fn addresses(&self) {
        let mut taken = BTreeMap::from([(self.config.control.listen, "control.listen".to_owned())]);
        for source in &self.config.sources {
            let SourceKind::Listener(options) = &source.kind else { continue };
            let path = format!("sources.{}.listen", source.name);
            if let Some(other) = taken.get(&options.listen) {
                self.context.problem_at(&path, format!("{} is {other} already", options.listen));
            }
            taken.insert(options.listen, path);
        }
    }

    fn caps(&self) {
        let sum: u64 = self.config.streams.iter().map(|stream| stream.retention.max_bytes).fold(0, u64::saturating_add);
        let max = self.config.store.max_bytes;
        if sum > max {
            let message = format!(
                "the streams' max_bytes add up to {sum} bytes, more than the {max} of the store: \
                 the store may be full before a stream is"
            );
            self.context.warning_at("store.max_bytes", message);
        }
    }
}
