//! A webhook receiver that answers by a script.

use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::identity::Identity;

type AnswerBody = BoxBody<Bytes, Infallible>;

/// The reaction of a receiver to each request.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Answers with this status and body.
    Answer(StatusCode, Bytes),
    /// Answers with a body that never ends, a byte at a time.
    Drip,
    /// Never answers.
    Hang,
    /// Answers with this many headers, each with a value of this length.
    Headers(usize, usize),
    /// Writes this to the connection, whatever HTTP says of it, and ends it.
    Raw(&'static str),
    /// Writes this to the connection, and then nothing more, for as long as the client is there.
    Stall(&'static str),
    /// Answers 302 and points there.
    Redirect(String),
}

/// A webhook receiver on a loopback port, which ends with the test's runtime.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The ports that connections came from, in turn.
    peers: watch::Sender<Vec<u16>>,
    /// The connections of the test itself, which are not counted.
    probes: Mutex<Vec<u16>>,
    requests: Mutex<Vec<Request<Bytes>>>,
}

impl Receiver {
    /// Receives over TLS, by HTTP/2 or HTTP/1.1 as the client likes.
    pub(crate) async fn https(identity: &Identity, script: Script) -> Self {
        Self::speaking(&["h2", "http/1.1"], identity, script).await
    }

    /// Receives over TLS by these protocols.
    pub(crate) async fn speaking(protocols: &[&str], identity: &Identity, script: Script) -> Self {
        Self::start(Some(identity.acceptor(protocols)), script).await
    }

    /// Receives over TLS as this acceptor does.
    pub(crate) async fn accepting(acceptor: TlsAcceptor, script: Script) -> Self {
        Self::start(Some(acceptor), script).await
    }

    /// Receives without TLS.
    pub(crate) async fn plain(script: Script) -> Self {
        Self::start(None, script).await
    }

    async fn start(tls: Option<TlsAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Seen::default());
        tokio::spawn(accept(listener, tls, script, Arc::clone(&seen)));
        Self { address, seen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request that came in whole.
    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        locked(&self.seen.requests).clone()
    }

    /// Returns the number of connections that others have opened.
    ///
    /// Connections are accepted in turn, so once one of our own has come, all earlier ones have.
    pub(crate) async fn connections(&self) -> usize {
        let probe = TcpStream::connect(self.address).await.expect("the receiver listens");
        let probe = probe.local_addr().expect("connected").port();
        locked(&self.seen.probes).push(probe);
        let mut peers = self.seen.peers.subscribe();
        let peers = peers.wait_for(|peers| peers.contains(&probe)).await.expect("the receiver runs");
        peers.len() - locked(&self.seen.probes).len()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, script: Script, seen: Arc<Seen>) {
    while let Ok((stream, peer)) = listener.accept().await {
        seen.peers.send_modify(|peers| peers.push(peer.port()));
        let (tls, script, seen) = (tls.clone(), script.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            match tls {
                None => serve(stream, false, script, seen).await,
                Some(tls) => {
                    // A client that turns away in the handshake is what some tests are about.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    serve(stream, http2, script, seen).await;
                }
            }
        });
    }
}

async fn serve<S>(stream: S, http2: bool, script: Script, seen: Arc<Seen>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match script {
        Script::Raw(text) => return write_raw(stream, text, false).await,
        Script::Stall(text) => return write_raw(stream, text, true).await,
        _ => {}
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let (script, seen) = (script.clone(), Arc::clone(&seen));
        async move { Ok::<_, Infallible>(receive(request, script, &seen).await) }
    });
    let stream = TokioIo::new(stream);
    // A client that breaks off is what some tests are about.
    let _ = match http2 {
        true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await,
        false => http1::Builder::new().serve_connection(stream, service).await,
    };
}

async fn write_raw(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str, stalls: bool) {
    let mut head = Vec::new();
    while !head.windows(4).any(|it| it == b"\r\n\r\n")
        && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0)
    {}
    stream.write_all(text.as_bytes()).await.expect("the client reads");
    if !stalls {
        // The client may have gone.
        let _ = stream.shutdown().await;
    }
    // It is closed when the client has gone: a close with bytes unread would take back what was written.
    while stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
}

async fn receive(request: Request<Incoming>, script: Script, seen: &Seen) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        locked(&seen.requests).push(Request::from_parts(head, body.to_bytes()));
    }
    match script {
        Script::Answer(status, body) => with(|answer| answer.status(status), body),
        Script::Drip => Response::new(drip()),
        Script::Hang => pending().await,
        Script::Headers(count, length) => headers(count, length),
        Script::Redirect(to) => {
            with(|answer| answer.status(StatusCode::FOUND).header(LOCATION, to), Bytes::new())
        }
        Script::Raw(_) | Script::Stall(_) => unreachable!("written before HTTP begins"),
    }
}

fn with(
    head: impl FnOnce(http::response::Builder) -> http::response::Builder,
    body: Bytes,
) -> Response<AnswerBody> {
    head(Response::builder()).body(Full::new(body).boxed()).expect("a valid answer")
}

fn headers(count: usize, length: usize) -> Response<AnswerBody> {
    let name = |index| HeaderName::try_from(format!("x-{index}")).expect("a header name");
    let fill = |answer, index| http::response::Builder::header(answer, name(index), "v".repeat(length));
    with(|answer| (0..count).fold(answer, fill), Bytes::new())
}

fn drip() -> AnswerBody {
    let (mut drops, body) = Channel::new(1);
    tokio::spawn(async move {
        while drops.send_data(Bytes::from_static(b".")).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    body.boxed()
}
