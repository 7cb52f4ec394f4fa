//! [`HttpTransport`]: one exchange over a connection of its pool.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::classify::classify_client_error;
use super::connector::{Connector, GuardedConnector};
use super::pool::{Lease, Pool};
use super::resolve::Resolvers;
use super::sender::SendFailure;
use crate::model::{CallbackUrl, FailureKind};
use crate::transport::error::TransportError;
use crate::transport::limits::SendLimits;
use crate::transport::traits::Transport;

/// How often a request is sent again because the receiver did not process it. A receiver that restarts needs one
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

/// What one set of settings makes. It has a connection pool of its own, so that no connection is reused under
/// other settings.
#[derive(Clone, Debug)]
pub(super) struct Configured {
    pool: Pool,
    checks: GuardedConnector,
}

impl Configured {
    /// Creates an empty pool that opens connections by `connector`; `checks` serves `check`.
    pub(super) fn new(connector: Connector, checks: GuardedConnector) -> Self {
        Self { pool: Pool::new(connector), checks }
    }
}

impl HttpTransport {
    /// Returns the current settings. The value is only ever replaced whole, so a poisoned lock is harmless.
    fn configured(&self) -> Configured {
        self.configured.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        body_bytes: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let (response, _lease) = self.answered(&request).await?;
        let (head, body) = response.into_parts();
        let body = read(body, body_bytes).await.map_err(classify_client_error)?;
        Ok(Response::from_parts(head, body))
    }

    /// Sends the request until it is processed, and waits for the head of the response. The lease belongs to the
    /// body.
    async fn answered(
        &self,
        request: &Request<Bytes>,
    ) -> Result<(Response<Incoming>, Lease), TransportError> {
        let pool = self.configured().pool;
        let mut resends = 0;
        loop {
            let mut lease = pool.lease(request.uri()).await?;
            match lease.send(request.clone()).await {
                Ok(response) => return Ok((response, lease)),
                Err(SendFailure { unprocessed: true, .. }) if resends < MAX_RESENDS => resends += 1,
                Err(failure) => return Err(failure.error),
            }
        }
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
            Ok(response) => response,
            Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
        }
    }

    async fn check(&self, url: &CallbackUrl) -> Result<(), TransportError> {
        let url = url.as_url();
        let host = url.host_str().expect("a CallbackUrl has a host");
        let port = url.port_or_known_default().expect("a CallbackUrl is http or https");
        self.configured().checks.checked_addresses(host, port).await.map(drop)
    }
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
