//! TLS for connections to PostgreSQL: roots, the client's certificate, and the handshake.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::client::WantsClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

use crate::connection::dial_error::HandshakeError;
use crate::connection::error::ConnectError;
use crate::connection::url::{IdentityFiles, Roots};
use crate::connection::verify::{AnyCertificate, AnyHost, by_roots};

/// The TLS settings of connections. The provider is passed explicitly, because a host may have another one as its
/// default.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    has_begun: Arc<AtomicBool>,
}

/// TLS for a connection to one host.
pub(crate) struct ToHost {
    tls: Tls,
    host: ServerName<'static>,
}

/// What is asked of a server's certificate.
pub(crate) enum Trust<'a> {
    /// A certificate of these roots, for any host.
    AnyHost(&'a Roots),
    /// Nothing.
    Anything,
    /// A certificate of these roots, for the host.
    Host(&'a Roots),
}

/// An encrypted connection.
pub(crate) struct Encrypted<S>(client::TlsStream<S>);

impl Tls {
    /// Reads the files that are named. `extra` are PEM texts with further roots.
    pub(crate) fn new(
        trust: &Trust<'_>,
        extra: &[Vec<u8>],
        identity: Option<&IdentityFiles>,
    ) -> Result<Self, ConnectError> {
        let provider = provider()?;
        let verifier = verifier(trust, extra, &provider)?;
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| ConnectError::Tls(error.into()))?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier);
        let config = match identity {
            Some(files) => identified(config, files)?,
            None => config.with_no_client_auth(),
        };
        Ok(Self { config: Arc::new(config), has_begun: Arc::default() })
    }

    /// The same settings for one connection, which tells whether its handshake [has begun](Self::has_begun).
    pub(crate) fn for_one_connection(&self) -> Self {
        Self { config: Arc::clone(&self.config), has_begun: Arc::default() }
    }

    /// Whether the server has agreed to TLS, so that the handshake began.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }
}

impl<S> MakeTlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type TlsConnect = ToHost;
    type Error = HandshakeError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ToHost, HandshakeError> {
        let host = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(ToHost { tls: self.clone(), host })
    }
}

impl<S> TlsConnect<S> for ToHost
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Encrypted<S>;
    type Error = HandshakeError;
    type Future = Pin<Box<dyn Future<Output = Result<Encrypted<S>, HandshakeError>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        self.tls.has_begun.store(true, Ordering::Relaxed);
        let connecting = TlsConnector::from(self.tls.config).connect(self.host, stream);
        Box::pin(async move { Ok(Encrypted(connecting.await?)) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The provider of the feature `aws-lc-rs`, which wins over `ring`, as in `hookwire`.
#[cfg(feature = "aws-lc-rs")]
fn provider() -> Result<Arc<CryptoProvider>, ConnectError> {
    Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// The provider of the feature `ring`.
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
fn provider() -> Result<Arc<CryptoProvider>, ConnectError> {
    Ok(Arc::new(rustls::crypto::ring::default_provider()))
}

/// The provider that the host has installed for its process.
#[cfg(not(any(feature = "aws-lc-rs", feature = "ring")))]
fn provider() -> Result<Arc<CryptoProvider>, ConnectError> {
    CryptoProvider::get_default().cloned().ok_or(ConnectError::NoCryptoProvider)
}

fn verifier(
    trust: &Trust<'_>,
    extra: &[Vec<u8>],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectError> {
    let mut roots = Vec::new();
    for pem in extra {
        roots.extend(certificates("trust_pem", pem)?);
    }
    let provider = Arc::clone(provider);
    match trust {
        Trust::Anything => Ok(Arc::new(AnyCertificate(provider))),
        Trust::AnyHost(Roots::System) if roots.is_empty() => Err(ConnectError::Parameter {
            name: "sslmode".to_owned(),
            rule: "is to be verify-full, or the authority named by sslrootcert or PostgresOptions::trust_pem: \
                with the roots of the platform verify-ca would trust everybody's certificate",
        }),
        Trust::AnyHost(from) => Ok(Arc::new(AnyHost(by_roots(with_file(roots, from)?, provider)?))),
        Trust::Host(Roots::System) => {
            let verifier = Verifier::new_with_extra_roots(roots, provider);
            Ok(Arc::new(verifier.map_err(|error| ConnectError::Tls(error.into()))?))
        }
        Trust::Host(from) => Ok(by_roots(with_file(roots, from)?, provider)?),
    }
}

/// Adds the certificates of the file, if there is one.
fn with_file(
    mut roots: Vec<CertificateDer<'static>>,
    from: &Roots,
) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    if let Roots::File(path) = from {
        roots.extend(certificates("sslrootcert", &read("sslrootcert", path)?)?);
    }
    Ok(roots)
}

fn identified(
    config: ConfigBuilder<ClientConfig, WantsClientCert>,
    files: &IdentityFiles,
) -> Result<ClientConfig, ConnectError> {
    let chain = certificates("sslcert", &read("sslcert", &files.certificate)?)?;
    let key = PrivateKeyDer::from_pem_slice(&read("sslkey", &files.key)?);
    let key = key.map_err(|error| unusable("sslkey", error))?;
    config.with_client_auth_cert(chain, key).map_err(|error| unusable("sslcert", error))
}

fn read(of: &'static str, path: &Path) -> Result<Vec<u8>, ConnectError> {
    fs::read(path).map_err(|error| unusable(of, error))
}

fn certificates(of: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = read.map_err(|error| unusable(of, error))?;
    if certificates.is_empty() {
        return Err(unusable(of, "it has no certificate"));
    }
    for certificate in &certificates {
        let added = RootCertStore::empty().add(certificate.clone());
        added.map_err(|error| unusable(of, error))?;
    }
    Ok(certificates)
}

fn unusable(of: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> ConnectError {
    ConnectError::Certificates { of, source: source.into() }
}
