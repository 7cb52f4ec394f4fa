//! The connectors of the HTTP client: [`GuardedConnector`] opens TCP connections to checked addresses, and
//! [`Connector`] adds TLS.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::call::time_to_connect;
use super::classify::classify_connect_error;
use super::connection::ManagedStream;
use super::guard::{CheckedAddr, Forbidden, Policy};
use super::proxy::Proxy;
use super::resolve::Resolve;
use super::settings_watch::SettingsWatch;
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The time for resolving a name. It leaves room for the rest of the deadline.
const LOOKUP: Duration = Duration::from_secs(5);

/// The time for dialling, divided among the addresses of a name, so that a dead address leaves time for the next.
const DIAL: Duration = Duration::from_secs(10);

/// The maximum number of addresses of a name that are dialled.
const MAX_DIALLED: usize = 4;

/// The maximum time for resolving, dialling and TLS together. The deadline of the call is another limit, also of
/// connections that the pool opens in the background and that no request waits for any more.
const SETUP: Duration = Duration::from_secs(30);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// A connector that resolves a host, checks every address, and opens connections to checked addresses only.
#[derive(Clone, Debug)]
pub(super) struct GuardedConnector {
    policy: Arc<Policy>,
    proxy: Option<Arc<Proxy>>,
    resolver: Arc<dyn Resolve>,
}

impl GuardedConnector {
    pub(super) fn new(policy: Policy, proxy: Option<Proxy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy: Arc::new(policy), proxy: proxy.map(Arc::new), resolver }
    }

    /// Returns a connector with the same policy and another resolver.
    pub(super) fn with_resolver(&self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, ..self.clone() }
    }

    /// Returns the addresses of the host, literal or resolved. All of them are checked.
    pub(super) async fn checked_addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<CheckedAddr>, TransportError> {
        let refused = |forbidden: Forbidden| TransportError::new(FailureKind::Refused, forbidden);
        self.policy.check_port(port).map_err(refused)?;
        let addresses = self.addresses(host).await?;
        self.policy.check_all(&addresses, port).map_err(refused)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, TransportError> {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![literal]);
        }
        match timeout(LOOKUP, self.resolver.resolve(host)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => {
                Err(TransportError::new(FailureKind::Dns, "the name has no address"))
            }
            Ok(resolved) => resolved.map_err(|error| TransportError::new(FailureKind::Dns, error)),
            Err(_) => Err(TransportError::new(FailureKind::Timeout, "the name was not resolved in time")),
        }
    }

    async fn connect(&self, target: &Uri) -> Result<TokioIo<TcpStream>, TransportError> {
        let checked = self.checked_addresses(target.host().unwrap_or_default(), port(target)).await?;
        let dialled = &checked[..checked.len().min(MAX_DIALLED)];
        let mut failure = TransportError::new(FailureKind::Connect, "no address");
        for address in dialled {
            match timeout(DIAL / dialled.len() as u32, self.open(address)).await {
                Ok(Ok(stream)) => return Ok(TokioIo::new(stream)),
                Ok(Err(source)) => failure = unreachable(address, source),
                Err(elapsed) => failure = unreachable(address, elapsed.into()),
            }
        }
        Err(failure)
    }

    /// Opens a connection. Loopback means this machine, not that of the proxy, so it is dialled directly.
    async fn open(&self, address: &CheckedAddr) -> io::Result<TcpStream> {
        match &self.proxy {
            Some(proxy) if !address.is_loopback() => proxy.tunnel(address, &*self.resolver).await,
            _ => address.dial().await,
        }
    }
}

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let guarded = self.clone();
        Box::pin(async move { guarded.connect(&target).await })
    }
}

/// A connector that adds TLS to a [`GuardedConnector`], a time limit, and a watch on HTTP/2 settings.
#[derive(Clone, Debug)]
pub(super) struct Connector(HttpsConnector<GuardedConnector>);

impl Connector {
    pub(super) fn new(guarded: GuardedConnector, tls: ClientConfig) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Self(builder.enable_http1().enable_http2().wrap_connector(guarded))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<ManagedStream<SettingsWatch>>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(cx).map_err(classify_connect_error)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        let time = time_to_connect(SETUP);
        Box::pin(async move {
            match timeout(time, connecting).await {
                Ok(connected) => connected
                    .map(|it| TokioIo::new(ManagedStream::new(SettingsWatch::new(it))))
                    .map_err(classify_connect_error),
                Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
            }
        })
    }
}

fn port(target: &Uri) -> u16 {
    let default = if target.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    target.port_u16().unwrap_or(default)
}

#[derive(Debug, Error)]
#[error("no connection to {address}")]
struct Unreachable {
    address: String,
    source: io::Error,
}

fn unreachable(address: &CheckedAddr, source: io::Error) -> TransportError {
    let timed_out = source.kind() == io::ErrorKind::TimedOut;
    let kind = if timed_out { FailureKind::Timeout } else { FailureKind::Connect };
    TransportError::new(kind, Unreachable { address: address.to_string(), source })
}
