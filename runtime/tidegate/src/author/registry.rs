//! Plugins in an OCI registry: one component is one artifact, in the form of the CNCF's guidance for WebAssembly.
//!
//! What comes is not believed: it is no longer than a plugin may be, its digest is that of the manifest (which is the
//! pinned one where one was named), it is signed by who is trusted where keys are given, and its file's name is ours to
//! choose. Only then does it take its place, all of it or nothing. No gateway fetches by itself: pulling is a command.

mod login;
mod place;

pub use place::Place;

use super::place::place as put;
use futures::FutureExt as _;
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OciDescriptor, OciImageManifest, OciManifest};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tidegate_record::{Clock as _, SystemClock, rfc3339};
use tidegate_sandbox::{KeyId, PACKAGE, Plugin, Trust};
use tokio::io::AsyncWrite;

/// The media types of the guidance.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const LAYER: &str = "application/wasm";
/// First bytes of a component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
/// How long a registry may be silent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(600);

/// What is pulled, and what it has to be.
#[derive(Debug)]
pub struct PullOptions {
    /// The folder it goes to.
    pub dir: PathBuf,
    /// Its name there, without `.wasm`; `None`: the repository's last part.
    pub name: Option<String>,
    /// Whose plugins are taken.
    pub trust: Trust,
    /// Largest plugin taken.
    pub bytes_max: usize,
}

/// A plugin that came.
#[derive(Debug)]
pub struct Pulled {
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// Digest of the manifest: what pins it.
    pub digest: String,
    /// Who of the trusted signed it.
    pub signer: Option<KeyId>,
}

/// Puts a plugin into a registry; gives the digest that pins it.
pub async fn push(file: &Path, to: &Place) -> Result<String, String> {
    to.tagged()?;
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    if !bytes.starts_with(COMPONENT) {
        return Err(format!(
            "{}: is no component: build it, or have `tidegate plugin sign` make one of a .wat",
            file.display()
        ));
    }
    let plugin = super::load(file, &super::limits())?;
    let layer = ImageLayer::new(bytes, LAYER.into(), None);
    let config = Config::new(about(&plugin, &layer.sha256_digest()).into_bytes(), CONFIG.into(), None);
    let manifest = OciImageManifest::build(std::slice::from_ref(&layer), &config, Some(annotations(&plugin)));
    let auth = login::of(to.registry())?;
    let client = client(to);
    let layers = [layer];
    let pushed = client.push(to.reference(), &layers, config, &auth, Some(manifest));
    pushed.await.map_err(|error| told(&error, to))?;
    let digest = client.fetch_manifest_digest(to.reference(), &auth);
    digest.await.map_err(|error| told(&error, to))
}

/// Takes a plugin out of a registry. Where it is refused, nothing has changed.
pub async fn pull(from: &Place, options: &PullOptions) -> Result<Pulled, String> {
    let name = from.file_name(options.name.as_deref())?;
    if !options.dir.is_dir() {
        return Err(format!("{}: there is no such folder to put it into", options.dir.display()));
    }
    let auth = login::of(from.registry())?;
    let client = client(from);
    let (manifest, digest) = client.pull_manifest(from.reference(), &auth).await.map_err(|error| told(&error, from))?;
    let layer = the_layer(&manifest).map_err(|why| format!("{from}: {why}"))?;
    let max = options.bytes_max;
    let too_large = || format!("{from}: is larger than {max} bytes; raise plugins.module_bytes if it may be");
    if usize::try_from(layer.size).map_or(true, |size| size > max) {
        return Err(too_large());
    }
    let mut taken = Bounded { bytes: Vec::new(), max };
    let came = client.pull_blob(from.reference(), layer, &mut taken).await;
    came.map_err(|error| match error {
        OciDistributionError::IoError(_) => too_large(),
        error => told(&error, from),
    })?;
    let bytes = taken.bytes;
    if !bytes.starts_with(COMPONENT) {
        return Err(format!("{from}: what is there is no WebAssembly component"));
    }
    let signer = options.trust.judge(&bytes).map_err(|problem| format!("{from}: {problem}"))?;
    let file = options.dir.join(format!("{name}.wasm"));
    put(&file, &bytes)?;
    Ok(Pulled { file, bytes: bytes.len(), digest, signer })
}

