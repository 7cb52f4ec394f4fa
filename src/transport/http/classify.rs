//! The kind of failure of each error of the HTTP client and its connector.

use std::error::Error;
use std::io;
use std::iter;

use rustls::{AlertDescription, CertificateError, Error as TlsError, PeerIncompatible};

use super::verifier::IncompleteChain;
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// Converts an error of the HTTP client. An error of the connector inside it is returned as it is.
pub(super) fn classify_client_error(error: impl Error + Send + Sync + 'static) -> TransportError {
    if let Some(ours) = find(&error, |cause| cause.downcast_ref::<TransportError>()) {
        return ours.clone();
    }
    // With TLS 1.3 a receiver's alert can arrive after the handshake, as an I/O error around it.
    let kind = tls_error(&error).map_or(FailureKind::Protocol, tls_kind);
    TransportError::new(kind, error)
}

/// Returns the kind of the TLS error among the causes of an I/O error.
pub(super) fn kind_of_tls(error: &io::Error) -> Option<FailureKind> {
    tls_error(error).map(tls_kind)
}

/// Converts an error of the connector. Every error that is not a `TransportError` comes from TLS, in whose handshake
/// the receiver may have asked for a client certificate.
pub(super) fn classify_connect_error(
    error: Box<dyn Error + Send + Sync>,
    certificate_asked: bool,
) -> TransportError {
    match error.downcast::<TransportError>() {
        Ok(ours) => *ours,
        Err(of_tls) => {
            let kind = match tls_error(&*of_tls) {
                Some(error) if certificate_asked && refuses_without_certificate(error) => {
                    FailureKind::TlsClientCertificate
                }
                Some(error) => tls_kind(error),
                None => FailureKind::Tls,
            };
            TransportError::new(kind, of_tls)
        }
    }
}

/// Finds the TLS error among the causes.
fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    find(error, |cause| cause.downcast_ref::<TlsError>())
}

/// Finds the first wanted error among `error` and its causes.
fn find<'e, T>(
    error: &'e (dyn Error + 'static),
    wanted: impl Fn(&'e (dyn Error + 'static)) -> Option<&'e T>,
) -> Option<&'e T> {
    iter::successors(Some(error), |&error| cause(error)).find_map(wanted)
}

/// Returns the next cause. `source` of an I/O error skips the error that it wraps.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// Tells whether this is how a receiver that asked for a certificate refuses an empty answer. TLS 1.2 has no alert
/// for it alone.
fn refuses_without_certificate(error: &TlsError) -> bool {
    matches!(
        error,
        TlsError::AlertReceived(AlertDescription::BadCertificate | AlertDescription::HandshakeFailure)
    )
}

fn tls_kind(error: &TlsError) -> FailureKind {
    match error {
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => FailureKind::TlsClientCertificate,
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
        // The signature is bad if an issuer has the name of a trusted one and another key.
        Of::BadSignature | Of::UnknownIssuer => FailureKind::TlsUntrusted,
        // A self-signed certificate as openssl makes it: a CA certificate used by a server.
        Of::Other(other) if other.0.is::<IncompleteChain>() => FailureKind::TlsIncompleteChain,
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
        assert_eq!(classify_client_error(OfClient(refused)).detail(), "address refused: 10.0.0.1");
    }

    #[test]
    fn what_nobody_else_claims_is_a_protocol_failure_and_below_http_a_tls_failure() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(classify_client_error(reset()).kind(), FailureKind::Protocol);
        assert_eq!(classify_connect_error(reset().into(), true).kind(), FailureKind::Tls);
    }

    #[test]
    fn an_alert_after_the_handshake_is_a_tls_failure() {
        let alert = TlsError::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(
            classify_client_error(io::Error::new(io::ErrorKind::InvalidData, alert)).kind(),
            FailureKind::TlsClientCertificate
        );
    }

    #[test]
    fn who_asked_for_a_certificate_and_then_refuses_wants_one() {
        let kind = |alert, asked| {
            let error = io::Error::other(TlsError::AlertReceived(alert));
            classify_connect_error(error.into(), asked).kind()
        };
        for alert in [AlertDescription::BadCertificate, AlertDescription::HandshakeFailure] {
            assert_eq!(kind(alert, true), FailureKind::TlsClientCertificate);
            assert_eq!(kind(alert, false), FailureKind::Tls);
        }
        assert_eq!(kind(AlertDescription::CertificateRequired, false), FailureKind::TlsClientCertificate);
        assert_eq!(kind(AlertDescription::InternalError, true), FailureKind::Tls);
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
            assert_eq!(classify_connect_error(wrapped.into(), false).kind(), kind);
        }
    }
}
