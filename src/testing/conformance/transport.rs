//! The contract of [`Transport`] as test cases.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use tokio::time::timeout;

use crate::model::{CallbackUrl, FailureKind};
use crate::transport::{IncompleteBody, SendLimits, Transport};

/// A transport under test, and receivers that it can reach.
#[async_trait]
pub trait TransportFixture: Send + Sync {
    /// Returns the transport.
    fn transport(&self) -> Arc<dyn Transport>;

    /// Starts a receiver that answers each request with this status and, if the status allows one, a body of
    /// 100 bytes, and returns its URL. A redirect leads back to the receiver.
    async fn answering(&self, status: u16) -> CallbackUrl;

    /// Starts a receiver that reads a request and never answers, and returns its URL.
    async fn hanging(&self) -> CallbackUrl;

    /// Starts a receiver that answers each request with this status and the first 9 bytes of a body of 100, and then
    /// closes the connection, or keeps it open and sends no more, and returns its URL.
    async fn breaking_off(&self, status: u16, ends: BodyEnd) -> CallbackUrl;

    /// Returns how many requests the receivers got.
    fn received(&self) -> usize;
}

/// What a receiver does with the connection in the middle of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BodyEnd {
    /// It closes the connection.
    Closed,
    /// It keeps the connection open and sends nothing.
    Stalled,
}

fn post(url: &CallbackUrl) -> Request<Bytes> {
    Request::post(url.as_str()).body(Bytes::from_static(b"{}")).expect("a request")
}

/// Checks points 1, 2 and 4: one call is one request, any status is a response, and long bodies are cut.
///
/// # Panics
///
/// Panics if the transport breaks the contract.
pub async fn transport_answers(fixture: &dyn TransportFixture) {
    let transport = fixture.transport();
    let limits = SendLimits::default().with_body_bytes(10);
    for (n, status) in [200, 204, 302, 404, 410, 500, 503].into_iter().enumerate() {
        let url = fixture.answering(status).await;
        transport.check(&url).await.expect("a URL that is sent to may be dialled");
        assert_eq!(fixture.received(), n, "a check sends nothing");
        let response = transport.send(post(&url), &limits).await.expect("any status is an answer");
        assert_eq!(response.status().as_u16(), status);
        assert!(response.body().len() <= 10, "no more of the body is kept than asked for");
        assert!(!is_incomplete(&response), "a cut body is complete");
        assert_eq!(fixture.received(), n + 1, "one call is one request");
    }
}

/// Checks points 2 and 3: a complete head is a response, however its body ends, and has the mark.
///
/// # Panics
///
/// Panics if the transport breaks the contract.
pub async fn transport_keeps_heads(fixture: &dyn TransportFixture) {
    let transport = fixture.transport();
    for (deadline, status, ends) in [
        (Duration::from_secs(15), 200, BodyEnd::Closed),
        (Duration::from_secs(15), 410, BodyEnd::Closed),
        (Duration::from_secs(15), 429, BodyEnd::Stalled),
        (Duration::from_millis(400), 200, BodyEnd::Stalled),
    ] {
        let url = fixture.breaking_off(status, ends).await;
        let limits = SendLimits::default().with_deadline(deadline);
        let sending = timeout(Duration::from_secs(10), transport.send(post(&url), &limits));
        let response =
            sending.await.expect("a body is not waited for").expect("a complete head is an answer");
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.body().len(), 9, "what came of the body is kept");
        assert!(is_incomplete(&response), "a body that broke off is marked");
    }
}

fn is_incomplete(response: &Response<Bytes>) -> bool {
    response.extensions().get::<IncompleteBody>().is_some()
}

/// Checks point 3: the deadline is kept.
///
/// # Panics
///
/// Panics if the transport breaks the contract.
pub async fn transport_keeps_its_deadline(fixture: &dyn TransportFixture) {
    let url = fixture.hanging().await;
    let limits = SendLimits::default().with_deadline(Duration::from_millis(200));
    let transport = fixture.transport();
    let sending = transport.send(post(&url), &limits);
    let sent = timeout(Duration::from_secs(20), sending).await;
    let error = sent.expect("the deadline holds").expect_err("no answer came");
    assert_eq!(error.kind(), FailureKind::Timeout);
}
