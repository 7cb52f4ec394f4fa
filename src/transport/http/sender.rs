//! [`Sender`]: sends a request on an open connection, and tells whether the receiver surely did not process it.

use std::error::Error;

use h2::Reason;
use http::header::HOST;
use http::uri::{Parts, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::call::RequestBody;
use super::classify::classify_client_error;
use super::connection::ConnectionState;
use super::h2_settings::NoStreams;
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The failure of a request that got no response head.
#[derive(Debug)]
pub(super) struct SendFailure {
    pub(super) error: TransportError,
    /// Whether nothing of the request was written, or the receiver said that it did not process it.
    pub(super) unprocessed: bool,
    /// Whether the connection was kept from an earlier request, and closed before this one was written.
    pub(super) was_stale: bool,
}

/// The sending half of an open connection.
#[derive(Debug)]
pub(super) enum Sender {
    /// With the `Host` header of its requests.
    Http1(http1::SendRequest<RequestBody>, HeaderValue),
    Http2(http2::SendRequest<RequestBody>),
}

impl Sender {
    /// Returns whether a request could be sent now.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender, _) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
    }

    /// Sends a request, and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
        state: &ConnectionState,
    ) -> Result<Response<Incoming>, SendFailure> {
        let written = state.written();
        let sent = match self {
            Self::Http1(sender, host) => sender.try_send_request(in_origin_form(request, host)).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.inspect(|_| state.record_answer()).map_err(|failed| failure(failed, state, written))
    }
}

fn failure(
    mut failed: TrySendError<Request<RequestBody>>,
    state: &ConnectionState,
    written: u64,
) -> SendFailure {
    if state.streams() == Some(0) {
        let error = TransportError::new(FailureKind::Protocol, NoStreams);
        return SendFailure { error, unprocessed: false, was_stale: false };
    }
    // hyper hands a request back that it did not begin to write.
    let unwritten = failed.take_message().is_some() || state.written() == written;
    let error = failed.into_error();
    let unprocessed = refused(&error) || (unwritten && !error.is_user());
    let error = match state.tls_failure() {
        Some(kind) => TransportError::new(kind, error),
        None => classify_client_error(error),
    };
    // A receiver whose TLS is at fault is so on the next connection too.
    let unprocessed = unprocessed && error.kind() == FailureKind::Protocol;
    SendFailure { error, unprocessed, was_stale: unprocessed && unwritten && state.is_kept() }
}

/// Returns whether the receiver said that it did not process the request: by RST_STREAM with REFUSED_STREAM, or by
/// a GOAWAY whose last stream is an earlier one. Of the streams up to the last one, h2 says nothing of a GOAWAY.
fn refused(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|it| {
        it.is_remote() && (it.is_go_away() || it.is_reset() && it.reason() == Some(Reason::REFUSED_STREAM))
    })
}

/// Takes the authority from the URI, in place of which HTTP/1.1 wants the `Host` header.
fn in_origin_form<B>(mut request: Request<B>, host: &HeaderValue) -> Request<B> {
    let mut parts = Parts::default();
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
    request
}

/// Returns the `Host` header of requests to a URI.
pub(super) fn host(uri: &Uri) -> Result<HeaderValue, TransportError> {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let host = match uri.port_u16().filter(|port| *port != default) {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
        None => HeaderValue::try_from(host),
    };
    host.map_err(|error| TransportError::new(FailureKind::Prepare, error))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn the_authority_becomes_the_host_and_the_path_stays() {
        for (uri, host, path) in [
            ("https://hooks.example.com", "hooks.example.com", "/"),
            ("https://hooks.example.com:443/hook?key=1", "hooks.example.com", "/hook?key=1"),
            ("https://hooks.example.com:80/", "hooks.example.com:80", "/"),
            ("http://127.0.0.1:80/a", "127.0.0.1", "/a"),
            ("http://[::1]:8080/", "[::1]:8080", "/"),
        ] {
            let request = Request::post(uri).body(Bytes::new()).expect("a request");
            let header = super::host(request.uri()).expect("a host");
            let request = in_origin_form(request, &header);
            assert_eq!(request.headers()[HOST], host, "{uri}");
            assert_eq!(request.uri().to_string(), path, "{uri}");
        }
    }
}
