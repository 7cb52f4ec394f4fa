//! `HttpTransport` over real connections: protocols, responses, limits and failures.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::transport::{
    HttpTransport, HttpTransportBuilder, IncompleteBody, Resolve, SendLimits, Transport, TransportError,
};
use http::{Request, Response, StatusCode, Version};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::answers::{Answers, Silent, Unknown};
use crate::support::identity::Identity;
use crate::support::receiver::{Receiver, Script};

const HOST: &str = "hooks.example.com";

/// Long enough for whatever succeeds, on a busy machine too.
const PLENTY: SendLimits = SendLimits::new(Duration::from_secs(30), 16 * 1024);

/// Short, for what never comes.
const SHORT: SendLimits = SendLimits::new(Duration::from_millis(400), 16 * 1024);

fn builder(identity: &Identity) -> HttpTransportBuilder {
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    builder.resolver(Answers::always(&["127.0.0.1"]))
}

fn transport(identity: &Identity) -> HttpTransport {
    builder(identity).build().expect("valid")
}

fn resolving(resolver: impl Resolve) -> HttpTransport {
    HttpTransport::builder().allow_loopback().resolver(resolver).build().expect("valid")
}

fn post(url: impl AsRef<str>, body: &'static str) -> Request<Bytes> {
    Request::post(url.as_ref()).body(Bytes::from_static(body.as_bytes())).expect("a request")
}

fn at(receiver: &Receiver) -> String {
    format!("https://{HOST}:{}/hook?key=1", receiver.port())
}

fn kind(answer: Result<Response<Bytes>, TransportError>) -> FailureKind {
    answer.expect_err("no complete answer").kind()
}

fn ok(body: &'static str) -> Script {
    Script::Answer(StatusCode::OK, Bytes::from_static(body.as_bytes()))
}

#[tokio::test]
async fn a_request_arrives_as_it_is_and_its_answer_comes_back() {
    let identity = Identity::of(&[HOST]);
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let receiver = Receiver::speaking(protocols, &identity, ok("thanks")).await;
        let mut request = post(at(&receiver), "{}");
        request.headers_mut().insert("webhook-id", "msg_1".parse().expect("a value"));
        let answer = transport(&identity).send(request, &PLENTY).await.expect("an answer");
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, &b"thanks"[..]));
        let [seen] = &receiver.requests()[..] else { panic!("one request") };
        assert_eq!((seen.version(), seen.body().as_ref()), (version, &b"{}"[..]));
        assert_eq!(seen.headers()["webhook-id"], "msg_1");
        assert_eq!(seen.uri().path_and_query().map(ToString::to_string), Some("/hook?key=1".into()));
    }
}

