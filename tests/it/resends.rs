//! A request is sent again at once if nothing of it was written or its receiver says that it did not process it,
//! and otherwise never.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::{DeliveryState, End, FailureKind};
use hookwire::store::MemoryStore;
use hookwire::transport::{HttpTransport, Resolve, SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, StatusCode};

use crate::support::answers::Answers;
use crate::support::h2_replies::{H2Replies, Reply};
use crate::support::identity::Identity;
use crate::support::raw::{Raw, read_request};

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 1024);
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

const CANCEL: u32 = 8;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;

async fn send(transport: &HttpTransport, url: &str) -> Result<StatusCode, TransportError> {
    let request = Request::post(url).body(Bytes::from_static(b"{}")).expect("a request");
    transport.send(request, &LIMITS).await.map(|answer| answer.status())
}

/// What comes of one call to a receiver that gives these replies, and how many requests that receiver got.
async fn replied(
    replies: &'static [Reply],
    resolver: impl Resolve,
) -> (Result<StatusCode, FailureKind>, usize) {
    let identity = Identity::of(&[HOST]);
    let receiver = H2Replies::start(&identity, replies).await;
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem()).resolver(resolver);
    let transport = builder.build().expect("valid");
    let answer = send(&transport, &format!("https://{HOST}:{}/", receiver.port())).await;
    (answer.map_err(|error| error.kind()), receiver.requests())
}

fn loopback() -> Answers {
    Answers::always(&["127.0.0.1"])
}

#[tokio::test]
async fn what_an_http2_receiver_did_not_process_is_sent_again_at_once() {
    let replies: [&'static [Reply]; 4] = [
        &[Reply::Reset(REFUSED_STREAM), Reply::Answer],
        &[Reply::GoAway(0), Reply::Answer],
        &[Reply::GoAway(0), Reply::GoAway(0), Reply::Answer],
        &[Reply::Reset(REFUSED_STREAM), Reply::GoAway(0), Reply::Reset(REFUSED_STREAM), Reply::Answer],
    ];
    for replies in replies {
        let (answer, requests) = replied(replies, loopback()).await;
        assert_eq!(answer, Ok(StatusCode::NO_CONTENT), "{replies:?}");
        assert_eq!(requests, replies.len(), "{replies:?}");
    }
}

#[tokio::test]
async fn what_an_http2_receiver_may_have_processed_is_not_sent_again() {
    let replies: [&'static [Reply]; 4] =
        [&[Reply::GoAway(1)], &[Reply::Reset(CANCEL)], &[Reply::Reset(INTERNAL_ERROR)], &[Reply::GoAway(5)]];
    for replies in replies {
        let (answer, requests) = replied(replies, loopback()).await;
        assert_eq!((answer, requests), (Err(FailureKind::Protocol), 1), "{replies:?}");
    }
}

#[tokio::test]
async fn what_was_answered_in_part_is_not_sent_again() {
    let (_, requests) = replied(&[Reply::HeadAndReset(REFUSED_STREAM), Reply::Answer], loopback()).await;
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn a_receiver_that_refuses_every_request_is_left_after_the_third_resend() {
    for replies in [&[Reply::Reset(REFUSED_STREAM)], &[Reply::GoAway(0)]] {
        let refused = replied(replies, loopback()).await;
        assert_eq!(refused, (Err(FailureKind::Protocol), 4), "{replies:?}");
    }
}

#[tokio::test]
async fn a_resend_goes_through_the_guard() {
    let moved = Answers::in_turn(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let refused = replied(&[Reply::GoAway(0), Reply::Answer], moved).await;
    assert_eq!(refused, (Err(FailureKind::Refused), 1));
}

/// One that was sent three times is one attempt to the log, and uses one step of the schedule.
#[tokio::test]
async fn a_resend_is_no_attempt_of_its_own() {
    let identity = Identity::of(&[HOST]);
    let replies = &[Reply::Reset(REFUSED_STREAM), Reply::GoAway(0), Reply::Answer];
    let receiver = H2Replies::start(&identity, replies).await;
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem()).resolver(loopback());
    let transport = builder.build().expect("valid");
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new()).transport(transport);
    let hooks = builder.build().expect("a sound service");
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let draft = WebhookDraft::new("hook", format!("https://{HOST}:{}/", receiver.port()));
    acme.create(&draft.subscribe(assist::DEVICE_ONLINE)).await.expect("a sound draft");
    acme.publish(Event::new(assist::DEVICE_ONLINE, &()).expect("JSON")).await.expect("published");
    hooks.deliver_due().await.expect("sent");
    let delivery = acme.deliveries(&DeliveryQuery::new()).await.expect("listed").items.remove(0);
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Ended(End::Delivered), 1));
    assert_eq!(receiver.requests(), 3);
}

