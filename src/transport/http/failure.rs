use std::error::Error;
use std::io;
use std::iter;

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};

use super::super::TransportError;
use crate::model::FailureKind;

/// What an error of the HTTP client means: the connector's own verdict if there is one.
pub(super) fn failure(error: impl Error + Send + Sync + 'static) -> TransportError {
    if let Some(of_connector) = find(&error, |cause| cause.downcast_ref::<TransportError>()) {
        return of_connector.clone();
    }
    // With TLS 1.3 a receiver's alert can arrive after the handshake, as an I/O error around it.
    let kind = tls_error(&error).map_or(FailureKind::Protocol, tls_kind);
    TransportError::new(kind, error)
}

/// What an error of the connector means: what is not the gate's own went wrong above it, in TLS.
pub(super) fn gate_or_tls(error: Box<dyn Error + Send + Sync>) -> TransportError {
    match error.downcast::<TransportError>() {
        Ok(of_gate) => *of_gate,
        Err(of_tls) => {
            let kind = tls_error(&*of_tls).map_or(FailureKind::Tls, tls_kind);
            TransportError::new(kind, of_tls)
        }
    }
}

fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    find(error, |cause| cause.downcast_ref::<TlsError>())
}

/// The first that is wanted among the error and its causes.
fn find<'e, T>(
    error: &'e (dyn Error + 'static),
    wanted: impl Fn(&'e (dyn Error + 'static)) -> Option<&'e T>,
) -> Option<&'e T> {
    iter::successors(Some(error), |&error| cause(error)).find_map(wanted)
}

/// `source` steps over what an I/O error wraps, so it is looked into.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn tls_kind(error: &TlsError) -> FailureKind {
    match error {
        TlsError::AlertReceived(AlertDescription::ProtocolVersion)
        | TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            FailureKind::TlsTooOld
        }
        TlsError::InvalidCertificate(error) => certificate_kind(error),
        _ => FailureKind::Tls,
    }
}

fn certificate_kind(error: &CertificateError) -> FailureKind {
    use CertificateError as Of;
    match error {
        Of::Expired | Of::ExpiredContext { .. } => FailureKind::TlsExpired,
        Of::NotValidYet | Of::NotValidYetContext { .. } => FailureKind::TlsNotYetValid,
        Of::NotValidForName | Of::NotValidForNameContext { .. } => FailureKind::TlsWrongHost,
        // The signature is bad where an issuer has the name of a trusted one, and another key.
        Of::BadSignature | Of::UnknownIssuer => FailureKind::TlsUntrusted,
        // A self-signed certificate as openssl makes it: an authority that stands as a server.
        Of::Other(other) => match other.0.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => FailureKind::TlsUntrusted,
            _ => FailureKind::Tls,
        },
        _ => FailureKind::Tls,
    }
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
    fn what_nobody_else_claims_is_a_protocol_failure_and_below_http_a_tls_failure() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(failure(reset()).kind(), FailureKind::Protocol);
        assert_eq!(gate_or_tls(reset().into()).kind(), FailureKind::Tls);
    }

    #[test]
    fn an_alert_after_the_handshake_is_a_tls_failure() {
        let alert = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(failure(io::Error::new(io::ErrorKind::InvalidData, alert)).kind(), FailureKind::Tls);
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_however_deep_it_lies() {
        for (error, kind) in [
            (CertificateError::Expired, FailureKind::TlsExpired),
            (CertificateError::NotValidYet, FailureKind::TlsNotYetValid),
            (CertificateError::NotValidForName, FailureKind::TlsWrongHost),
            (CertificateError::UnknownIssuer, FailureKind::TlsUntrusted),
            (CertificateError::Revoked, FailureKind::Tls),
        ] {
            let wrapped = io::Error::other(io::Error::other(TlsError::InvalidCertificate(error)));
            assert_eq!(gate_or_tls(wrapped.into()).kind(), kind);
        }
    }
}
