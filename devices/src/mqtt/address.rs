//! Where the broker is.

use crate::OptionsError;
use std::fmt;

/// Where the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Address {
    pub fn parse(url: &str) -> Result<Self, OptionsError> {
        let error = |problem: String| Err(OptionsError::new("url", problem));
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return error(format!("{url:?}: write mqtt://HOST[:PORT], or mqtts:// for TLS")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return error("credentials go into username and password, not into the url".into());
        }
        if rest.contains('/') {
            return error(format!("{url:?}: nothing comes behind the port; topics are an option of their own"));
        }
        // A colon inside of [::1] is none.
        let (host, port) = match rest.rfind(':').filter(|&at| !rest[at..].contains(']')) {
            Some(at) => match rest[at + 1..].parse() {
                Ok(port) if port > 0 => (&rest[..at], port),
                _ => return error(format!("{url:?}: the port is a number from 1 to 65535")),
            },
            None => (rest, if tls { 8883 } else { 1883 }),
        };
        if host.is_empty() {
            return error(format!("{url:?}: there is no host in it"));
        }
        Ok(Address { host: host.into(), port, tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let read = |url| Address::parse(url).map(|a| (a.host, a.port, a.tls)).map_err(|e| e.to_string());
        assert_eq!(read("mqtt://broker"), Ok(("broker".into(), 1883, false)));
        assert_eq!(read("mqtts://broker/"), Ok(("broker".into(), 8883, true)));
        assert_eq!(read("mqtt://[::1]:1884"), Ok(("[::1]".into(), 1884, false)));
        assert_eq!(read("mqtt://[::1]"), Ok(("[::1]".into(), 1883, false)));
        let error = |url| read(url).unwrap_err();
        assert_eq!(error("http://x"), "url: \"http://x\": write mqtt://HOST[:PORT], or mqtts:// for TLS");
        assert_eq!(error("mqtt://a:0"), "url: \"mqtt://a:0\": the port is a number from 1 to 65535");
        assert_eq!(error("mqtt://u:p@a"), "url: credentials go into username and password, not into the url");
        assert_eq!(error("mqtt://:1"), "url: \"mqtt://:1\": there is no host in it");
        assert!(error("mqtt://a/topic").contains("topics are an option"));
    }
}