#[tokio::test]
async fn any_status_is_an_answer() {
    let identity = Identity::of(&[HOST]);
    for status in [StatusCode::NO_CONTENT, StatusCode::GONE, StatusCode::SERVICE_UNAVAILABLE] {
        let receiver = Receiver::https(&identity, Script::Answer(status, Bytes::new())).await;
        let answer = transport(&identity).send(post(at(&receiver), "{}"), &PLENTY).await;
        assert_eq!(answer.expect("an answer").status(), status);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let identity = Identity::of(&[HOST]);
    let elsewhere = Receiver::https(&identity, ok("")).await;
    let receiver = Receiver::https(&identity, Script::Redirect(at(&elsewhere))).await;
    let answer = transport(&identity).send(post(at(&receiver), "{}"), &PLENTY).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!((receiver.requests().len(), elsewhere.connections().await), (1, 0));
}

#[tokio::test]
async fn localhost_can_be_served_without_tls_in_development() {
    let receiver = Receiver::plain(ok("hello")).await;
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let url = format!("http://localhost:{}/", receiver.port());
    let answer = transport.send(post(url, "{}"), &PLENTY).await.expect("an answer");
    assert_eq!(answer.body().as_ref(), b"hello");
}

#[tokio::test]
async fn the_deadline_covers_the_answer() {
    let identity = Identity::of(&[HOST]);
    for protocols in [["h2"], ["http/1.1"]] {
        let receiver = Receiver::speaking(&protocols, &identity, Script::Hang).await;
        assert_eq!(hurried(&transport(&identity), &at(&receiver)).await, FailureKind::Timeout);
    }
}

#[tokio::test]
async fn the_deadline_cuts_a_body_and_keeps_its_answer() {
    let identity = Identity::of(&[HOST]);
    for protocols in [["h2"], ["http/1.1"]] {
        let receiver = Receiver::speaking(&protocols, &identity, Script::Drip).await;
        let transport = transport(&identity);
        let sending = timeout(Duration::from_secs(10), transport.send(post(at(&receiver), "{}"), &SHORT));
        let answer = sending.await.expect("the deadline is kept").expect("its head was complete");
        assert_eq!((answer.status(), answer.body().first()), (StatusCode::OK, Some(&b'.')));
        assert!(answer.extensions().get::<IncompleteBody>().is_some());
    }
}

#[tokio::test]
async fn the_deadline_covers_the_look_up_and_the_handshake() {
    // A slow look-up is not a slow receiver: its lane is not demoted for it, as for a timeout.
    let silent = hurried(&resolving(Silent), "https://hooks.example.com/").await;
    assert_eq!(silent, FailureKind::Dns);
    // The system takes connections to it, and nobody ever says a word.
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let url = format!("https://{HOST}:{}/", mute.local_addr().expect("bound").port());
    assert_eq!(hurried(&transport(&Identity::of(&[HOST])), &url).await, FailureKind::Timeout);
}

/// Sends with a short deadline, and returns the failure, which comes at most some seconds late.
async fn hurried(transport: &HttpTransport, url: &str) -> FailureKind {
    let sent = timeout(Duration::from_secs(10), transport.send(post(url, "{}"), &SHORT)).await;
    kind(sent.expect("the deadline is kept"))
}

#[tokio::test]
async fn a_broken_head_is_a_protocol_failure() {
    let identity = Identity::of(&[HOST]);
    for text in [
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "220 mail.example.com ESMTP\r\n",
        "",
    ] {
        let receiver = Receiver::speaking(&["http/1.1"], &identity, Script::Raw(text)).await;
        let answer = transport(&identity).send(post(at(&receiver), ""), &PLENTY).await;
        assert_eq!(kind(answer), FailureKind::Protocol, "{text:?}");
        assert_eq!(receiver.connections().await, 1, "{text:?} is not tried again");
    }
}

#[tokio::test]
async fn a_long_body_is_cut() {
    let identity = Identity::of(&[HOST]);
    let body = Bytes::from(vec![b'x'; 4 << 20]);
    for protocols in [["h2"], ["http/1.1"]] {
        let script = Script::Answer(StatusCode::OK, body.clone());
        let receiver = Receiver::speaking(&protocols, &identity, script).await;
        let transport = transport(&identity);
        for limit in [0, 100, 16 * 1024] {
            let limits = PLENTY.with_body_bytes(limit);
            let answer = transport.send(post(at(&receiver), "{}"), &limits).await.expect("an answer");
            assert_eq!(answer.body(), &body.slice(..limit), "{protocols:?}");
        }
    }
}

#[tokio::test]
async fn the_rest_of_a_cut_body_is_not_read() {
    let identity = Identity::of(&[HOST]);
    for protocols in [["h2"], ["http/1.1"]] {
        let receiver = Receiver::speaking(&protocols, &identity, Script::Drip).await;
        let limits = PLENTY.with_body_bytes(2);
        let answer = transport(&identity).send(post(at(&receiver), "{}"), &limits).await;
        assert_eq!(answer.expect("a cut answer is complete").body().as_ref(), b"..");
    }
}

#[tokio::test]
async fn a_body_just_within_the_limit_is_kept_whole_and_so_is_the_connection() {
    let identity = Identity::of(&[HOST]);
    let receiver = Receiver::speaking(&["http/1.1"], &identity, ok("12345")).await;
    let transport = transport(&identity);
    for _ in 0..3 {
        let limits = PLENTY.with_body_bytes(5);
        let answer = transport.send(post(at(&receiver), "{}"), &limits).await.expect("an answer");
        assert_eq!(answer.body().as_ref(), b"12345");
    }
    assert_eq!(receiver.connections().await, 1);
}

#[tokio::test]
async fn an_overlong_head_is_refused() {
    let identity = Identity::of(&[HOST]);
    for (protocols, script) in [
        (["h2"], Script::Headers(40, 4096)),
        (["http/1.1"], Script::Headers(40, 4096)),
        (["http/1.1"], Script::Headers(1100, 1)),
    ] {
        let receiver = Receiver::speaking(&protocols, &identity, script).await;
        let answer = transport(&identity).send(post(at(&receiver), "{}"), &PLENTY).await;
        assert_eq!(kind(answer), FailureKind::Protocol, "{protocols:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure() {
    // Bound, so that no other test gets the port, but not listening.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    let transport = transport(&Identity::of(&[HOST]));
    let error = transport.send(post(format!("https://{HOST}:{port}/"), "{}"), &PLENTY).await;
    let error = error.expect_err("nobody there");
    assert_eq!(error.kind(), FailureKind::Connect);
    assert!(error.detail().contains(&format!("no connection to 127.0.0.1:{port}")), "{}", error.detail());
}

#[tokio::test]
async fn the_next_address_is_dialled_when_one_is_dead() {
    let identity = Identity::of(&[HOST]);
    let receiver = Receiver::https(&identity, ok("")).await;
    let transport = builder(&identity).resolver(Answers::always(&["127.0.0.2", "127.0.0.1"]));
    let answer = transport.build().expect("valid").send(post(at(&receiver), "{}"), &PLENTY).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    let url = CallbackUrl::parse("https://hooks.example.com/").expect("valid");
    for transport in [resolving(Unknown), resolving(Answers::always(&[]))] {
        assert_eq!(kind(transport.send(post(url.as_str(), "{}"), &PLENTY).await), FailureKind::Dns);
        assert_eq!(transport.check(&url).await.expect_err("unknown").kind(), FailureKind::Dns);
    }
}

#[tokio::test]
async fn a_full_lane_at_once_is_served_without_a_failure() {
    let identity = Identity::of(&[HOST]);
    for (protocols, most) in [(["h2"], 16), (["http/1.1"], 32)] {
        let receiver = Receiver::speaking(&protocols, &identity, ok("")).await;
        let transport = transport(&identity);
        for _ in 0..3 {
            let mut lane = JoinSet::new();
            for _ in 0..16 {
                let (transport, request) = (transport.clone(), post(at(&receiver), "{}"));
                lane.spawn(async move { transport.send(request, &PLENTY).await.map(|it| it.status()) });
            }
            let answers = lane.join_all().await;
            assert!(answers.iter().all(|it| matches!(it, Ok(StatusCode::OK))), "{answers:?}");
        }
        assert_eq!(receiver.requests().len(), 48);
        assert!(receiver.connections().await <= most, "{protocols:?} keeps what it has opened");
    }
}

#[tokio::test]
async fn pointers_to_a_transport_are_transports() {
    let receiver = Receiver::plain(ok("")).await;
    let url = format!("http://127.0.0.1:{}/", receiver.port());
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let pointers: [Box<dyn Transport>; 2] =
        [Box::new(std::sync::Arc::new(transport.clone())), Box::new(Box::new(transport))];
    for pointer in pointers {
        let checked = CallbackUrl::parse_allowing_loopback_http(&url).expect("valid");
        pointer.check(&checked).await.expect("loopback is allowed");
        pointer.send(post(&url, "{}"), &PLENTY).await.expect("an answer");
    }
}
