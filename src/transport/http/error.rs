//! [`BuildTransportError`]: why settings do not make an `HttpTransport`.

use thiserror::Error;

/// The error of settings that do not make an [`HttpTransport`](super::HttpTransport).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the transport has faults: {}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct BuildTransportError {
    /// Every fault; those of networks come first.
    pub faults: Vec<TransportFault>,
}

/// One fault of a transport's settings.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TransportFault {
    /// A trusted PEM text holds no certificate, or a broken one.
    #[error("a trusted PEM text has no usable certificate: {0}")]
    Certificate(String),
    /// The crypto provider that the host has installed cannot be used.
    #[error("the installed rustls::crypto::CryptoProvider cannot be used: {0}")]
    CryptoProvider(String),
    /// The text is neither a network nor an address.
    #[error("{0:?} is no network like 10.1.0.0/16")]
    Network(String),
    /// Neither of the features `aws-lc-rs` and `ring` is on, and the host has installed no crypto provider.
    #[error(
        "there is no crypto provider for TLS; turn on the feature aws-lc-rs or ring of hookwire, or call \
         install_default of a rustls::crypto::CryptoProvider before the transport is built"
    )]
    NoCryptoProvider,
    /// The text is not the URL of a proxy. The error does not repeat it, because it may hold a password.
    #[error("the proxy is no URL like http://user:password@proxy.example.com:3128: {0}")]
    Proxy(String),
    /// The roots of the system could not be loaded.
    #[error("no trusted roots: {0}")]
    Roots(String),
}
