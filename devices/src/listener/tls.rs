//! TLS towards devices.

use super::Options;
use crate::pem;
use rumqttc::tokio_rustls::TlsAcceptor;
use rumqttc::tokio_rustls::rustls::server::WebPkiClientVerifier;
use rumqttc::tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};
use std::sync::Arc;

/// What TLS needs, where it is spoken. The error is a sentence.
pub(super) fn acceptor(options: &Options) -> Result<Option<TlsAcceptor>, String> {
    let (Some(cert_file), Some(key_file)) = (&options.cert_file, &options.key_file) else { return Ok(None) };
    // The provider is named because more than one may be linked, and rustls would refuse to choose.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let builder = match &options.client_ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem::certificates("client_ca_file", path)? {
                roots.add(certificate).map_err(|error| format!("client_ca_file {}: {error}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier = verifier.map_err(|error| format!("client_ca_file {}: {error}", path.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let (certificates, key) = (pem::certificates("cert_file", cert_file)?, pem::key("key_file", key_file)?);
    let config = builder.with_single_cert(certificates, key);
    let config = config.map_err(|error| format!("cert_file {}: {error}", cert_file.display()))?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
