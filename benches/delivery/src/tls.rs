//! TLS of receivers that are far: one certificate for all their names, and what a client needs for them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use hookwire::transport::Resolve;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tower_service::Service;

use crate::Error;

/// Where the receiver speaks TLS, and the certificate to trust.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct TlsReceiver {
    pub(crate) port: u16,
    pub(crate) pem: String,
}

/// The name of the receiver with this number.
pub(crate) fn name(number: usize) -> String {
    format!("host-{number}.receivers.example")
}

/// Makes a certificate for the names, and returns it with what accepts connections by it.
pub(crate) fn acceptor() -> Result<(String, TlsAcceptor), Error> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["*.receivers.example".to_owned()])?.self_signed(&key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    Ok((certificate.pem(), TlsAcceptor::from(Arc::new(config))))
}

/// A bare client's connector that trusts this certificate.
pub(crate) fn connector(pem: &str) -> Result<HttpsConnector<HttpConnector<Loopback>>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut http = HttpConnector::new_with_resolver(Loopback);
    http.set_nodelay(true);
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
    Ok(https.wrap_connector(http))
}

/// Finds every name on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loopback;

/// For the library.
#[async_trait]
impl Resolve for Loopback {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

/// For the floor, which takes the port from the URL.
impl Service<Name> for Loopback {
    type Response = std::iter::Once<SocketAddr>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        std::future::ready(Ok(std::iter::once((Ipv4Addr::LOCALHOST, 0).into())))
    }
}
