//! Options of an HTTP sink.

use crate::Secret;
use reqwest::Url;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// `POST`.
    #[default]
    Post,
    /// `PUT`.
    Put,
}

/// What a body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object a line, `application/x-ndjson`.
    #[default]
    Ndjson,
    /// One JSON array, `application/json`.
    Json,
}

/// `[sinks.NAME]` with `type = "http"`.
#[derive(Clone, PartialEq)]
pub struct HttpOptions {
    /// Where requests go, `http://` or `https://`; its query and user may be secrets.
    pub url: String,
    /// The method.
    pub method: Method,
    /// The body's format.
    pub format: Format,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    pub gzip: bool,
    /// Sent as `Authorization: Bearer …`.
    pub bearer_token: Option<Secret>,
    /// A file that holds the token; read again when the upstream answers 401.
    pub bearer_token_file: Option<PathBuf>,
    /// PEM certificates trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Of one request, from connecting to the end of the reply.
    pub timeout: Duration,
    /// Further headers; their values may be secrets.
    pub headers: Vec<(String, Secret)>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            url: String::new(),
            method: Method::default(),
            format: Format::default(),
            gzip: true,
            bearer_token: None,
            bearer_token_file: None,
            ca_file: None,
            timeout: Duration::from_secs(30),
            headers: Vec::new(),
        }
    }
}

impl fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Url::parse(&self.url).map_or_else(|_| "***".into(), place);
        f.debug_struct("HttpOptions")
            .field("url", &place)
            .field("method", &self.method)
            .field("format", &self.format)
            .field("gzip", &self.gzip)
            .field("bearer_token", &self.bearer_token)
            .field("bearer_token_file", &self.bearer_token_file)
            .field("ca_file", &self.ca_file)
            .field("timeout", &self.timeout)
            .field("headers", &self.headers)
            .finish()
    }
}

/// A URL without what may be a secret in it.
pub(super) fn place(mut url: Url) -> String {
    url.set_query(None);
    // They fail only for URLs that have no place for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
