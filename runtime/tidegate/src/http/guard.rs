//! What every request passes: whose name it asks for, and what every answer carries; and what those pass that change the
//! store.

use super::{Shared, refusal};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::SocketAddr;
use subtle::ConstantTimeEq as _;
use tidegate_sinks::Secret;

/// The names this machine may be asked by.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses a `Host` of another machine: a page whose name was made to point here could read everything otherwise.
pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let mut response = if host.is_some_and(|host| is_local(host, shared.address)) {
        next.run(request).await
    } else {
        refusal(
            StatusCode::FORBIDDEN,
            "ask for localhost, 127.0.0.1, [::1] or the address in control.listen: this Host is refused",
        )
    };
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Who may change the store.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// What they must bring.
    pub token: Option<Secret>,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Refuses who may not change the store.
pub(super) async fn may_change(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match turned_away(&shared.access, &request) {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}

/// The answer to whoever does not bring the token, where there is one, or is not on this machine, where there is none; and
/// to web pages, whose browser says where they are from.
fn turned_away(access: &Access, request: &Request) -> Option<Response> {
    let text = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    if is_a_page(request) {
        let reason = "this changes the store, and comes from a web page of another place (Origin): it is refused";
        return Some(refusal(StatusCode::FORBIDDEN, reason));
    }
    match &access.token {
        Some(token) => {
            if let Err(reason) = bears(text(header::AUTHORIZATION), token) {
                let mut response = refusal(StatusCode::UNAUTHORIZED, reason);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                return Some(response);
            }
        }
        None => {
            let peer = request.extensions().get::<Peer>();
            if !peer.is_some_and(|Peer(address)| address.ip().is_loopback()) {
                let reason = "this changes the store, and without a token is taken from this machine only: set \
                              control.token_file";
                return Some(refusal(StatusCode::FORBIDDEN, reason));
            }
        }
    }
    None
}

/// Refuses web pages: while a store is copied or checked nothing is deleted.
pub(super) async fn no_page(request: Request, next: Next) -> Response {
    if is_a_page(&request) {
        let reason = "this keeps the store from deleting, and comes from a web page of another place: it is refused";
        return refusal(StatusCode::FORBIDDEN, reason);
    }
    next.run(request).await
}

/// Whether a request comes from a web page of another place, by what its browser says.
fn is_a_page(request: &Request) -> bool {
    let text = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let site = text(HeaderName::from_static("sec-fetch-site"));
    !is_own(text(header::ORIGIN), text(header::HOST))
        || site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

/// Whether a request is from no web page, or from one that this very address gave.
fn is_own(origin: Option<&[u8]>, host: Option<&[u8]>) -> bool {
    origin.is_none_or(|origin| host.is_some_and(|host| origin.strip_prefix(b"http://") == Some(host)))
}

/// An error where a request does not bring the token.
fn bears(authorization: Option<&[u8]>, token: &Secret) -> Result<(), &'static str> {
    let brought = authorization.and_then(|value| value.split_at_checked(b"Bearer ".len()));
    let Some((_, brought)) = brought.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer ")) else {
        return Err(
            "this changes the store and needs the token that is in the gateway's control.token_file: send it as \
                    Authorization: Bearer (with --config, `tidegate store` does)",
        );
    };
    if bool::from(brought.ct_eq(token.reveal().as_bytes())) {
        return Ok(());
    }
    Err("this is not the token that was in control.token_file when the gateway started")
}

/// Whether a `Host` header names this machine, on any port, or the address that was listened on.
fn is_local(host: &str, address: Option<SocketAddr>) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let own = address.and_then(|address| Some(address.to_string().rsplit_once(':')?.0 == name));
    own == Some(true) || HOSTS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::{bears, is_local, is_own};
    use tidegate_sinks::Secret;

    #[test]
    fn a_page_of_another_place_is_told_by_its_origin() {
        let own = |origin: Option<&str>, host: Option<&str>| is_own(origin.map(str::as_bytes), host.map(str::as_bytes));
        assert!(own(None, Some("localhost:9780")) && own(Some("http://localhost:9780"), Some("localhost:9780")));
        for origin in
            ["null", "", "http://localhost", "https://localhost:9780", "http://localhost:3000", "http://evil.example"]
        {
            assert!(!own(Some(origin), Some("localhost:9780")), "{origin}");
        }
        assert!(!own(Some("http://localhost"), None));
    }

    #[test]
    fn only_the_very_token_is_taken() {
        let token = Secret::from("0123456789abcdef".to_string());
        let said = |value: &str| bears(Some(value.as_bytes()), &token);
        assert_eq!((said("Bearer 0123456789abcdef"), said("bearer 0123456789abcdef")), (Ok(()), Ok(())));
        for value in ["", "Bearer", "Bearer ", "Basic 0123456789abcdef", "0123456789abcdef"] {
            assert!(said(value).is_err(), "{value}");
        }
        for value in ["Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0", "Bearer 0123456789abcde"] {
            assert!(said(value).is_err_and(|reason| reason.contains("not the token")), "{value}");
        }
        assert!(bears(None, &token).is_err_and(|reason| reason.contains("control.token_file")));
    }

    #[test]
    fn only_names_of_this_machine_pass() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9780", "127.0.0.1", "[::1]", "[::1]:80"] {
            assert!(is_local(host, None), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "::1",
            "localhost:x",
            "127.0.0.2",
        ];
        for host in others {
            assert!(!is_local(host, None), "{host}");
        }
        let listened = "127.0.0.2:9780".parse().ok();
        assert!(is_local("127.0.0.2:9780", listened) && is_local("127.0.0.2", listened));
        assert!(!is_local("127.0.0.3:9780", listened));
    }
}
