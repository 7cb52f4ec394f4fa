//! [`HttpTransport`]: one exchange over a connection of its pool.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::body;
use super::call::Call;
use super::connector::{Connector, GuardedConnector};
use super::guard::Endpoint;
use super::look_ups::{LookUps, within};
use super::pool::{Lease, Pool};
use super::resolve::Resolvers;
use super::sender::SendFailure;
use crate::model::CallbackUrl;
use crate::transport::error::TransportError;
use crate::transport::incomplete::IncompleteBody;
use crate::transport::limits::SendLimits;
use crate::transport::traits::Transport;

/// How often a request is sent again because the receiver did not process it, kept connections aside that it closed. A receiver that restarts needs one
/// or two; the bound is for one that refuses every request.
const MAX_RESENDS: usize = 3;

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
/// may have up to 64 KiB, and in HTTP/1 up to 1,024 lines; lines that are not valid are skipped. The body may take
/// 2 s after the head; what came of it by then is kept.
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
    pub(super) configured: Arc<RwLock<Arc<Configured>>>,
}

/// What one set of settings makes. It has a connection pool of its own, so that no connection is reused under
/// other settings.
#[derive(Debug)]
pub(super) struct Configured {
    pool: Pool,
    checks: GuardedConnector,
    look_ups: LookUps,
}

/// The head of a response, with what has to be kept until its body was read. The call ends before the lease does.
struct Answered {
    response: Response<Incoming>,
    call: Call,
    lease: Lease,
}

impl Configured {
    /// Creates an empty pool that opens connections by `connector`, whose look-ups these are; `checks` serves `check`.
    pub(super) fn new(connector: Connector, checks: GuardedConnector, look_ups: LookUps) -> Self {
        Self { pool: Pool::new(connector), checks, look_ups }
    }

    /// Sends the request until it is processed, and waits for the head of the response. Sets `has_connection` once
    /// there is one.
    async fn answered(
        &self,
        request: &Request<Bytes>,
        has_connection: &AtomicBool,
    ) -> Result<Answered, TransportError> {
        let mut resends = 0;
        loop {
            let mut lease = self.pool.lease(request.uri()).await?;
            has_connection.store(true, Ordering::Relaxed);
            let (call, request) = Call::begin(request, lease.handle(), lease.is_http2());
            match lease.send(request).await {
                Ok(response) => return Ok(Answered { response, call, lease }),
                // A receiver that restarted leaves many such connections. Each is met once.
                Err(SendFailure { was_stale: true, .. }) => {}
                Err(SendFailure { unprocessed: true, .. }) if resends < MAX_RESENDS => resends += 1,
                Err(failure) => return Err(failure.error),
            }
        }
    }
}

impl HttpTransport {
    /// Returns the current settings. The value is only ever replaced whole, so a poisoned lock is harmless.
    fn configured(&self) -> Arc<Configured> {
        Arc::clone(&self.configured.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        limits: &SendLimits,
    ) -> Result<Response<Bytes>, TransportError> {
        let started = Instant::now();
        let configured = self.configured();
        let host = request.uri().host().unwrap_or_default();
        let has_connection = AtomicBool::new(false);
        let answered = configured.answered(&request, &has_connection);
        let waits_for_name = || !has_connection.load(Ordering::Relaxed) && configured.look_ups.include(host);
        let answered = within(limits.deadline(), answered, waits_for_name).await?;
        // The call is dropped before the lease.
        let Answered { response, lease: _lease, call } = answered;
        let left = limits.deadline().saturating_sub(started.elapsed());
        let response = body::collect(response, limits.body_bytes(), left).await;
        if response.extensions().get::<IncompleteBody>().is_none() {
            call.answered();
        }
        Ok(response)
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        let url = url.as_url();
        let host = url.host_str().expect("a CallbackUrl has a host");
        let port = url.port_or_known_default().expect("a CallbackUrl is http or https");
        let endpoint = Endpoint { port, is_plain: url.scheme() == "http" };
        self.configured().checks.checked_addresses(host, endpoint).await.map(drop)
    }
}
