//! Who one is at a registry: from the environment, or as `docker login` left it. Never from the command line, which
//! everybody on the machine can read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde_json::Value;
use std::path::PathBuf;

/// What to do without a login.
pub(super) const REMEDY: &str = "set TIDEGATE_REGISTRY_USER and TIDEGATE_REGISTRY_PASSWORD, or `docker login` (without a \
                                 credential program)";
const USER: &str = "TIDEGATE_REGISTRY_USER";
const PASSWORD: &str = "TIDEGATE_REGISTRY_PASSWORD";

/// The login for a registry; nobody in particular where none is known.
pub(super) fn of(registry: &str) -> Result<RegistryAuth, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable(USER), variable(PASSWORD)) {
        (Some(user), Some(password)) => return Ok(RegistryAuth::Basic(user, password)),
        (None, None) => {}
        _ => return Err(format!("{USER} and {PASSWORD} go together: set both or neither")),
    }
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let Some(folder) = variable("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else {
        return Ok(RegistryAuth::Anonymous);
    };
    let file = folder.join("config.json");
    match std::fs::read_to_string(&file) {
        Ok(text) => kept(&text, registry).map_err(|why| format!("{}: {why}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// What such a file says of a registry.
fn kept(text: &str, registry: &str) -> Result<RegistryAuth, &'static str> {
    let config: Value = serde_json::from_str(text).map_err(|_| "is not JSON")?;
    let names = [registry.to_string(), format!("https://{registry}"), format!("https://{registry}/v1/")];
    let Some(auth) = names.iter().find_map(|name| config["auths"][name]["auth"].as_str()).filter(|a| !a.is_empty())
    else {
        return Ok(RegistryAuth::Anonymous);
    };
    let broken = "the login for this registry is not user:password in base64: `docker login` again";
    let login = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(broken)?;
    let (user, password) = login.split_once(':').ok_or(broken)?;
    Ok(RegistryAuth::Basic(user.into(), password.trim_end_matches('\0').into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_found_by_its_registry() {
        let text = r#"{"auths":{"example.com":{"auth":"b3BzOnM6ZWNyZXQ="},"https://old.example.com/v1/":{"auth":"YTpi"},
            "broken.example.com":{"auth":"?"},"helped.example.com":{}}}"#;
        let basic = |user: &str, password: &str| Ok(RegistryAuth::Basic(user.into(), password.into()));
        assert_eq!(kept(text, "example.com"), basic("ops", "s:ecret"));
        assert_eq!(kept(text, "old.example.com"), basic("a", "b"));
        for none in ["other.example.com", "helped.example.com"] {
            assert_eq!(kept(text, none), Ok(RegistryAuth::Anonymous), "{none}");
        }
        assert!(kept(text, "broken.example.com").is_err_and(|why| why.contains("`docker login` again")));
        assert_eq!(kept("{", "example.com"), Err("is not JSON"));
    }
}
