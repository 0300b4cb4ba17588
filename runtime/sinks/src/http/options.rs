//! Options of an HTTP sink.

use crate::Secret;
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
#[derive(Debug, Clone, PartialEq)]
pub struct HttpOptions {
    /// Where requests go, `http://` or `https://`.
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
