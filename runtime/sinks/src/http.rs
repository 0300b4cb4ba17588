//! The HTTP sink: requests of NDJSON or JSON, each with a key by which the upstream knows it again.
//!
//! Every record begins with its identity, `"_id":"gateway/stream/partition/epoch/offset"`. Every request has
//! `Idempotency-Key: gateway/stream/partition/epoch/first-last` and the parts of it as `Tidegate-*` headers; a request
//! made again, after a lost reply or a restart, has the same key, and the same body but for times that became known
//! better over a restart.
//!
//! Which answer means what is in [`reply`]. Redirects are not followed: a token must not go where nobody sent it.

mod body;
mod options;
mod reply;

pub use options::{Format, HttpOptions, Method};

use crate::{Delivery, OptionError, Request, Secret, Upstream};
use body::Body;
use futures::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, StatusCode, Url, redirect};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a connection, where the request's timeout is not shorter.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(10);
/// An unused connection is kept this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Delivers over HTTP.
pub struct Http {
    client: Client,
    url: Url,
    place: String,
    options: HttpOptions,
    headers: HeaderMap,
    token: Option<Secret>,
    /// The request in hand as it goes on the wire, for another attempt.
    body: Option<Body>,
    /// How often in a row the request in hand ran out of time.
    timeouts: u32,
    /// Bytes put on the wire since last asked.
    sent: u64,
}

/// What a request has beside its body, at most, without configured headers: its line and its own headers.
const HEAD_BYTES: u64 = 1024;

/// So many time-outs in a row say that a request is too large for this line or this upstream.
const TIMEOUTS_MAX: u32 = 3;

impl Http {
    /// Checks the options and reads the files they name; connects to nothing.
    pub fn build(options: HttpOptions) -> Result<Self, OptionError> {
        let url = check_url(&options.url)?;
        let token = match (&options.bearer_token, &options.bearer_token_file) {
            (Some(_), Some(_)) => {
                return Err(OptionError::new("bearer_token", "give it or bearer_token_file, not both"));
            }
            (Some(token), None) => Some(token.clone()),
            (None, Some(file)) => Some(read_token(file)?),
            (None, None) => None,
        };
        if let Some(token) = &token {
            bearer(token).map_err(|reason| OptionError::new("bearer_token", reason))?;
        }
        let headers = fixed_headers(&options)?;
        let place = options::place(url.clone());
        Ok(Http {
            client: client(&url, &options)?,
            url,
            place,
            headers,
            token,
            options,
            body: None,
            timeouts: 0,
            sent: 0,
        })
    }

    async fn attempt(&mut self, request: &Request) -> Delivery {
        let body = match self.body_of(request).await {
            Ok(body) => body,
            Err(reason) => return Delivery::Retry { reason, after: None },
        };
        let mut response = self.send(request, &body).await;
        if let Ok(answer) = &response
            // Some gateways answer 403 where a token has expired.
            && matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            && self.token_changed()
        {
            response = self.send(request, &body).await;
        }
        let delivery = match response {
            Ok(response) => reply::read(response).await,
            Err(error) => {
                let reason = reply::sentence(&error);
                self.timeouts = if error.is_timeout() && !error.is_connect() { self.timeouts + 1 } else { 0 };
                match self.timeouts >= TIMEOUTS_MAX && request.len() > 1 {
                    true => Delivery::Split { reason },
                    false => Delivery::Retry { reason, after: None },
                }
            }
        };
        if !matches!(delivery, Delivery::Retry { .. }) {
            self.body = None;
            self.timeouts = 0;
        }
        delivery
    }

    /// The request's body, as it was for the attempts before.
    async fn body_of(&mut self, request: &Request) -> Result<Body, String> {
        let body = match self.body.take().filter(|body| body.key == request.key()) {
            Some(body) => body,
            None => Body::of(request.clone(), self.options.format, self.options.gzip).await?,
        };
        Ok(self.body.insert(body).clone())
    }

    /// What a body takes with the head before it.
    fn on_the_wire(&self, body: &Body) -> u64 {
        let configured: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let token = self.token.as_ref().map_or(0, |token| token.reveal().len());
        body.bytes.len() as u64 + HEAD_BYTES + (configured + token + self.url.as_str().len()) as u64
    }

