use std::error::Error;
use std::io;
use std::iter;

use super::super::TransportError;
use crate::model::FailureKind;

/// What an error of the HTTP client means: the connector's own verdict if there is one.
pub(super) fn failure(error: impl Error + Send + Sync + 'static) -> TransportError {
    let causes = || iter::successors(Some(&error as &(dyn Error + 'static)), |&error| error.source());
    if let Some(of_connector) = causes().find_map(|cause| cause.downcast_ref::<TransportError>()) {
        return of_connector.clone();
    }
    let kind = if causes().any(is_tls) { FailureKind::Tls } else { FailureKind::Protocol };
    TransportError::new(kind, error)
}

/// With TLS 1.3 a receiver's alert can arrive after the handshake, as an I/O error around it. `source`
/// steps over what an I/O error wraps, so it has to be looked into.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.is_some_and(|inner| inner.is::<rustls::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error")]
    struct OfClient(#[source] TransportError);

    #[test]
    fn the_connectors_verdict_is_found_inside_the_clients_error() {
        let refused = TransportError::new(FailureKind::Refused, "10.0.0.1");
        assert_eq!(failure(OfClient(refused)).detail(), "address refused: 10.0.0.1");
    }

    #[test]
    fn what_nobody_else_claims_is_a_protocol_failure() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(failure(reset).kind(), FailureKind::Protocol);
    }

    #[test]
    fn an_alert_after_the_handshake_is_a_tls_failure() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
        assert_eq!(failure(io::Error::new(io::ErrorKind::InvalidData, alert)).kind(), FailureKind::Tls);
    }
}
