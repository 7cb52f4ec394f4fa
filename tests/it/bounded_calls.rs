//! Calls to receivers that do not read, or answer early, or go away half: within 5 s of the deadline the body is
//! let go and the connection closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookwire::transport::{HttpTransport, SendLimits, Transport};
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::support::answers::Answers;
use crate::support::identity::Identity;

const HOST: &str = "hooks.example.com";
const LIMITS: SendLimits = SendLimits::new(Duration::from_millis(400), 1024);

/// How long a call's things may be there after its deadline.
const BOUND: Duration = Duration::from_secs(5);

/// What a receiver does with a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Peer {
    /// It answers 200 and reads no further.
    Answers,
    /// It reads a few bytes at a time.
    Drips,
    /// It shuts down its own direction, and reads nothing.
    HalfShut,
    /// It reads nothing.
    Mute,
    /// It does not even answer the handshake of TLS.
    Speechless,
}

/// The bytes of a body, which tell when they are let go.
struct Held(Vec<u8>, mpsc::UnboundedSender<()>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.1.send(());
    }
}

/// A listener whose connections take little before they are read.
fn small() -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    socket.listen(64).expect("a listener")
}

/// Serves `calls` connections, and ends when each of them has ended.
async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsAcceptor>>,
    peer: Peer,
    calls: usize,
    over: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    for _ in 0..calls {
        let (stream, _) = listener.accept().await.expect("a client");
        let (tls, over) = (tls.clone(), over.clone());
        connections.spawn(async move {
            match tls {
                Some(tls) if peer != Peer::Speechless => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    act(stream, peer, over).await;
                }
                _ => act(stream, peer, over).await,
            }
        });
    }
    connections.join_all().await;
}

async fn act(mut stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, mut over: watch::Receiver<bool>) {
    let mut read = [0; 256];
    match peer {
        Peer::Answers => {
            let _ = stream.read(&mut read).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
        Peer::Drips => {
            while !*over.borrow() && stream.read(&mut read).await.is_ok_and(|read| read > 0) {
                sleep(Duration::from_millis(10)).await;
            }
        }
        Peer::HalfShut => stream.shutdown().await.expect("open"),
        Peer::Mute | Peer::Speechless => {}
    }
    let _ = over.wait_for(|over| *over).await;
    // What is in the buffers, up to the end that the client has made.
    while stream.read(&mut read).await.is_ok_and(|read| read > 0) {}
}

/// Makes some calls to such a receiver. All of them must be gone in time.
async fn bounded(peer: Peer, protocol: Option<&str>, size: usize, calls: usize) {
    let identity = Identity::of(&[HOST]);
    let listener = small();
    let port = listener.local_addr().expect("bound").port();
    let scheme = if protocol.is_some() { "https" } else { "http" };
    let tls = protocol.map(|protocol| Arc::new(identity.acceptor(&[protocol])));
    let (tell, over) = watch::channel(false);
    let served = tokio::spawn(serve(listener, tls, peer, calls, over));
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    let transport = builder.resolver(Answers::always(&["127.0.0.1"])).build().expect("valid");
    let (lets_go, mut let_go) = mpsc::unbounded_channel();
    let mut sending = JoinSet::new();
    for _ in 0..calls {
        let body = Bytes::from_owner(Held(vec![b'x'; size], lets_go.clone()));
        let request = Request::post(format!("{scheme}://{HOST}:{port}/")).body(body).expect("a request");
        let transport = transport.clone();
        sending.spawn(async move { transport.send(request, &LIMITS).await.is_ok() });
    }
    let sent = timeout(Duration::from_secs(10), sending.join_all()).await.expect("the deadline is kept");
    assert!(sent.iter().all(|is_ok| *is_ok == (peer == Peer::Answers)), "{peer:?} {protocol:?}: {sent:?}");
    let case = format!("{peer:?} {protocol:?} {size}");
    for _ in 0..calls {
        timeout(BOUND, let_go.recv()).await.unwrap_or_else(|_| panic!("{case}: a body is held"));
    }
    tell.send(true).expect("the receiver listens");
    let served = timeout(BOUND, served).await.unwrap_or_else(|_| panic!("{case}: a connection is held"));
    served.expect("the receiver does not panic");
}

#[tokio::test]
async fn nothing_of_a_call_is_left_whatever_an_http_1_receiver_does() {
    for protocol in [None, Some("http/1.1")] {
        for (peer, size) in [
            (Peer::Answers, 8 << 20),
            (Peer::Drips, 8 << 20),
            (Peer::HalfShut, 8 << 20),
            (Peer::Mute, 8 << 20),
            (Peer::Mute, 256 << 10),
            (Peer::Mute, 2),
        ] {
            bounded(peer, protocol, size, 1).await;
        }
    }
}

#[tokio::test]
async fn nothing_of_a_call_is_left_when_tls_or_http_2_does_not_begin() {
    bounded(Peer::Speechless, Some("http/1.1"), 8 << 20, 1).await;
    bounded(Peer::Mute, Some("h2"), 8 << 20, 1).await;
    bounded(Peer::HalfShut, Some("h2"), 8 << 20, 1).await;
}

#[tokio::test]
async fn nothing_is_left_of_many_calls() {
    for _ in 0..10 {
        bounded(Peer::Mute, Some("http/1.1"), 256 << 10, 20).await;
    }
}
