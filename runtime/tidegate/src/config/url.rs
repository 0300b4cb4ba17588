//! What every URL in the configuration must be.

use super::section::Section;

/// Notes what is wrong with a URL: its scheme, its host, or credentials in it. Empty texts are somebody else's problem.
///
/// The URL itself is not repeated: it may hold a secret.
pub(super) fn check(section: &Section<'_>, key: &str, text: &str, schemes: &[&str]) {
    if text.is_empty() {
        return;
    }
    let listed = || schemes.iter().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(" or ");
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => return section.problem(key, format!("is no URL ({error}): it begins with {}", listed())),
    };
    if !schemes.contains(&url.scheme()) {
        section.problem(key, format!("begins with {}://, expected {}", url.scheme(), listed()));
    } else if url.host_str().is_none_or(str::is_empty) {
        section.problem(key, "names no host");
    } else if !url.username().is_empty() || url.password().is_some() {
        section.problem(key, "holds credentials: they have options of their own");
    } else if url.port() == Some(0) {
        section.problem(key, "port 0 cannot be reached");
    }
}

/// Host and port, for comparing where two URLs lead.
pub(super) fn place(text: &str) -> Option<(String, u16)> {
    let url = url::Url::parse(text).ok()?;
    let port = url.port_or_known_default().or(match url.scheme() {
        "mqtt" => Some(1883),
        "mqtts" => Some(8883),
        _ => None,
    })?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    Some((if host == "localhost" { "127.0.0.1".into() } else { host.to_lowercase() }, port))
}
