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

use super::super::TransportError;
use super::failure::gate_or_tls;
use super::guard::{CheckedAddr, Forbidden, Policy};
use super::proxy::Proxy;
use super::resolve::Resolve;
use super::stream::Followed;
use crate::model::FailureKind;

/// Time for a look-up, so that it leaves room for the rest of the deadline.
const LOOKUP: Duration = Duration::from_secs(5);

/// Time for dialling, shared by the addresses of a name, so that a dead first one leaves room for the next.
const DIAL: Duration = Duration::from_secs(10);

/// How many addresses of a name are dialled at most.
const DIALLED: usize = 4;

/// Time for look-up, dialling and TLS together. It ends connections that the pool opens in the
/// background and that no request waits for any more, so that they cannot hang for ever.
const SETUP: Duration = Duration::from_secs(30);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// Decides which addresses a host stands for, and opens connections to those alone.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    policy: Arc<Policy>,
    proxy: Option<Arc<Proxy>>,
    resolver: Arc<dyn Resolve>,
}

impl Gate {
    pub(super) fn new(policy: Policy, proxy: Option<Proxy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy: Arc::new(policy), proxy: proxy.map(Arc::new), resolver }
    }

    /// The same rules, with look-ups by this resolver.
    pub(super) fn resolving_by(&self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, ..self.clone() }
    }

    /// The addresses of the host, literal or resolved, all of them checked.
    pub(super) async fn admit(&self, host: &str, port: u16) -> Result<Vec<CheckedAddr>, TransportError> {
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
        let admitted = self.admit(target.host().unwrap_or_default(), port(target)).await?;
        let dialled = &admitted[..admitted.len().min(DIALLED)];
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

    /// Loopback is this machine, not the proxy's, so no proxy is asked for it.
    async fn open(&self, address: &CheckedAddr) -> io::Result<TcpStream> {
        match &self.proxy {
            Some(proxy) if !address.is_loopback() => proxy.tunnel(address, &*self.resolver).await,
            _ => address.dial().await,
        }
    }
}

impl Service<Uri> for Gate {
    type Response = TokioIo<TcpStream>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { gate.connect(&target).await })
    }
}

/// TLS over the [`Gate`], in bounded time, and with an eye on the receiver's HTTP/2 settings.
#[derive(Clone, Debug)]
pub(super) struct Connector(HttpsConnector<Gate>);

impl Connector {
    pub(super) fn new(gate: Gate, tls: ClientConfig) -> Self {
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Self(builder.enable_http1().enable_http2().wrap_connector(gate))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Followed>;
    type Error = TransportError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(cx).map_err(gate_or_tls)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move {
            match timeout(SETUP, connecting).await {
                Ok(connected) => connected.map(|it| TokioIo::new(Followed::new(it))).map_err(gate_or_tls),
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
