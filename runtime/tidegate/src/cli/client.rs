//! Asking a running gateway over its local HTTP.

use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tidegate_sinks::Secret;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Longest a gateway may take to begin an answer, or to give one that is small.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Longest it may take to do what changes the store.
const CHANGE_MAX: Duration = Duration::from_secs(15 * 60);

/// A gateway's local HTTP, and the runtime to ask it with.
pub(super) struct Client {
    base: String,
    /// What the gateway wants of who changes its store.
    token: Option<Secret>,
    http: reqwest::Client,
    runtime: Runtime,
}

/// Why a gateway gave no answer that can be used.
pub(super) enum Refused {
    /// Nobody is there.
    Unreachable(String),
    /// It said no, or something else is there.
    Answer(String),
}

impl From<Refused> for String {
    fn from(refused: Refused) -> String {
        match refused {
            Refused::Unreachable(reason) | Refused::Answer(reason) => reason,
        }
    }
}

impl Client {
    /// A client of the gateway at `base`, an `http://` URL.
    pub(super) fn new(base: &str) -> Result<Self, String> {
        // The gateway is on this machine: a proxy is not.
        let http = reqwest::Client::builder().no_proxy().build().map_err(|error| error.to_string())?;
        Ok(Client { base: base.trim_end_matches('/').to_string(), token: None, http, runtime: super::runtime()? })
    }

    /// The same, with the token that changes need.
    pub(super) fn bearing(self, token: Option<Secret>) -> Self {
        Client { token, ..self }
    }

    /// Where it is.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The JSON at a path.
    pub(super) fn json<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Refused> {
        let text = self.runtime.block_on(async {
            let response = self.send(Method::GET, path, query).await?;
            let text = timeout(ANSWER_MAX, response.text()).await.map_err(|_| self.silent(ANSWER_MAX))?;
            text.map_err(|error| Refused::Answer(format!("the answer broke off: {error}")))
        })?;
        self.understood(&text)
    }

    /// Has something changed; what the gateway says of it.
    pub(super) fn change<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Refused> {
        let text = self.runtime.block_on(async {
            let response = self.send(Method::POST, path, query).await?;
            response.text().await.map_err(|error| Refused::Answer(format!("the answer broke off: {error}")))
        })?;
        self.understood(&text)
    }

    fn understood<T: DeserializeOwned>(&self, text: &str) -> Result<T, Refused> {
        serde_json::from_str(text)
            .map_err(|error| Refused::Answer(format!("{} answers something else: {error}", self.base)))
    }

    /// Takes what comes of an answer, piece by piece, as long as `take` says true.
    pub(super) fn pieces(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut response = self.send(Method::GET, path, query).await?;
            while let Some(piece) = response.chunk().await.map_err(|e| format!("the answer broke off: {e}"))? {
                if !take(&piece) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// An answer to be read as it comes.
    pub(super) fn read(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Answer<'_>, String> {
        let response = self.runtime.block_on(self.send(Method::GET, path, query))?;
        Ok(Answer { client: self, response, piece: Vec::new(), at: 0 })
    }

    fn silent(&self, patience: Duration) -> Refused {
        let (base, seconds) = (&self.base, patience.as_secs());
        Refused::Answer(format!("{base} does not answer within {seconds} s: give --dir with the gateway stopped"))
    }

    async fn send(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<Response, Refused> {
        let base = &self.base;
        let mut url = url::Url::parse(base).map_err(|e| Refused::Answer(format!("{base:?} is no URL: {e}")))?;
        let segments = url.path_segments_mut();
        segments.map_err(|()| Refused::Answer(format!("{base:?} is no URL of a gateway")))?.pop_if_empty().extend(path);
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let patience = if method == Method::GET { ANSWER_MAX } else { CHANGE_MAX };
        let mut request = self.http.request(method, url);
        if let Some(token) = self.token.as_ref().filter(|_| patience == CHANGE_MAX) {
            request = request.bearer_auth(token.reveal());
        }
        let response = timeout(patience, request.send()).await.map_err(|_| self.silent(patience))?;
        let response =
            response.map_err(|e| Refused::Unreachable(format!("no gateway answers at {base}: {}", root_cause(&e))))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        let said: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let reason = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or(body.trim());
        Err(Refused::Answer(format!("{status}: {reason}")))
    }
}

/// An answer under way.
pub(super) struct Answer<'a> {
    client: &'a Client,
    response: Response,
    piece: Vec<u8>,
    at: usize,
}

impl std::io::Read for Answer<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.piece.len() {
            let piece = self.client.runtime.block_on(self.response.chunk()).map_err(std::io::Error::other)?;
            let Some(piece) = piece else { return Ok(0) };
            (self.piece, self.at) = (piece.to_vec(), 0);
        }
        let count = out.len().min(self.piece.len() - self.at);
        out[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
