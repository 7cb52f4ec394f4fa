//! Receivers that let us open no stream, and keep the connection open.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::FailureKind;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use http::{Request, StatusCode};

use crate::support::answers::Answers;
use crate::support::h2_server::{H2Server, HEADERS};
use crate::support::identity::Identity;

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(10), 1024);

/// A transport, and a receiver that allows this many streams.
async fn both(streams: u32) -> (HttpTransport, H2Server) {
    let identity = Identity::of(&[HOST]);
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    let transport = builder.resolver(Answers::always(&["127.0.0.1"])).build().expect("valid");
    (transport, H2Server::allowing(streams, &identity).await)
}

/// The bytes of a body, and a second handle that tells whether they are still held.
struct Held(Arc<[u8]>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

async fn send(
    transport: &HttpTransport,
    port: u16,
    limits: &SendLimits,
    body: &Arc<[u8]>,
) -> Result<StatusCode, TransportError> {
    let body = Bytes::from_owner(Held(Arc::clone(body)));
    let request = Request::post(format!("https://{HOST}:{port}/")).body(body).expect("a request");
    transport.send(request, limits).await.map(|answer| answer.status())
}

/// The connection ends, no stream is opened until then, and nobody holds the body any more.
async fn ends(receiver: &mut H2Server, body: &Arc<[u8]>) {
    assert_eq!(receiver.next(HEADERS).await, None);
    assert_eq!(Arc::strong_count(body), 1, "a body is still held");
}

#[tokio::test]
async fn a_receiver_that_allows_no_stream_is_left_at_once() {
    let (transport, mut receiver) = both(0).await;
    let body = Arc::from(*b"{}");
    let error = send(&transport, receiver.port(), &LIMITS, &body).await.expect_err("not allowed");
    assert_eq!(error.kind(), FailureKind::Protocol);
    assert!(error.detail().contains("SETTINGS_MAX_CONCURRENT_STREAMS is 0"), "{}", error.detail());
    receiver.allow(100);
    while receiver.next(HEADERS).await.is_some_and(|opened| opened.stream == 1) {}
    ends(&mut receiver, &body).await;
}

#[tokio::test]
async fn a_receiver_that_allows_no_stream_any_more_is_left_with_what_is_under_way() {
    let (transport, mut receiver) = both(100).await;
    let (port, body) = (receiver.port(), Arc::from(*b"{}"));
    let sending = {
        let (transport, body) = (transport.clone(), Arc::clone(&body));
        tokio::spawn(async move { send(&transport, port, &LIMITS, &body).await })
    };
    receiver.next(HEADERS).await.expect("it is allowed");
    receiver.allow(0);
    let error = sending.await.expect("no panic").expect_err("broken off");
    assert_eq!(error.kind(), FailureKind::Protocol);
    ends(&mut receiver, &body).await;
}

#[tokio::test]
async fn an_idle_connection_ends_with_the_last_stream_that_is_allowed() {
    let (transport, mut receiver) = both(100).await;
    let (port, body) = (receiver.port(), Arc::from(*b"{}"));
    let (sent, ()) = tokio::join!(send(&transport, port, &LIMITS, &body), async {
        let opened = receiver.next(HEADERS).await.expect("it is allowed");
        receiver.answer(opened.stream);
    });
    assert_eq!(sent.expect("an answer"), StatusCode::NO_CONTENT);
    receiver.allow(0);
    ends(&mut receiver, &body).await;
}
