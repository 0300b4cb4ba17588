//! Where in which registry, as a person writes it.

use oci_client::Reference;
use std::fmt;
use std::net::IpAddr;

/// `REGISTRY/REPO:TAG` or `REGISTRY/REPO@sha256:DIGEST`.
#[derive(Debug, Clone)]
pub struct Place {
    reference: Reference,
    registry: String,
    plain: bool,
}

impl Place {
    /// Without TLS only on this machine, or where `insecure` says so.
    pub fn parse(text: &str, insecure: bool) -> Result<Place, String> {
        let form = || format!("{text:?} is no place in a registry: write REGISTRY/REPO:TAG or REGISTRY/REPO@sha256:…");
        let (registry, rest) = text.split_once('/').ok_or_else(form)?;
        // Without either, tools for images would take it for a name on the one registry they know.
        let is_registry = registry.contains(['.', ':']) || registry == "localhost";
        let says_which = rest.contains([':', '@']);
        let reference: Reference = text.parse().map_err(|_| form())?;
        if !is_registry || !says_which {
            return Err(form());
        }
        let plain = insecure || is_loopback(registry);
        Ok(Place { reference, registry: registry.into(), plain })
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The registry's host, and port where there is one.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// Whether it is spoken to without TLS.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// That it is a tag: a digest is what a push gives.
    pub(super) fn tagged(&self) -> Result<(), String> {
        match self.reference.digest() {
            Some(_) => Err(format!("{self}: a push is to a tag, and gives the digest: write REGISTRY/REPO:TAG")),
            None => Ok(()),
        }
    }

    /// The name of the file to be: `asked`, or the repository's last part. Never anything the registry says.
    pub(super) fn file_name(&self, asked: Option<&str>) -> Result<String, String> {
        let repository = self.reference.repository();
        let name = asked.unwrap_or_else(|| repository.rsplit('/').next().unwrap_or_default());
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
            return Ok(name.into());
        }
        Err(format!("{name:?} is no name for a plugin's file: give --name with 1 to 64 of a-z, 0-9, '_' and '-'"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(f)
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_left_out_on_this_machine_only() {
        let plain = |text: &str| Place::parse(text, false).map(|place| place.is_plain());
        for here in ["localhost/a:1", "localhost:5000/a:1", "127.0.0.1:5000/a/b:1", "127.1.2.3/a:1"] {
            assert_eq!(plain(here), Ok(true), "{here}");
        }
        for far in ["example.com/a:1", "localhost.example.com/a:1", "10.0.0.1:5000/a:1", "127.0.0.1.example.com/a:1"] {
            assert_eq!(plain(far), Ok(false), "{far}");
        }
        assert_eq!(Place::parse("10.0.0.1:5000/a:1", true).map(|place| place.is_plain()), Ok(true));
    }

    #[test]
    fn a_place_says_registry_repository_and_which() {
        for text in
            ["warm:1", "plugins/warm:1", "example.com/warm", "example.com/", "", "example.com/a b:1", "x/../y:1"]
        {
            let refused = Place::parse(text, false).expect_err(text);
            assert!(refused.ends_with("write REGISTRY/REPO:TAG or REGISTRY/REPO@sha256:…"), "{refused}");
        }
    }

    #[test]
    fn a_files_name_is_plain() {
        let name = |text: &str, asked: Option<&str>| Place::parse(text, false).and_then(|place| place.file_name(asked));
        assert_eq!(name("example.com/plant/warm:1", None).as_deref(), Ok("warm"));
        assert_eq!(name("example.com/plant/warm:1", Some("hot_2")).as_deref(), Ok("hot_2"));
        for bad in ["../warm", "a/b", "Warm", "", ".", "a.b", &"a".repeat(65)] {
            assert!(name("example.com/plant/warm:1", Some(bad)).is_err(), "{bad}");
        }
        assert!(name("example.com/plant/warm.v2:1", None).is_err_and(|error| error.contains("give --name")));
    }
}