/// The runtime's only thread waits for the server, and then yields once. The closing has arrived by then, but the task
/// of the connection has not run. It finds out when it already has the next request.
#[tokio::test]
async fn a_request_that_meets_a_closed_connection_is_sent_on_a_new_one() {
    let (close, told) = std::sync::mpsc::channel::<()>();
    let (closes, closed) = std::sync::mpsc::channel::<()>();
    let server = Raw::listen(move |listener| {
        let (mut kept, _) = listener.accept().expect("a client");
        let mut requests = answer(&mut kept);
        told.recv().expect("the test goes on");
        kept.shutdown(Shutdown::Both).expect("open until now");
        closes.send(()).expect("the test goes on");
        requests += answer(&mut listener.accept().expect("the client comes again").0);
        requests
    });
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let url = format!("http://127.0.0.1:{}/", server.port());
    assert_eq!(send(&transport, &url).await.expect("an answer"), StatusCode::NO_CONTENT);
    close.send(()).expect("the server waits");
    closed.recv().expect("the server closes");
    tokio::task::yield_now().await;
    assert_eq!(send(&transport, &url).await.expect("an answer"), StatusCode::NO_CONTENT);
    assert_eq!(server.done().await, 2, "each call is one request");
}

/// As above, with more kept connections than a request is sent again otherwise.
#[tokio::test]
async fn a_request_passes_over_all_kept_connections_that_are_closed() {
    const KEPT: usize = 6;
    let (close, told) = std::sync::mpsc::channel::<()>();
    let (closes, closed) = std::sync::mpsc::channel::<()>();
    let server = Raw::listen(move |listener| {
        let mut kept: Vec<_> = (0..KEPT).map(|_| listener.accept().expect("a client").0).collect();
        let mut requests: usize = kept.iter_mut().map(answer).sum();
        told.recv().expect("the test goes on");
        kept.iter().for_each(|stream| stream.shutdown(Shutdown::Both).expect("open until now"));
        closes.send(()).expect("the test goes on");
        requests += answer(&mut listener.accept().expect("the client comes again").0);
        requests
    });
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let url = format!("http://127.0.0.1:{}/", server.port());
    let sent = (0..KEPT).map(|_| (transport.clone(), url.clone()));
    let mut sent: tokio::task::JoinSet<_> =
        sent.map(|(transport, url)| async move { send(&transport, &url).await }).collect();
    while let Some(answer) = sent.join_next().await {
        assert_eq!(answer.expect("no panic").expect("an answer"), StatusCode::NO_CONTENT);
    }
    close.send(()).expect("the server waits");
    closed.recv().expect("the server closes");
    tokio::task::yield_now().await;
    assert_eq!(send(&transport, &url).await.expect("an answer"), StatusCode::NO_CONTENT);
    assert_eq!(server.done().await, KEPT + 1, "each call is one request");
}

/// Answers a request, and returns how many there were.
fn answer(stream: &mut TcpStream) -> usize {
    let requests = usize::from(read_request(stream).is_some());
    stream.write_all(NO_CONTENT).expect("the client reads");
    requests
}
