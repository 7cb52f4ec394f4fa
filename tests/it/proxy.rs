//! The egress proxy: every request goes through it, and it is asked for checked addresses only.

use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookwire::model::{CallbackUrl, FailureKind};
use hookwire::transport::{HttpTransport, Resolve, SendLimits, Transport, TransportError};
use http::{Request, StatusCode};

use crate::support::answers::{Answers, Unknown};
use crate::support::identity::Identity;
use crate::support::proxy::{TestProxy, Tunnel};
use crate::support::receiver::{Receiver, Script};

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_secs(30), 1024);

async fn send(transport: &HttpTransport, url: &str) -> Result<StatusCode, TransportError> {
    let request = Request::post(url).body(Bytes::from_static(b"{}")).expect("a request");
    transport.send(request, &LIMITS).await.map(|answer| answer.status())
}

fn ok() -> Script {
    Script::Answer(StatusCode::OK, Bytes::new())
}

#[tokio::test]
async fn a_request_goes_through_a_tunnel_to_the_judged_address() {
    let identity = Identity::of(&[HOST]);
    for (address, asked) in [("8.8.8.8", "8.8.8.8:8443"), ("2606:4700::1111", "[2606:4700::1111]:8443")] {
        let receiver = Receiver::https(&identity, ok()).await;
        let proxy = TestProxy::open(Tunnel::To(receiver.port())).await;
        let builder = HttpTransport::builder().trust_pem(identity.pem()).proxy(&proxy.url());
        let transport = builder.resolver(Answers::always(&[address])).build().expect("valid");
        for _ in 0..2 {
            let status = send(&transport, &format!("https://{HOST}:8443/")).await.expect("an answer");
            assert_eq!(status, StatusCode::OK);
        }
        assert_eq!(proxy.asked(), [format!("CONNECT {asked} HTTP/1.1\r\nhost: {asked}\r\n\r\n")]);
        assert_eq!(receiver.requests().len(), 2, "over one tunnel");
    }
}

