//! Calls to receivers that do not read, or answer early, or go away half: within 5 s of the deadline the body is
//! let go and the connection closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookwire::transport::{HttpTransport, SendLimits, Transport};
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::support::answers::Answers;
use crate::support::identity::Identity;
#[cfg(target_os = "linux")]
use crate::support::memory::resident;

const HOST: &str = "hooks.example.com";
/// How long a call's things may be there after its deadline.
const BOUND: Duration = Duration::from_secs(5);

/// The limits of a call to this peer. One that answers has the time that a busy machine needs.
fn limits(peer: Peer) -> SendLimits {
    SendLimits::new(Duration::from_millis(if peer == Peer::Answers { 30_000 } else { 400 }), 1024)
}

/// How long a receiver may take to read what is left in the buffers of a connection that was closed: its own are small.
const DRAINED: Duration = Duration::from_secs(60);

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
    socket.listen(1024).expect("a listener")
}

/// Serves all connections that come until it is over, and ends when each of them has ended. A call that was cut early
/// opens none.
async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsAcceptor>>,
    peer: Peer,
    mut over: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = listener.accept() => stream.expect("a client").0,
            _ = over.wait_for(|over| *over) => break,
        };
        let (tls, over, open) = (tls.clone(), over.clone(), Arc::clone(&open));
        open.fetch_add(1, Ordering::SeqCst);
        connections.spawn(async move {
            match tls {
                Some(tls) if peer != Peer::Speechless => {
                    if let Ok(stream) = tls.accept(stream).await {
                        act(stream, peer, over).await;
                    }
                }
                _ => act(stream, peer, over).await,
            }
            open.fetch_sub(1, Ordering::SeqCst);
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

/// A receiver of calls that have ended. It goes on until it is told.
struct Called {
    served: JoinHandle<()>,
    /// The connections that the receiver has.
    open: Arc<AtomicUsize>,
    tell: watch::Sender<bool>,
    _transport: HttpTransport,
}

/// Makes some calls to such a receiver. Their bodies must be let go in time.
async fn call(peer: Peer, protocol: Option<&str>, size: usize, calls: usize) -> Called {
    let identity = Identity::of(&[HOST]);
    let listener = small();
    let port = listener.local_addr().expect("bound").port();
    let scheme = if protocol.is_some() { "https" } else { "http" };
    let tls = protocol.map(|protocol| Arc::new(identity.acceptor(&[protocol])));
    let (tell, over) = watch::channel(false);
    let open = Arc::<AtomicUsize>::default();
    let served = tokio::spawn(serve(listener, tls, peer, over, Arc::clone(&open)));
    let builder = HttpTransport::builder().allow_loopback().trust_pem(identity.pem());
    let transport = builder.resolver(Answers::always(&["127.0.0.1"])).build().expect("valid");
    let (lets_go, mut let_go) = mpsc::unbounded_channel();
    let mut sending = JoinSet::new();
    for _ in 0..calls {
        let body = Bytes::from_owner(Held(vec![b'x'; size], lets_go.clone()));
        let request = Request::post(format!("{scheme}://{HOST}:{port}/")).body(body).expect("a request");
        let transport = transport.clone();
        sending.spawn(async move { transport.send(request, &limits(peer)).await.is_ok() });
    }
    let sent = timeout(Duration::from_secs(60), sending.join_all()).await.expect("the deadline is kept");
    assert!(sent.iter().all(|is_ok| *is_ok == (peer == Peer::Answers)), "{peer:?} {protocol:?}: {sent:?}");
    for _ in 0..calls {
        let held = |_| panic!("{peer:?} {protocol:?} {size}: a body is held");
        timeout(BOUND, let_go.recv()).await.unwrap_or_else(held);
    }
    Called { served, open, tell, _transport: transport }
}

/// Makes a call to such a receiver, of which nothing must be left, while the transport goes on.
async fn bounded(peer: Peer, protocol: Option<&str>, size: usize) {
    let called = call(peer, protocol, size, 1).await;
    called.tell.send(true).expect("the receiver listens");
    let held = |_| panic!("{peer:?} {protocol:?} {size}: a connection is held");
    timeout(DRAINED, called.served).await.unwrap_or_else(held).expect("the receiver does not panic");
    assert_eq!(called.open.load(Ordering::SeqCst), 0, "each has ended");
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
            bounded(peer, protocol, size).await;
        }
    }
}

#[tokio::test]
async fn nothing_of_a_call_is_left_when_tls_or_http_2_does_not_begin() {
    bounded(Peer::Speechless, Some("http/1.1"), 8 << 20).await;
    bounded(Peer::Mute, Some("h2"), 8 << 20).await;
    bounded(Peer::HalfShut, Some("h2"), 8 << 20).await;
}

/// The number of descriptors of this process.
#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

/// Waits until there are no more than these, for as long as a call's things may be there.
#[cfg(target_os = "linux")]
async fn until_descriptors(most: impl Fn() -> usize + Send + Sync) {
    let closed = async {
        while descriptors() > most() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(BOUND, closed)
        .await
        .unwrap_or_else(|_| panic!("{} descriptors are more than {}", descriptors(), most()));
}

/// A thousand calls have 250 MiB of bodies.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn descriptors_and_memory_are_as_before_after_a_thousand_calls() {
    let name = "bounded_calls::descriptors_and_memory_are_as_before_after_a_thousand_calls";
    if !crate::support::alone::is_alone(name, "true").await {
        return;
    }
    let calls = async |calls: usize| {
        for (peer, protocol) in [
            (Peer::Drips, None),
            (Peer::HalfShut, Some("http/1.1")),
            (Peer::Mute, Some("h2")),
            (Peer::Mute, Some("http/1.1")),
            (Peer::Speechless, Some("http/1.1")),
        ] {
            let before = descriptors();
            let called = call(peer, protocol, 256 << 10, calls / 5).await;
            // The receiver keeps its ends, and its listener. The transport goes on, and closes its own.
            until_descriptors(|| before + called.open.load(Ordering::SeqCst) + 1).await;
            called.served.abort();
        }
    };
    // What the first calls make stays: threads of the runtime, buffers of the allocator.
    calls(500).await;
    let memory = || resident() >> 20; // in MiB
    let before = (descriptors(), memory());
    calls(500).await;
    calls(500).await;
    until_descriptors(|| before.0).await;
    let after = memory();
    assert!(after < before.1 + 32, "{} MiB before, {after} after", before.1);
}
