//! The contract of a transport.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;

use crate::model::{CallbackUrl, FailureKind};
use crate::transport::{SendLimits, Transport};

/// A transport, and receivers that it reaches.
#[async_trait]
pub trait TransportFixture: Send + Sync {
    /// The transport.
    fn transport(&self) -> Arc<dyn Transport>;

    /// The URL of a receiver that answers each request with this status and, where the status allows one,
    /// a body of 100 bytes; a redirect leads back to it.
    async fn answering(&self, status: u16) -> CallbackUrl;

    /// The URL of a receiver that takes a request and never answers.
    async fn hanging(&self) -> CallbackUrl;

    /// How many requests the receivers have got.
    fn received(&self) -> usize;
}

fn post(url: &CallbackUrl) -> Request<Bytes> {
    Request::post(url.as_str()).body(Bytes::from_static(b"{}")).expect("a request")
}

/// Points 1, 2 and 4: one call is one request, any status is an answer, and long bodies are cut.
///
/// # Panics
///
/// When the transport breaks it.
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
        assert_eq!(fixture.received(), n + 1, "one call is one request");
    }
}

/// Point 3: the deadline holds.
///
/// # Panics
///
/// When the transport breaks it.
pub async fn transport_keeps_its_deadline(fixture: &dyn TransportFixture) {
    let url = fixture.hanging().await;
    let limits = SendLimits::default().with_deadline(Duration::from_millis(200));
    let transport = fixture.transport();
    let sending = transport.send(post(&url), &limits);
    let sent = tokio::time::timeout(Duration::from_secs(20), sending).await;
    let error = sent.expect("the deadline holds").expect_err("no answer came");
    assert_eq!(error.kind(), FailureKind::Timeout);
}
