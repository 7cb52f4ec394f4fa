//! Receivers that let us open few HTTP/2 streams at once, or none.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::{Delivery, DeliveryState, End, FailureKind};
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::transport::{HttpTransport, SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::answers::Answers;
use crate::support::h2_server::{H2Server, HEADERS};
use crate::support::identity::Identity;

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(60), 1024);

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

/// A receiver that allows so many streams on each connection, and so many connections. It answers after the time
/// that a path names in milliseconds, and at `/slow` never.
async fn limited(identity: &Identity, streams: u32, connections: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = identity.acceptor(&["h2"]);
    let allowed = Arc::new(Semaphore::new(connections));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(one) = Arc::clone(&allowed).try_acquire_owned() else { continue };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that breaks off a connection that it does not need any more is within its rights.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(streams);
                let _ = builder.serve_connection(TokioIo::new(stream), service_fn(after_a_time)).await;
                drop(one);
            });
        }
    });
    port
}

async fn after_a_time(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // That the client broke off shows elsewhere.
    let _ = body.collect().await;
    let wait = head.uri.path().trim_matches('/').parse().unwrap_or(u64::MAX / 1000);
    sleep(Duration::from_millis(wait)).await;
    Ok(Response::new(Empty::new()))
}

/// What comes of so many requests to this path at once.
fn volley(transport: &HttpTransport, port: u16, path: &str, requests: usize) -> JoinSet<Option<StatusCode>> {
    let mut sent = JoinSet::new();
    for _ in 0..requests {
        let request = Request::post(format!("https://{HOST}:{port}{path}")).body(Bytes::from_static(b"{}"));
        let (transport, request) = (transport.clone(), request.expect("a request"));
        sent.spawn(async move { transport.send(request, &LIMITS).await.ok().map(|it| it.status()) });
    }
    sent
}

fn trusting(identity: &Identity) -> HttpTransport {
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    builder.resolver(Answers::always(&["127.0.0.1"])).build().expect("valid")
}

#[tokio::test]
async fn requests_at_once_all_arrive_however_few_streams_a_receiver_allows() {
    let identity = Identity::of(&[HOST]);
    for streams in [1, 2, 8, 15, 100] {
        let port = limited(&identity, streams, usize::MAX >> 4).await;
        let transport = trusting(&identity);
        // The first meet a receiver that nothing is known of, the next a known one with connections.
        for requests in [16, 16, 40] {
            let answers = volley(&transport, port, "/200", requests).join_all().await;
            let answered = answers.iter().filter(|it| **it == Some(StatusCode::OK)).count();
            assert_eq!(answered, requests, "{streams} streams");
        }
    }
}

#[tokio::test]
async fn requests_wait_for_a_stream_where_no_more_connections_are_allowed() {
    let identity = Identity::of(&[HOST]);
    let port = limited(&identity, 2, 1).await;
    let transport = trusting(&identity);
    assert_eq!(volley(&transport, port, "/0", 1).join_all().await, [Some(StatusCode::OK)]);
    let answers = volley(&transport, port, "/100", 16).join_all().await;
    assert!(answers.iter().all(|it| *it == Some(StatusCode::OK)), "{answers:?}");
}

#[tokio::test]
async fn requests_that_hang_on_every_stream_do_not_delay_another_to_the_same_host() {
    let identity = Identity::of(&[HOST]);
    let port = limited(&identity, 100, usize::MAX >> 4).await;
    let transport = trusting(&identity);
    let _hanging = volley(&transport, port, "/slow", 400);
    for _ in 0..3 {
        let quick = volley(&transport, port, "/0", 10).join_all();
        let answers = timeout(Duration::from_secs(30), quick).await.expect("nobody is in the way");
        assert!(answers.iter().all(|it| *it == Some(StatusCode::OK)), "{answers:?}");
    }
}

/// A receiver that takes connections and says nothing keeps one for no longer than 5 s after the last call.
#[tokio::test]
async fn a_connection_that_no_request_waits_for_any_more_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let transport = trusting(&Identity::of(&[HOST]));
    let limits = LIMITS.with_deadline(Duration::from_millis(100));
    send(&transport, port, &limits, &Arc::from(*b"{}")).await.expect_err("it says nothing");
    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut nowhere = tokio::io::sink();
    let ended = timeout(Duration::from_secs(15), tokio::io::copy(&mut stream, &mut nowhere)).await;
    // A reset is an end too.
    let _ = ended.expect("it is closed");
}

/// A service that delivers by this transport.
fn service(transport: &HttpTransport) -> Webhooks {
    let builder = Webhooks::builder(assist::catalog()).store(MemoryStore::new());
    builder.transport(transport.clone()).build().expect("a sound service")
}

/// A tenant with so many webhooks at this path of the receiver.
async fn tenant(hooks: &Webhooks, name: &str, port: u16, path: &str, webhooks: usize) -> Tenant {
    let tenant = hooks.tenant(TenantId::new(name).expect("valid"));
    for number in 0..webhooks {
        let draft = WebhookDraft::new(format!("hook {number}"), format!("https://{HOST}:{port}{path}"));
        tenant.create(&draft.subscribe(assist::DEVICE_ONLINE)).await.expect("a sound draft");
    }
    tenant
}

async fn publish(tenant: &Tenant, events: usize) {
    for number in 0..events {
        let event = Event::new(assist::DEVICE_ONLINE, &number).expect("JSON");
        tenant.publish(event).await.expect("published");
    }
}

/// Waits until nothing of this tenant waits any more, and returns its deliveries.
async fn delivered(tenant: &Tenant) -> Vec<Delivery> {
    let ended = async {
        while tenant.stats().await.expect("counted").pending() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    // No attempt has ended by its deadline then.
    timeout(Duration::from_secs(14), ended).await.expect("in time");
    tenant.deliveries(&DeliveryQuery::new()).await.expect("listed").items
}

fn at_the_first_attempt(delivery: &Delivery) -> bool {
    delivery.state == DeliveryState::Ended(End::Delivered) && delivery.attempts == 1
}

#[tokio::test]
async fn events_arrive_at_the_first_attempt_however_few_streams_their_receiver_allows() {
    let identity = Identity::of(&[HOST]);
    for streams in [8, 1] {
        let port = limited(&identity, streams, usize::MAX >> 4).await;
        let hooks = service(&trusting(&identity));
        let acme = tenant(&hooks, "acme", port, "/50", 1).await;
        let _dispatcher = hooks.start().expect("inside tokio");
        publish(&acme, 16).await;
        let deliveries = delivered(&acme).await;
        assert!(deliveries.len() == 16 && deliveries.iter().all(at_the_first_attempt), "{deliveries:?}");
    }
}

#[tokio::test]
async fn hanging_webhooks_of_four_tenants_do_not_delay_a_fifths_at_the_same_host() {
    let identity = Identity::of(&[HOST]);
    for streams in [100, 8, 1] {
        let port = limited(&identity, streams, usize::MAX >> 4).await;
        let hooks = service(&trusting(&identity));
        let _dispatcher = hooks.start().expect("inside tokio");
        for name in ["one", "two", "three", "four"] {
            publish(&tenant(&hooks, name, port, "/slow", 10).await, 10).await;
        }
        let fifth = tenant(&hooks, "five", port, "/0", 1).await;
        publish(&fifth, 10).await;
        let deliveries = delivered(&fifth).await;
        assert!(deliveries.len() == 10 && deliveries.iter().all(at_the_first_attempt), "{deliveries:?}");
        assert_eq!(hooks.stats().await.expect("counted").pending(), 400, "the others hang");
    }
}
