mod builder;
mod connector;
mod embedded;
mod failure;
mod guard;
mod proxy;
mod resolve;
mod settings;
mod special;
mod stream;
mod tls;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub use self::builder::{BuildTransportError, HttpTransportBuilder, TransportFault};
use self::connector::{Connector, Gate};
use self::failure::failure;
pub use self::resolve::Resolve;
use self::resolve::Resolvers;
use super::{SendLimits, Transport, TransportError};
use crate::model::{CallbackUrl, FailureKind};

/// How long an idle connection is kept: short, since each new one is a new look at name and address.
const IDLE: Duration = Duration::from_secs(25);

/// Idle connections kept for a host: what one webhook may have in flight by default.
const IDLE_PER_HOST: usize = 16;

/// The most that the head of an answer may take, so that a receiver cannot fill our memory.
const HEAD_BYTES: u32 = 64 * 1024;

/// What a receiver may send on one HTTP/2 stream, and on a connection, before we have read any of it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// How soon a dead HTTP/2 connection is noticed, which would otherwise swallow each next request too.
const PING: Duration = Duration::from_secs(10);

/// Sends requests over HTTP/1.1 and HTTP/2 with TLS, to checked addresses alone.
///
/// Each connection is guarded: the host is resolved, **every** address is judged, one that is forbidden
/// refuses them all, and only what was judged is dialled. By default nothing but public unicast
/// addresses passes: no loopback, private or link-local network, no metadata service, and no IPv6 form
/// of one. Proxies from the environment are never used and redirects never followed, because either
/// would connect without being judged. A proxy of the host's own is an option
/// ([`proxy`](HttpTransportBuilder::proxy)), and is told the judged address.
///
/// Answers are read as they come: nothing is asked to be compressed, and nothing is decompressed. Their heads
/// may have 64 KiB.
///
/// Needs a tokio runtime when it is used, not when it is built. Clones share their settings and their
/// connections; [`reconfigure`](Self::reconfigure) changes both while requests run.
///
/// ```no_run
/// use bytes::Bytes;
/// use hookwire::transport::{HttpTransport, SendLimits, Transport};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = HttpTransport::new()?;
/// let request = http::Request::post("https://hooks.example.com/assist").body(Bytes::from("{}"))?;
/// let answer = transport.send(request, &SendLimits::default()).await?;
/// assert!(answer.status().is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HttpTransport {
    system: Resolvers,
    present: Arc<RwLock<Wiring>>,
}

/// What one set of settings comes to. Its connections are its own, so none outlives the rules by which it was
/// opened, but for the requests that are under way on it.
#[derive(Clone, Debug)]
struct Wiring {
    client: Client<Connector, Full<Bytes>>,
    checks: Gate,
}

impl HttpTransport {
    /// The transport for production: public addresses, the system's trusted roots.
    ///
    /// # Errors
    ///
    /// [`BuildTransportError`] if the system has no trusted roots.
    pub fn new() -> Result<Self, BuildTransportError> {
        Self::builder().build()
    }

    /// Starts a transport with other addresses, trust, proxy or resolver.
    pub fn builder() -> HttpTransportBuilder {
        HttpTransportBuilder::default()
    }

    /// Goes by other settings from now on, in all clones: addresses, trust, proxy and resolver. Requests that
    /// have begun end by the old ones, within their deadlines; every later one is judged anew and opens a
    /// new connection. Reads the system's trusted roots again.
    ///
    /// ```
    /// use hookwire::transport::HttpTransport;
    ///
    /// let settings = HttpTransport::builder().allow_network("10.1.0.0/16");
    /// let transport = settings.clone().build()?;
    /// transport.reconfigure(settings.deny_network("10.1.7.0/24"))?;
    /// # Ok::<_, hookwire::transport::BuildTransportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BuildTransportError`] with every fault at once; the old settings stay.
    pub fn reconfigure(&self, settings: HttpTransportBuilder) -> Result<(), BuildTransportError> {
        let wiring = settings.wire(&self.system)?;
        *self.present.write().unwrap_or_else(PoisonError::into_inner) = wiring;
        Ok(())
    }

    /// A wiring is only ever replaced whole, so a poisoned lock is as good.
    fn present(&self) -> Wiring {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        body_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let answer = self.present().client.request(request.map(Full::new)).await.map_err(failure)?;
        let (head, body) = answer.into_parts();
        let body = read(body, body_bytes).await.map_err(failure)?;
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        match timeout(limits.deadline(), self.exchange(request, limits.body_bytes())).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
        }
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        let url = url.as_url();
        let host = url.host_str().expect("a CallbackUrl has a host");
        let port = url.port_or_known_default().expect("a CallbackUrl is http or https");
        self.present().checks.admit(host, port).await.map(drop)
    }
}

fn client(connector: Connector) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .retry_canceled_requests(false)
        .http1_max_buf_size(HEAD_BYTES as usize)
        .http2_max_header_list_size(HEAD_BYTES)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(connector)
}

/// The first bytes of the body. Not reading on ends the exchange: the rest of the body is dropped with it.
async fn read(mut body: Incoming, body_bytes: usize) -> Result<Bytes, hyper::Error> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await.transpose()? {
        if let Ok(data) = frame.into_data() {
            kept.extend_from_slice(&data);
        }
        if kept.len() > body_bytes {
            kept.truncate(body_bytes);
            break;
        }
    }
    Ok(kept.freeze())
}
