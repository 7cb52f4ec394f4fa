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
    /// The text is neither a network nor an address.
    #[error("{0:?} is no network like 10.1.0.0/16")]
    Network(String),
    /// The text is not the URL of a proxy. The error does not repeat it, because it may hold a password.
    #[error("the proxy is no URL like http://user:password@proxy.example.com:3128: {0}")]
    Proxy(String),
    /// The roots of the system could not be loaded.
    #[error("no trusted roots: {0}")]
    Roots(String),
}
