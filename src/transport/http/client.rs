//! [`HttpTransport`] and the settings of its HTTP client.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::classify::classify_client_error;
use super::connector::{Connector, GuardedConnector};
use super::look_ups::{LookUps, within};
use super::resolve::Resolvers;
use crate::model::CallbackUrl;
use crate::transport::error::TransportError;
use crate::transport::limits::SendLimits;
use crate::transport::traits::Transport;

/// How long an idle connection is kept. It is short, because each new connection resolves and checks the name again.
const IDLE: Duration = Duration::from_secs(25);

/// The number of idle connections kept for a host: as many as one webhook has in flight by default.
const IDLE_PER_HOST: usize = 16;

/// The maximum size of a response head, so that a receiver cannot fill our memory.
const HEAD_BYTES: u32 = 64 * 1024;

/// How much a receiver may send on one HTTP/2 stream before we have read any of it.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// The interval and timeout of HTTP/2 pings. They find a dead connection before more requests are sent on it.
const PING: Duration = Duration::from_secs(10);

/// A transport that sends requests over HTTP/1.1 and HTTP/2 with TLS, to checked addresses only.
///
/// For each connection the host is resolved and **every** address is checked. One forbidden address
/// refuses the host, and only checked addresses are dialled. By default only public unicast addresses are
/// allowed: no loopback, private or link-local network, no metadata service, and no IPv6 form of one.
/// Proxies from the environment are never used and redirects are never followed, because either would
/// connect to an address that was not checked. An egress proxy can be set by
/// [`proxy`](super::HttpTransportBuilder::proxy); it is asked for the checked address.
///
/// A name has 8 s to be resolved. Up to 16 of its addresses are dialled for 10 s altogether, two at a time, the next
/// one as soon as one fails or after 250 ms (RFC 8305).
///
/// Responses are read as they are: no compression is requested, and nothing is decompressed. A response head
/// may have up to 64 KiB.
///
/// The transport needs a tokio runtime when it is used, not when it is built. Clones share their settings and
/// connections. [`reconfigure`](Self::reconfigure) replaces both while requests are in progress.
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
    pub(super) system: Resolvers,
    pub(super) configured: Arc<RwLock<Configured>>,
}

/// The client that one set of settings makes. It has a connection pool of its own, so that no connection
/// is reused under other settings.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    client: Client<Connector, Full<Bytes>>,
    checks: GuardedConnector,
    look_ups: LookUps,
}

impl Configured {
    /// Creates a client with an empty pool that opens connections by `connector`, whose look-ups these are; `checks`
    /// serves `check`.
    pub(super) fn new(connector: Connector, checks: GuardedConnector, look_ups: LookUps) -> Self {
        Self { client: client(connector), checks, look_ups }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        body_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let response = self.client.request(request).await.map_err(classify_client_error)?;
        let (head, body) = response.into_parts();
        let body = read(body, body_bytes).await.map_err(classify_client_error)?;
        Ok(Response::from_parts(head, body))
    }
}

impl HttpTransport {
    /// Returns the current client. The value is only ever replaced whole, so a poisoned lock is harmless.
    fn configured(&self) -> Configured {
        self.configured.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let configured = self.configured();
        let host = request.uri().host().unwrap_or_default().to_owned();
        let mut request = request.map(Full::new);
        let captured = capture_connection(&mut request);
        let exchange = configured.exchange(request, limits.body_bytes());
        let has_no_connection = || captured.connection_metadata().is_none();
        within(limits.deadline(), exchange, || has_no_connection() && configured.look_ups.include(&host))
            .await
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        let url = url.as_url();
        let host = url.host_str().expect("a CallbackUrl has a host");
        let port = url.port_or_known_default().expect("a CallbackUrl is http or https");
        self.configured().checks.checked_addresses(host, port).await.map(drop)
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

/// Reads the first bytes of the body. Dropping the rest unread ends the exchange.
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