    async fn send(&mut self, request: &Request, body: &Body) -> Result<reqwest::Response, reqwest::Error> {
        let method = match self.options.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut call = self.client.request(method, self.url.clone()).headers(self.headers.clone());
        for (name, value) in [
            ("idempotency-key", body.key.clone()),
            ("tidegate-gateway", request.identity().gateway.to_string()),
            ("tidegate-stream", request.partition().stream.to_string()),
            ("tidegate-partition", request.partition().number.to_string()),
            ("tidegate-epoch", format!("{:016x}", request.identity().epoch)),
            ("tidegate-first-offset", request.first().to_string()),
            ("tidegate-last-offset", request.last().to_string()),
            ("tidegate-count", request.len().to_string()),
        ] {
            call = call.header(name, value);
        }
        if let Some(Ok(value)) = self.token.as_ref().map(bearer) {
            call = call.header(AUTHORIZATION, value);
        }
        let response = call.body(body.bytes.clone()).send().await;
        // Without a connection nothing was sent.
        if !response.as_ref().is_err_and(reqwest::Error::is_connect) {
            self.sent += self.on_the_wire(body);
        }
        response
    }

    /// Reads the token's file again; whether it holds another one now.
    fn token_changed(&mut self) -> bool {
        let Some(file) = &self.options.bearer_token_file else { return false };
        match read_token(file) {
            Ok(token) if bearer(&token).is_ok() => {
                let changed = self.token.as_ref() != Some(&token);
                self.token = Some(token);
                changed
            }
            Ok(_) | Err(_) => {
                tracing::warn!(file = %file.display(), "the bearer token's file holds no usable token");
                false
            }
        }
    }
}

impl Upstream for Http {
    fn deliver<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, Delivery> {
        Box::pin(self.attempt(request))
    }

    fn keyed(&self) -> bool {
        true
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn weigh<'a>(&'a mut self, request: &'a Request) -> BoxFuture<'a, u64> {
        Box::pin(async move {
            match self.body_of(request).await {
                Ok(body) => self.on_the_wire(&body),
                Err(_) => request.json_bytes(),
            }
        })
    }

    fn sent(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.sent))
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("options", &self.options).finish_non_exhaustive()
    }
}

fn check_url(text: &str) -> Result<Url, OptionError> {
    let wrong = |reason: String| OptionError::new("url", reason);
    let url = Url::parse(text).map_err(|e| wrong(format!("is no URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("begins with {}://; only http:// and https:// are known", url.scheme())));
    }
    Ok(url)
}

fn read_token(file: &Path) -> Result<Secret, OptionError> {
    Secret::read(file).map_err(|reason| OptionError::new("bearer_token_file", reason))
}

fn bearer(token: &Secret) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.reveal()))
        .map_err(|_| "holds characters a header cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The headers that are the same in every request.
fn fixed_headers(options: &HttpOptions) -> Result<HeaderMap, OptionError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let wrong = |reason: &str| OptionError::new(format!("headers.{name}"), reason);
        let key = HeaderName::try_from(name.as_str()).map_err(|_| wrong("is no header's name"))?;
        let lower = key.as_str();
        if lower.starts_with("tidegate-") || OURS.contains(&lower) {
            return Err(wrong("is set by the sink itself: leave it out"));
        }
        let mut value =
            HeaderValue::try_from(value.reveal()).map_err(|_| wrong("holds characters a header cannot carry"))?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    let content = match options.format {
        Format::Ndjson => "application/x-ndjson",
        Format::Json => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
    if options.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// Headers that belong to the sink or the connection.
const OURS: [&str; 7] = [
    "content-type",
    "content-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "host",
    "idempotency-key",
];

fn client(url: &Url, options: &HttpOptions) -> Result<Client, OptionError> {
    let mut builder = Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(options.timeout)
        .connect_timeout(options.timeout.min(CONNECT_TIMEOUT_MAX))
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(1);
    match &options.ca_file {
        Some(file) => builder = builder.tls_certs_merge(certificates(file)?),
        // A small system without certificates can still deliver in the clear.
        None if url.scheme() == "http" => builder = builder.tls_certs_only([]),
        None => {}
    }
    builder.build().map_err(|error| {
        let causes = reply::sentence(&error);
        OptionError::new("ca_file", format!("no HTTP client could be made: {causes}"))
    })
}

fn certificates(file: &PathBuf) -> Result<Vec<Certificate>, OptionError> {
    let wrong = |what: String| OptionError::new("ca_file", format!("the file {} {what}", file.display()));
    let pem = std::fs::read(file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| wrong(format!("is no PEM: {e}")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".into()));
    }
    Ok(certificates)
}