#[tokio::test]
async fn the_proxy_is_told_name_and_password() {
    let proxy = TestProxy::open(Tunnel::Nowhere("HTTP/1.1 407 Who are you?\r\n\r\n")).await;
    let url = format!("http://ada:s%40cret@127.0.0.1:{}", proxy.port());
    let transport = HttpTransport::builder().proxy(&url).build().expect("valid");
    let error = send(&transport, "https://8.8.8.8/").await.expect_err("refused by the proxy");
    assert!(proxy.asked()[0].contains("\r\nproxy-authorization: Basic YWRhOnNAY3JldA==\r\n"));
    assert!(error.detail().contains("407 Who are you?"), "{}", error.detail());
    for shown in [error.detail(), format!("{transport:?}")] {
        assert!(
            !shown.contains("s@cret") && !shown.contains("s%40cret") && !shown.contains("YWRh"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn what_the_policy_forbids_never_reaches_the_proxy() {
    let proxy = TestProxy::open(Tunnel::Hang).await;
    for inside in [&["10.0.0.1"][..], &["127.0.0.1"], &["169.254.169.254"], &["8.8.8.8", "10.0.0.1"]] {
        let builder = HttpTransport::builder().proxy(&proxy.url()).resolver(Answers::always(inside));
        let transport = builder.build().expect("valid");
        let url = CallbackUrl::parse("https://hooks.example.com/").expect("valid");
        assert_eq!(transport.check(&url).await.expect_err("forbidden").kind(), FailureKind::Refused);
        assert_eq!(send(&transport, url.as_str()).await.expect_err("forbidden").kind(), FailureKind::Refused);
    }
    assert!(proxy.asked().is_empty());
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_a_connect_failure() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\n\r\n",
        "",
    ] {
        let proxy = TestProxy::open(Tunnel::Nowhere(answer)).await;
        let transport = HttpTransport::builder().proxy(&proxy.url()).build().expect("valid");
        let error = send(&transport, "https://8.8.8.8/").await.expect_err("no tunnel");
        assert_eq!(error.kind(), FailureKind::Connect, "{answer:?}: {}", error.detail());
        assert_eq!(proxy.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_a_proxy_says_of_itself_is_a_failure_of_the_sender() {
    for answer in [
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 501 Not Implemented\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
    ] {
        let proxy = TestProxy::open(Tunnel::Nowhere(answer)).await;
        let transport = HttpTransport::builder().proxy(&proxy.url()).build().expect("valid");
        let error = send(&transport, "https://8.8.8.8/").await.expect_err("no tunnel");
        assert_eq!(error.kind(), FailureKind::Local, "{answer:?}: {}", error.detail());
        assert_eq!(error.to_string(), "the sender could not open a connection", "a tenant hears no more");
    }
}

#[tokio::test]
async fn a_proxy_whose_name_is_not_found_is_a_failure_of_the_sender() {
    let builder = HttpTransport::builder().proxy("http://proxy.internal:3128").resolver(Unknown);
    let error = send(&builder.build().expect("valid"), "https://8.8.8.8/").await.expect_err("no proxy");
    assert_eq!(error.kind(), FailureKind::Local, "{}", error.detail());
}

#[tokio::test]
async fn a_proxy_that_is_not_reached_is_named_beside_the_address() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = closed.local_addr().expect("bound");
    drop(closed);
    let transport =
        HttpTransport::builder().proxy(&format!("http://ada:s3cret@{proxy}")).build().expect("valid");
    let error = send(&transport, "https://8.8.8.8/").await.expect_err("no proxy");
    assert_eq!(error.kind(), FailureKind::Local);
    let told = error.detail();
    assert!(told.contains("8.8.8.8:443") && told.contains(&format!("the egress proxy {proxy}")), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
}

/// The body of a refusal is not waited for. The deadline is longer than any test may take.
#[tokio::test]
async fn a_refusal_of_the_proxy_fails_at_once_whatever_comes_with_it() {
    for answer in [
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nForbidden",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 1000000\r\n\r\nF",
        "HTTP/1.1 403 Forbidden\r\n",
        "HTTP/1.1 200 OK\r\n\r\n403 Forbidden",
    ] {
        let proxy = TestProxy::open(Tunnel::Open(answer)).await;
        let transport = HttpTransport::builder().proxy(&proxy.url()).build().expect("valid");
        let request = Request::post("https://8.8.8.8/").body(Bytes::new()).expect("a request");
        let limits = LIMITS.with_deadline(Duration::from_secs(60 * 60));
        let sent = tokio::time::timeout(Duration::from_secs(5), transport.send(request, &limits));
        let error = sent.await.expect("at once").expect_err("no tunnel");
        assert_eq!(error.kind(), FailureKind::Connect, "{answer:?}");
        let told = if answer.contains("200") { "spoke before" } else { "403 Forbidden" };
        assert!(error.detail().contains(told), "{}", error.detail());
    }
}

#[tokio::test]
async fn a_proxy_that_hangs_is_left_at_the_deadline() {
    let proxy = TestProxy::open(Tunnel::Hang).await;
    let transport = HttpTransport::builder().proxy(&proxy.url()).build().expect("valid");
    let request = Request::post("https://8.8.8.8/").body(Bytes::new()).expect("a request");
    let limits = LIMITS.with_deadline(Duration::from_millis(400));
    let error = transport.send(request, &limits).await.expect_err("no answer");
    assert_eq!(error.kind(), FailureKind::Timeout);
}

#[tokio::test]
async fn opened_loopback_is_this_machine_and_not_the_proxys() {
    let receiver = Receiver::plain(ok()).await;
    let proxy = TestProxy::open(Tunnel::Hang).await;
    let builder = HttpTransport::builder().allow_loopback().proxy(&proxy.url());
    let transport = builder.build().expect("valid");
    send(&transport, &format!("http://localhost:{}/", receiver.port())).await.expect("an answer");
    assert!(proxy.asked().is_empty());
}

/// Knows the proxy, inside, and everybody else, outside.
#[derive(Debug)]
struct Names;

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![if host == "proxy.internal" { [127, 0, 0, 1] } else { [8, 8, 8, 8] }.into()])
    }
}

#[tokio::test]
async fn the_proxy_may_be_inside_and_known_by_name() {
    let identity = Identity::of(&[HOST]);
    let receiver = Receiver::https(&identity, ok()).await;
    let proxy = TestProxy::open(Tunnel::To(receiver.port())).await;
    let builder = HttpTransport::builder().trust_pem(identity.pem()).resolver(Names);
    let builder = builder.proxy(&format!("http://proxy.internal:{}", proxy.port()));
    let transport = builder.build().expect("valid");
    send(&transport, &format!("https://{HOST}/")).await.expect("an answer");
    assert_eq!(receiver.requests().len(), 1);
    let to_itself = send(&transport, &format!("https://127.0.0.1:{}/", proxy.port())).await;
    assert_eq!(to_itself.expect_err("open to us, not to webhooks").kind(), FailureKind::Refused);
}

/// The environment of a process is set before it starts, so the test that a request arrives runs once more,
/// in a process whose environment names a proxy for everything.
#[tokio::test]
async fn proxies_of_the_environment_are_ignored() {
    let proxy = TestProxy::open(Tunnel::Hang).await;
    let mut again = Command::new(std::env::current_exe().expect("this binary"));
    again.args(["--exact", "http_transport::a_request_arrives_as_it_is_and_its_answer_comes_back"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        again.env(name, proxy.url());
    }
    again.env("no_proxy", "").env("NO_PROXY", "");
    let ran = tokio::task::spawn_blocking(move || again.output()).await.expect("no panic").expect("it runs");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && printed.contains("1 passed"), "{printed}");
    assert!(proxy.asked().is_empty());
}
