//! Answers that break off, stall, or have odd heads: a complete head is the answer, whatever comes after it.

use std::time::Duration;

use bytes::Bytes;
use hookwire::model::{Delivery, DeliveryState, DisableReason, End};
use hookwire::service::Details;
use hookwire::store::MemoryStore;
use hookwire::transport::{HttpTransport, IncompleteBody, SendLimits, Transport, TransportError};
use hookwire::{DeliveryQuery, Event, TenantId, WebhookDraft, Webhooks, assist};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::answers::Answers;
use crate::support::h2_server::{H2Server, HEADERS};
use crate::support::identity::Identity;
use crate::support::receiver::{Receiver, Script};
use crate::support::reset::reset;

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(60), 16 * 1024);

fn post(url: &str) -> Request<Bytes> {
    Request::post(url).body(Bytes::from_static(b"{}")).expect("a request")
}

async fn answer_to(script: Script) -> Result<Response<Bytes>, TransportError> {
    let receiver = Receiver::plain(script).await;
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let url = format!("http://127.0.0.1:{}/", receiver.port());
    let sending = transport.send(post(&url), &LIMITS);
    timeout(Duration::from_secs(30), sending).await.expect("no body is waited for")
}

fn is_incomplete(answer: &Response<Bytes>) -> bool {
    answer.extensions().get::<IncompleteBody>().is_some()
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_its_head_and_what_came() {
    for (text, status, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this", 200, "only this"),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nonly this", 410, "only this"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", 200, ""),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nonly", 200, "only"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nonly\r\nnonsense", 200, "only"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nonly", 200, "only"),
    ] {
        for script in [Script::Raw(text), Script::Stall(text)] {
            let answer = answer_to(script).await.expect("a complete head");
            assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (status, body.as_bytes()));
            assert!(is_incomplete(&answer), "{text:?}");
        }
    }
}

#[tokio::test]
async fn a_cut_429_keeps_its_retry_after() {
    let text = "HTTP/1.1 429 Slow\r\ncontent-length: 100\r\nretry-after: 3600\r\n\r\nonly this";
    let answer = answer_to(Script::Raw(text)).await.expect("a complete head");
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"3600".parse::<http::HeaderValue>().expect("a value"))
    );
}

/// Delivers one event to a receiver that answers like this, and returns the webhook and the delivery.
async fn delivered_to(text: &'static str) -> (Details, Delivery) {
    let receiver = Receiver::plain(Script::Raw(text)).await;
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    let builder = Webhooks::builder(assist::catalog()).allow_loopback_http();
    let builder = builder.store(MemoryStore::new()).transport(transport);
    let hooks = builder.build().expect("a sound service");
    let acme = hooks.tenant(TenantId::new("acme").expect("valid"));
    let url = format!("http://127.0.0.1:{}/", receiver.port());
    let draft = WebhookDraft::new("hook", url).subscribe(assist::DEVICE_ONLINE);
    let webhook = acme.create(&draft).await.expect("a sound draft").webhook().hook_id();
    acme.publish(Event::new(assist::DEVICE_ONLINE, &()).expect("JSON")).await.expect("published");
    hooks.deliver_due().await.expect("sent");
    let mut page = acme.deliveries(&DeliveryQuery::new()).await.expect("listed");
    (acme.details(webhook).await.expect("there"), page.items.remove(0))
}

#[tokio::test]
async fn a_cut_answer_is_judged_like_a_whole_one() {
    let (_, delivery) = delivered_to("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    assert_eq!(delivery.state, DeliveryState::Ended(End::Delivered));
    let (details, _) = delivered_to("HTTP/1.1 410 Gone\r\ncontent-length: 100\r\n\r\nonly this").await;
    assert_eq!(details.disabled.and_then(|it| it.reason), Some(DisableReason::Gone));
    let limited = "HTTP/1.1 429 Slow\r\ncontent-length: 100\r\nretry-after: 3600\r\n\r\nonly this";
    let (_, delivery) = delivered_to(limited).await;
    let waits = delivery.due_at.expect("it waits").since(delivery.created_at);
    assert!(waits >= Duration::from_secs(3600), "{waits:?}");
}

#[tokio::test]
async fn a_stream_that_is_reset_after_its_head_keeps_it() {
    let identity = Identity::of(&[HOST]);
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    let transport = builder.resolver(Answers::always(&["127.0.0.1"])).build().expect("valid");
    let mut receiver = H2Server::allowing(100, &identity).await;
    let url = format!("https://{HOST}:{}/", receiver.port());
    let (answer, ()) = tokio::join!(transport.send(post(&url), &LIMITS), async {
        let opened = receiver.next(HEADERS).await.expect("a request");
        receiver.answer_and_reset(opened.stream);
    });
    let answer = answer.expect("a complete head");
    assert!(answer.status() == StatusCode::OK && is_incomplete(&answer));
}

/// A receiver that answers before it has read the request, and closes with the rest unread.
#[tokio::test]
async fn a_connection_that_is_reset_after_a_head_keeps_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().expect("bound").port());
    let transport = HttpTransport::builder().allow_loopback().build().expect("valid");
    for _ in 0..20 {
        let long = Request::post(&url).body(Bytes::from(vec![b'x'; 4 << 20])).expect("a request");
        let (answer, ()) = tokio::join!(transport.send(long, &LIMITS), async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.read_exact(&mut [0; 2048]).await.expect("it is longer");
            let head = b"HTTP/1.1 413 Too Long\r\ncontent-length: 100\r\n\r\nonly this";
            stream.write_all(head).await.expect("open");
            reset(stream).await;
        });
        let answer = answer.expect("a complete head");
        assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (413, &b"only this"[..]));
        assert!(is_incomplete(&answer));
    }
}

#[tokio::test]
async fn odd_lines_that_are_not_used_do_not_undo_an_answer() {
    for line in [
        "x-long: one\r\n two",
        "x-odd : v",
        "x-odd: a\x7fb",
        "x-odd: a\x01b",
        "x-\x01odd: a",
        "no colon at all",
        ": no name",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{line}\r\nx-last: seen\r\ncontent-length: 2\r\n\r\nok");
        let answer = answer_to(Script::Raw(text.leak())).await.expect(line);
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, &b"ok"[..]), "{line:?}");
        assert_eq!(answer.headers()["x-last"], "seen", "{line:?}");
        assert!(!is_incomplete(&answer), "{line:?}");
    }
}

#[tokio::test]
async fn a_head_may_have_a_thousand_lines_within_its_bytes() {
    for lines in [101, 1_000] {
        let lines: String = (0..lines).map(|n| format!("x-{n:05}: vv\r\n")).collect();
        let text = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n");
        let answer = answer_to(Script::Raw(text.leak())).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
