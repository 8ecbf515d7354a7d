//! Certificates of authorities that are made for one test.

use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::date_time_ymd;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What the server's certificate is good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Good {
    /// For this server, today.
    Yes,
    /// For another name.
    Elsewhere,
    /// For a year that is over.
    Once,
}

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut wanted = CertificateParams::default();
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        wanted.distinguished_name.push(DnType::CommonName, name);
        let pem = wanted.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(wanted, key), pem }
    }

    /// Its certificate, as a file of authorities holds it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns what a server needs that shows a certificate of this authority.
    pub(crate) fn server(&self, good: Good) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let names = match good {
            Good::Elsewhere => vec!["misp.elsewhere.example".to_owned()],
            Good::Yes | Good::Once => vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        };
        let mut wanted = CertificateParams::new(names).expect("names");
        wanted.use_authority_key_identifier_extension = true;
        wanted.distinguished_name.push(DnType::CommonName, "a stand-in MISP");
        if good == Good::Once {
            wanted.not_before = date_time_ymd(2020, 1, 1);
            wanted.not_after = date_time_ymd(2020, 12, 31);
        }
        let shown = wanted.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![shown.der().clone()], key)
            .expect("a key that fits");
        Arc::new(config)
    }
}
