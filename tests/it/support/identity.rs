//! Certificates for receivers under test.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ConfigBuilder, RootCertStore, ServerConfig, SupportedProtocolVersion, WantsVerifier,
};

/// A self-signed certificate and its key; whoever trusts [`pem`](Self::pem) trusts the server.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its certificate, and those of its issuers that are sent along.
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    params: CertificateParams,
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

    /// Valid in the next century.
    pub(crate) fn not_yet_valid(names: &[&str]) -> Self {
        Self::signed(names, |params| params.not_before = date_time_ymd(2100, 1, 1))
    }

    /// An authority that stands as a server itself, as `openssl req -x509` makes it.
    pub(crate) fn authority(names: &[&str]) -> Self {
        Self::signed(names, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, "An authority of ours");
        })
    }

    /// One that this authority issued. Whoever trusts the authority trusts it; its own PEM is of no use.
    pub(crate) fn issued_for(&self, names: &[&str]) -> Self {
        self.issue(named(names))
    }

    /// An authority that this one issued.
    pub(crate) fn intermediate(&self) -> Self {
        let mut params = named(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority in between");
        self.issue(params)
    }

    /// The same, sending along the certificate of its issuer.
    pub(crate) fn sending(mut self, issuer: &Self) -> Self {
        self.chain.extend(issuer.chain.iter().cloned());
        self
    }

    fn issue(&self, params: CertificateParams) -> Self {
        let issuer_key = KeyPair::try_from(self.key.as_slice()).expect("a key");
        let issuer = Issuer::from_params(&self.params, issuer_key);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        Self::of_parts(certificate, key, params)
    }

    fn signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (named(names), KeyPair::generate().expect("a key"));
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self::of_parts(certificate, key, params)
    }

    fn of_parts(certificate: Certificate, key: KeyPair, params: CertificateParams) -> Self {
        let (pem, key) = (certificate.pem(), key.serialize_der());
        Self { chain: vec![certificate.der().clone()], key, params, pem }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The server's side of TLS, offering these protocols.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let config = versions(&[&TLS12, &TLS13]).with_no_client_auth();
        let config = config.with_single_cert(self.chain.clone(), self.private_key()).expect("a pair");
        offering(config, protocols)
    }

    /// The same in one version of TLS, for clients alone that have a certificate of ours.
    pub(crate) fn demanding(
        &self,
        version: &'static SupportedProtocolVersion,
        protocols: &[&str],
    ) -> TlsAcceptor {
        let mut roots = RootCertStore::empty();
        roots.add(self.chain[0].clone()).expect("a certificate");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let config = versions(&[version]).with_client_cert_verifier(clients.build().expect("roots"));
        let config = config.with_single_cert(self.chain.clone(), self.private_key()).expect("a pair");
        offering(config, protocols)
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.clone()).expect("a key")
    }
}

fn versions(versions: &[&'static SupportedProtocolVersion]) -> ConfigBuilder<ServerConfig, WantsVerifier> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    builder.with_protocol_versions(versions).expect("versions")
}

fn offering(mut config: ServerConfig, protocols: &[&str]) -> TlsAcceptor {
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn named(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).expect("names")
}
