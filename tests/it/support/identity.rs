use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A self-signed certificate and its key; whoever trusts [`pem`](Self::pem) trusts the server.
#[derive(Debug)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    pem: String,
}

impl Identity {
    /// Valid today, for these names and addresses.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self::signed(names, |_| ())
    }

    /// Valid once.
    pub(crate) fn expired(names: &[&str]) -> Self {
        Self::signed(names, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    fn signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.der().clone(), key: key.serialize_der(), pem: certificate.pem() }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The server's side of TLS, offering these protocols.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.certificate.clone()], key).expect("a pair");
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}