/// Ends what takes longer than anything here may.
pub async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(TIME_MAX, work)
        .map(|done| done.unwrap_or_else(|_| Err(format!("the registry took longer than {TIME_MAX:?}"))))
        .await
}

fn client(place: &Place) -> Client {
    let protocol = if place.is_plain() { ClientProtocol::Http } else { ClientProtocol::Https };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(CONNECT_TIMEOUT),
        read_timeout: Some(READ_TIMEOUT),
        // A list of images by platform is no plugin.
        platform_resolver: None,
        user_agent: concat!("tidegate/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

/// The one component of an artifact. The error says what it is instead.
fn the_layer(manifest: &OciManifest) -> Result<&OciDescriptor, String> {
    let OciManifest::Image(manifest) = manifest else {
        return Err("is a list of images, not a plugin".into());
    };
    if manifest.config.media_type != CONFIG {
        return Err(format!("is no plugin: its config is {:?}, not {CONFIG:?}", manifest.config.media_type));
    }
    match &manifest.layers[..] {
        [layer] if layer.media_type == LAYER && layer.digest.starts_with("sha256:") => Ok(layer),
        layers => {
            let types: Vec<&str> = layers.iter().map(|layer| layer.media_type.as_str()).collect();
            Err(format!("is no plugin: its layers are {types:?}, not one of {LAYER:?} with a SHA-256"))
        }
    }
}

/// The config: what tools see without fetching the component.
fn about(plugin: &Plugin, layer: &str) -> String {
    let (package, version) = PACKAGE.split_once('@').unwrap_or((PACKAGE, ""));
    let named = |interface: &str| format!("{package}/{interface}@{version}");
    let mut exports = vec![named("plugin"), named(plugin.kind().word())];
    exports.extend(plugin.has_state().then(|| named("state")));
    let imports: Vec<String> = plugin.imports().iter().map(|grant| named(grant.word())).collect();
    json!({
        "created": rfc3339(SystemClock::default().wall().micros),
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer],
        "component": { "exports": exports, "imports": imports },
    })
    .to_string()
}

fn annotations(plugin: &Plugin) -> BTreeMap<String, String> {
    let about = plugin.about();
    [("title", &about.name), ("version", &about.version), ("description", &about.summary)]
        .into_iter()
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.clone()))
        .collect()
}

/// Bytes, no more of them than there may be.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, some: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() + some.len() > self.max {
            return Poll::Ready(Err(io::Error::other("more than there may be")));
        }
        self.bytes.extend_from_slice(some);
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What went wrong, and what to do about it.
fn told(error: &OciDistributionError, place: &Place) -> String {
    let registry = place.registry();
    let login = || format!("registry {registry} wants another login: {}", login::REMEDY);
    match error {
        OciDistributionError::RequestError(error) if error.is_connect() => {
            let plain = if place.is_plain() { "" } else { " (a registry without TLS: --insecure)" };
            format!("registry {registry} cannot be reached: {}{plain}", innermost(error))
        }
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => login(),
        OciDistributionError::DigestError(error) => {
            format!("{place}: what came is not what its digest says, and was not kept: {error}")
        }
        OciDistributionError::ImageManifestNotFoundError(_) => format!("{place}: is not there"),
        OciDistributionError::RegistryError { envelope, .. } => {
            let has = |codes: &[OciErrorCode]| envelope.errors.iter().any(|error| codes.contains(&error.code));
            if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
                format!("{place}: registry {registry} has no such plugin or tag")
            } else if has(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
                login()
            } else {
                format!("{place}: {envelope}")
            }
        }
        error => format!("{place}: {error}"),
    }
}

/// The end of the chain of causes says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
