//! `[sinks.NAME]`: what delivers a stream upstream.

use super::section::Section;
use super::units::Size;
use super::{secret, uplink, url};
use std::time::Duration;
use tidegate_sinks::forward::Live;
use tidegate_sinks::http::{Format, HttpOptions, Method};
use tidegate_sinks::uplink::Share;
use tidegate_sinks::{ForwardOptions, Secret};

/// A sink as configured.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// Name, stream, backoff.
    pub forward: ForwardOptions,
    /// What it delivers to.
    pub kind: SinkKind,
    /// Its part of the uplink, where it shares one.
    pub share: Option<Share>,
}

/// The kinds of sinks.
#[derive(Debug, Clone)]
pub enum SinkKind {
    /// Requests over HTTP.
    Http(HttpOptions),
    /// A Kafka topic.
    #[cfg(feature = "kafka")]
    Kafka(tidegate_sinks::kafka::KafkaOptions),
}

impl SinkKind {
    /// What waits by itself waits no longer than the sink may.
    fn waits_at_most(&mut self, backoff_max: Duration) {
        match self {
            SinkKind::Http(_) => {}
            #[cfg(feature = "kafka")]
            SinkKind::Kafka(options) => options.reconnect_max = options.reconnect_max.min(backoff_max),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Headers a sink sets itself.
const HEADERS_OWN: [&str; 6] =
    ["authorization", "content-type", "content-encoding", "content-length", "host", "idempotency-key"];

/// The sinks in the order of the file.
pub(super) fn read(root: &mut Section<'_>) -> Vec<SinkConfig> {
    let sinks = root.named("sinks", |name, section| {
        let from = section.needed_text("from");
        let read: Option<Reader> = section.needed_word("type", &[("http", http as Reader), ("kafka", kafka)]);
        let Some((mut kind, request_bytes_max)) = read.and_then(|read| read(section)) else {
            section.ignore();
            return None;
        };
        let default = ForwardOptions::default();
        let limits = Duration::from_millis(10)..=HOUR;
        let backoff_min = section.within("backoff_min", default.backoff_min, limits.clone());
        let backoff_max = section.within("backoff_max", default.backoff_max, limits);
        if backoff_max < backoff_min {
            section.problem("backoff_max", "is less than backoff_min");
        }
        kind.waits_at_most(backoff_max);
        let request_bytes_max = request_bytes_max.unwrap_or(default.request_bytes_max);
        let live = live(section, default.live);
        let name = name.into();
        let forward = ForwardOptions { name, stream: from, backoff_min, backoff_max, request_bytes_max, live };
        Some(SinkConfig { forward, kind, share: uplink::share(section) })
    });
    sinks.into_iter().flatten().collect()
}

/// Fresh records beside a backlog.
fn live(section: &mut Section<'_>, default: Live) -> Live {
    let share = section.within("live_share", default.share, 0.0..=0.9);
    let after = section.within("live_after", default.after, SECOND..=24 * HOUR);
    if section.has("live_after") && share <= 0.0 {
        section.context.warning_at(&section.path_of("live_after"), "not used without live_share");
    }
    Live { share, after }
}

/// The kind, and most bytes in a request where the kind has such an option.
type Reader = fn(&mut Section<'_>) -> Option<(SinkKind, Option<usize>)>;

fn http(section: &mut Section<'_>) -> Option<(SinkKind, Option<usize>)> {
    let default = HttpOptions::default();
    let request_bytes_max = Size(ForwardOptions::default().request_bytes_max as u64);
    let url = section.needed_text("url");
    url::check(section, "url", &url, &["http", "https"]);
    let ca_file = section.text("ca_file").map(|path| section.context.resolve(&path));
    if ca_file.is_some() && url.starts_with("http://") {
        section.context.warning_at(&section.path_of("ca_file"), "not used with http://: write https:// for TLS");
    }
    let bearer_token = section.text("bearer_token");
    let bearer_token_file = section.text("bearer_token_file");
    if bearer_token.is_some() && bearer_token_file.is_some() {
        section.problem("bearer_token_file", "given together with bearer_token: leave one of them out");
    }
    // The sink reads the file itself, again and again: tokens are renewed. Here it is only seen to be readable.
    let token_path = bearer_token_file.as_deref().map(|file| section.context.resolve(file));
    if let Some(file) = &bearer_token_file {
        let _ = secret::from_file(section, "bearer_token_file", file);
    }
    let options = HttpOptions {
        url,
        method: section.word("method", "POST", &[("POST", Method::Post), ("PUT", Method::Put)]),
        format: section.word("format", "ndjson", &[("ndjson", Format::Ndjson), ("json", Format::Json)]),
        gzip: section.or("gzip", default.gzip),
        bearer_token: bearer_token.map(Secret::from),
        bearer_token_file: token_path,
        ca_file,
        timeout: section.within("timeout", default.timeout, SECOND..=HOUR),
        headers: headers(section),
    };
    let request_bytes_max = section.within("request_bytes_max", request_bytes_max, Size::kib(1)..=Size::mib(256));
    Some((SinkKind::Http(options), Some(request_bytes_max.0 as usize)))
}

fn headers(section: &mut Section<'_>) -> Vec<(String, Secret)> {
    let mut out = Vec::new();
    for (name, value) in section.entries("headers") {
        let token =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !token {
            value.problem(format!("{name:?} is no name of a header"));
        } else if HEADERS_OWN.contains(&name.to_lowercase().as_str()) {
            value.problem("the sink sets this header itself");
        }
        let Some(text) = value.get::<String>() else { continue };
        if text.chars().any(|c| c.is_control() && c != '\t') {
            value.problem("a header holds no control characters");
        }
        out.push((name, Secret::from(text)));
    }
    out
}

#[cfg(not(feature = "kafka"))]
fn kafka(section: &mut Section<'_>) -> Option<(SinkKind, Option<usize>)> {
    section.problem("type", "this gateway was built without Kafka: build it with the feature \"kafka\"");
    None
}

#[cfg(feature = "kafka")]
use super::kafka::read as kafka;
