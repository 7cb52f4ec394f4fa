//! [`TransportError`]: why a request got no response.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::error_chain::chain;
use crate::model::FailureKind;

/// The failure of a request that got no response.
///
/// `Display` shows the kind alone and may be shown to a tenant. [`detail`](Self::detail) adds the causes, which
/// may name internal addresses.
///
/// ```
/// use std::io;
///
/// use hookwire::model::FailureKind;
/// use hookwire::transport::TransportError;
///
/// let error = TransportError::new(FailureKind::Connect, io::Error::other("10.0.0.7 is down"));
/// assert_eq!(error.to_string(), "could not connect");
/// assert_eq!(error.detail(), "could not connect: 10.0.0.7 is down");
/// ```
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: FailureKind,
    // Shared, because the client gives a connector's error back by reference, inside its own error.
    source: Arc<dyn Error + Send + Sync>,
}

impl TransportError {
    /// Creates an error of this kind with its cause.
    pub fn new(kind: FailureKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Arc::from(source.into()) }
    }

    /// Returns the kind of failure.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the kind and all causes as one text, for the operator.
    pub fn detail(&self) -> String {
        chain(self)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_layer_speaks_once() {
        let inner = TransportError::new(FailureKind::Tls, "certificate expired");
        let outer = TransportError::new(FailureKind::Protocol, inner);
        assert_eq!(outer.to_string(), "connection broke off");
        assert_eq!(outer.detail(), "connection broke off: TLS failed: certificate expired");
    }
}
