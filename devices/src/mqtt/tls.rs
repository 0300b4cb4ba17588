//! TLS towards the broker.

use super::Options;
use crate::pem;
use rumqttc::tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rumqttc::{TlsConfiguration, Transport};
use std::sync::Arc;

/// A TLS transport that trusts `ca_file`, or the system where there is none. The error is a sentence.
pub(super) fn transport(options: &Options) -> Result<Transport, String> {
    let mut roots = RootCertStore::empty();
    match &options.ca_file {
        Some(path) => {
            for certificate in pem::certificates("ca_file", path)? {
                roots.add(certificate).map_err(|error| format!("ca_file {}: {error}", path.display()))?;
            }
        }
        None => {
            // A certificate of the system's that cannot be read only matters when none is left.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this system has no trusted certificates: install ca-certificates or set ca_file".into());
            }
        }
    }
    // The provider is named because more than one may be linked, and rustls would refuse to choose.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config))))
}
