//! [`HttpTransport`] and the settings of its HTTP client.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};

use super::body;
use super::call::{Call, RequestBody, within};
use super::classify::classify_client_error;
use super::connector::{Connector, GuardedConnector};
use super::resolve::Resolvers;
use crate::model::{CallbackUrl, FailureKind};
use crate::transport::error::TransportError;
use crate::transport::incomplete::IncompleteBody;
use crate::transport::limits::SendLimits;
use crate::transport::traits::Transport;

/// How long an idle connection is kept. It is short, because each new connection resolves and checks the name again.
const IDLE: Duration = Duration::from_secs(25);

/// The number of idle connections kept for a host: as many as one webhook has in flight by default.
const IDLE_PER_HOST: usize = 16;

/// The maximum size of a response head, so that a receiver cannot fill our memory.
const HEAD_BYTES: u32 = 64 * 1024;

/// The maximum number of header lines of an HTTP/1 head. The client reserves room for all of them each time it
/// parses.
const HEAD_LINES: usize = 1024;

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
/// Responses are read as they are: no compression is requested, and nothing is decompressed. A response head
/// may have up to 64 KiB, in HTTP/1 up to 1,024 lines; lines that are not valid are skipped. The body may take 2 s after the head; what came of it is kept.
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
    client: Client<Connector, RequestBody>,
    checks: GuardedConnector,
}

impl Configured {
    /// Creates a client with an empty pool that opens connections by `connector`; `checks` serves `check`.
    pub(super) fn new(connector: Connector, checks: GuardedConnector) -> Self {
        Self { client: client(connector), checks }
    }
}

impl HttpTransport {
    /// Returns the current client. The value is only ever replaced whole, so a poisoned lock is harmless.
    fn configured(&self) -> Configured {
        self.configured.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let started = Instant::now();
        let (call, request) = Call::begin(request);
        let requesting = within(limits.deadline(), self.configured().client.request(request));
        let response = match timeout(limits.deadline(), requesting).await {
            Ok(response) => response.map_err(classify_client_error)?,
            Err(elapsed) => return Err(TransportError::new(FailureKind::Timeout, elapsed)),
        };
        let left = limits.deadline().saturating_sub(started.elapsed());
        let response = body::collect(response, limits.body_bytes(), left).await;
        if response.extensions().get::<IncompleteBody>().is_none() {
            call.answered();
        }
        Ok(response)
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        self.exchange(request, limits).await
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        let url = url.as_url();
        let host = url.host_str().expect("a CallbackUrl has a host");
        let port = url.port_or_known_default().expect("a CallbackUrl is http or https");
        self.configured().checks.checked_addresses(host, port).await.map(drop)
    }
}

fn client(connector: Connector) -> Client<Connector, RequestBody> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .retry_canceled_requests(false)
        .http1_max_buf_size(HEAD_BYTES as usize)
        .http1_max_headers(HEAD_LINES)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_max_header_list_size(HEAD_BYTES)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING)
        .build(connector)
}
