//! Planted faults for the suite of transports. Each test plants one fault in a correct transport, and names the panic
//! message with which the case finds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::testing::conformance::{self, BodyEnd, TransportFixture};
use hookwire::transport::{IncompleteBody, SendLimits, Transport, TransportError};
use http::{Request, Response, StatusCode};

use crate::transport_conformance::Recording;

type Sent = Result<Response<Bytes>, TransportError>;

/// A transport that spoils each response.
struct Spoiled {
    inner: Arc<dyn Transport>,
    spoil: fn(Response<Bytes>) -> Sent,
    /// How long each response is held back.
    late: Duration,
}

impl fmt::Debug for Spoiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spoiled")
    }
}

#[async_trait]
impl Transport for Spoiled {
    async fn send(&self, request: Request<Bytes>, limits: &SendLimits) -> Sent {
        let sent = self.inner.send(request, limits).await;
        tokio::time::sleep(self.late).await;
        sent.and_then(self.spoil)
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        self.inner.check(url).await
    }
}

struct Fixture {
    inner: Recording,
    spoil: fn(Response<Bytes>) -> Sent,
    late: Duration,
}

#[async_trait]
impl TransportFixture for Fixture {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(Spoiled { inner: self.inner.transport(), spoil: self.spoil, late: self.late })
    }

    async fn answering(&self, status: u16) -> CallbackUrl {
        self.inner.answering(status).await
    }

    async fn hanging(&self) -> CallbackUrl {
        self.inner.hanging().await
    }

    async fn breaking_off(&self, status: u16, ends: BodyEnd) -> CallbackUrl {
        self.inner.breaking_off(status, ends).await
    }

    fn received(&self) -> usize {
        self.inner.received()
    }
}

/// Runs the cases on a transport with this fault, in time that stands still unless all wait.
fn expose(late: Duration, spoil: fn(Response<Bytes>) -> Sent) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime for the case").block_on(async {
        let fixture = Fixture { inner: Recording::new().await, spoil, late };
        conformance::transport_answers(&fixture).await;
        conformance::transport_keeps_heads(&fixture).await;
        conformance::transport_keeps_its_deadline(&fixture).await;
    });
}

fn is_incomplete(response: &Response<Bytes>) -> bool {
    response.extensions().get::<IncompleteBody>().is_some()
}

#[test]
fn no_fault_is_found_where_there_is_none() {
    expose(Duration::ZERO, Ok);
}

#[test]
#[should_panic(expected = "a complete head is an answer")]
fn a_cut_body_undoes_its_head() {
    expose(Duration::ZERO, |response| {
        let broken = is_incomplete(&response);
        if broken { Err(TransportError::new(FailureKind::Protocol, "cut")) } else { Ok(response) }
    });
}

#[test]
#[should_panic(expected = "a body that broke off is marked")]
fn a_cut_body_passes_for_a_whole_one() {
    expose(Duration::ZERO, |mut response| {
        response.extensions_mut().clear();
        Ok(response)
    });
}

#[test]
#[should_panic(expected = "what came of the body is kept")]
fn what_came_of_a_cut_body_is_lost() {
    expose(Duration::ZERO, |response| {
        let broken = is_incomplete(&response);
        Ok(if broken { response.map(|_| Bytes::new()) } else { response })
    });
}

#[test]
#[should_panic(expected = "a cut body is complete")]
fn a_body_that_is_longer_than_the_limit_is_marked() {
    expose(Duration::ZERO, |mut response| {
        response.extensions_mut().insert(IncompleteBody);
        Ok(response)
    });
}

#[test]
#[should_panic(expected = "a body is not waited for")]
fn a_body_is_waited_for() {
    expose(Duration::from_secs(11), Ok);
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn the_status_of_a_cut_answer_is_lost() {
    expose(Duration::ZERO, |mut response| {
        if is_incomplete(&response) {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
        }
        Ok(response)
    });
}
