//! A Kafka with a second listener that wants TLS and a password.

use crate::broker::{Broker, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidegate_sinks::Secret;

pub const PASSWORD: &str = "s3cret";

/// A node whose listener [`Secured::address`] is `SASL_SSL`.
pub struct Secured {
    pub broker: Broker,
    /// PEM of the certificate authority.
    pub authority: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Secured {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the test's authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the test's broker");
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let keystore = folder.path().join("broker.pem");
        std::fs::write(&keystore, format!("{}{}", key.serialize_pem(), certificate.pem())).unwrap();
        let port = free_port();
        let broker = Broker::start_with(|plain, controller| properties(plain, controller, port, &keystore));
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        std::fs::write(folder.path().join("wrong"), "wrong\n").unwrap();
        Secured { broker, authority, port, folder }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What a sink passes through; the password from a file.
    pub fn librdkafka(&self, password: &str, authority: &Path) -> Vec<(String, Secret)> {
        let file = self.folder.path().join(if password == PASSWORD { "password" } else { "wrong" });
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            ("security.protocol", "SASL_SSL".to_owned()),
            ("sasl.mechanism", "PLAIN".to_owned()),
            ("sasl.username", "gateway".to_owned()),
            ("sasl.password_file", text(&file)),
            ("ssl.ca.location", text(authority)),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into()
    }
}

/// Properties that replace those of the same names.
fn properties(plain: u16, controller: u16, secured: u16, keystore: &Path) -> String {
    let login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secured},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secured}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config={login} user_gateway=\"{PASSWORD}\";\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={}\n",
        keystore.display()
    )
}
