//! Certificates and keys in PEM files.

use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject as _;
use rumqttc::tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// The certificates in the file that `option` names: at least one. The error is a sentence.
pub(crate) fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{option} {}: {error}", path.display()))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(format!("{option} {} holds no PEM certificate", path.display())),
        Err(error) => Err(format!("{option} {} is not PEM: {error}", path.display())),
    }
}

/// The private key in the file that `option` names. The error is a sentence.
pub(crate) fn key(option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{option} {}: {error}", path.display()))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| format!("{option} {} holds no PEM private key", path.display()))
}
