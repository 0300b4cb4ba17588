//! What an answer means.
//!
//! | answer | meaning |
//! |---|---|
//! | 2xx | delivered |
//! | 400, 422 | a record is refused for good: found by bisection |
//! | 413 | too large: delivered in halves |
//! | no answer in time, three times in a row | too large for the line or the upstream: delivered in halves |
//! | everything else (3xx, 401, 403, 404, 407, 408, 409, 429, 5xx …), no answer, no connection, TLS, time-outs | again later |
//!
//! An expired token or a wrong path can be mended, so it must never cost a record.

use crate::Delivery;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::error::Error as _;
use std::time::Duration;

/// Most bytes of a reply that are read, for the reason.
const REPLY_BYTES_MAX: usize = 4 * 1024;

/// Reads the answer's meaning.
pub(super) async fn read(response: Response) -> Delivery {
    let status = response.status();
    let after = retry_after(response.headers());
    let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
    // Without its query, which may repeat a secret of ours.
    let location = location.and_then(|l| response.url().join(l).ok()).map(super::options::place);
    let text = beginning(response).await;
    if status.is_success() {
        return Delivery::Delivered;
    }
    let said = match text.as_str() {
        "" => String::new(),
        text => format!(": {text}"),
    };
    let reason = format!("HTTP {status}{said}");
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Delivery::Bisect { reason },
        StatusCode::PAYLOAD_TOO_LARGE => Delivery::Split { reason },
        _ => Delivery::Retry { reason: advise(status, reason, location), after },
    }
}

/// What a person can do about it.
fn advise(status: StatusCode, reason: String, location: Option<String>) -> String {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => format!("{reason}. Check the bearer token"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => format!("{reason}. Check url and method"),
        status if status.is_redirection() => {
            let to = location.unwrap_or_else(|| "somewhere else".into());
            format!("{reason}. It redirects to {to}, which is not followed: check url")
        }
        _ => reason,
    }
}

/// The error with what lies beneath it; without the URL, which may hold a secret.
pub(super) fn sentence(error: &reqwest::Error) -> String {
    let kind = match error {
        e if e.is_timeout() => "the request ran out of time",
        e if e.is_connect() => "no connection",
        e if e.is_builder() => "it cannot be set up",
        _ => "the request failed",
    };
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    if causes.is_empty() { kind.into() } else { format!("{kind}: {}", causes.join(": ")) }
}

/// `Retry-After`: seconds, or a date, measured against the upstream's own `Date` since the gateway's clock may be off.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|v: &reqwest::header::HeaderValue| v.to_str().ok());
    let asked = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(asked).ok()?;
    let now = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

/// The beginning of the body on one line; a body that breaks off ends there.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < REPLY_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(REPLY_BYTES_MAX - bytes.len())]),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_upstreams_clock() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        let date = ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT");
        let sent = ("date", "Wed, 21 Oct 2015 07:27:30 GMT");
        assert_eq!(retry_after(&headers(&[date, sent])), Some(Duration::from_secs(30)));
        assert_eq!(
            retry_after(&headers(&[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), sent])),
            Some(Duration::ZERO)
        );
        for unusable in [&headers(&[date]), &headers(&[]), &headers(&[("retry-after", "soon"), sent])] {
            assert_eq!(retry_after(unusable), None);
        }
    }
}
