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
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tower_service::Service;

use super::classify::classify_connect_error;
use super::client_certificate::noting;
use super::dial::{MAX_DIALLED, dial, interleaved};
use super::guard::{CheckedAddr, Endpoint, Forbidden, Policy};
use super::local::{fails_dialling, fails_look_ups, has_route};
use super::look_ups::{LookUps, not_resolved_in_time};
use super::proxy::{NotOpened, Proxy};
use super::resolve::{LOOKUP, Resolve};
use super::settings_watch::SettingsWatch;
use crate::model::FailureKind;
use crate::transport::error::TransportError;

/// The time for resolving, dialling and TLS together. It ends connections that the pool opens in the
/// background and that no request waits for any more.
const SETUP: Duration = Duration::from_secs(30);

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, TransportError>> + Send>>;

/// A connector that resolves a host, checks every address, and opens connections to checked addresses only.
#[derive(Clone, Debug)]
pub(super) struct GuardedConnector {
    policy: Arc<Policy>,
    proxy: Option<Arc<Proxy>>,
    resolver: Arc<dyn Resolve>,
    look_ups: LookUps,
}

impl GuardedConnector {
    pub(super) fn new(policy: Policy, proxy: Option<Proxy>, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy: Arc::new(policy), proxy: proxy.map(Arc::new), resolver, look_ups: LookUps::default() }
    }

    /// Returns a connector with the same policy and another resolver.
    pub(super) fn with_resolver(&self, resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, look_ups: LookUps::default(), ..self.clone() }
    }

    /// Returns the look-ups in progress.
    pub(super) fn look_ups(&self) -> LookUps {
        self.look_ups.clone()
    }

    /// Returns the addresses of the host, literal or resolved. All of them are checked.
    pub(super) async fn checked_addresses(
        &self,
        host: &str,
        endpoint: Endpoint,
    ) -> Result<Vec<CheckedAddr>, TransportError> {
        let refused = |forbidden: Forbidden| TransportError::new(FailureKind::Refused, forbidden);
        self.policy.check_port(endpoint.port).map_err(refused)?;
        let addresses = self.addresses(host).await?;
        self.policy.check_all(&addresses, endpoint).map_err(refused)
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, TransportError> {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![literal]);
        }
        match timeout(LOOKUP, self.look_ups.run(host, self.resolver.resolve(host))).await {
            Ok(Ok(addresses)) if addresses.is_empty() => {
                Err(TransportError::new(FailureKind::Dns, "the name has no address"))
            }
            Ok(resolved) => resolved.map_err(not_resolved),
            Err(_) => Err(not_resolved_in_time()),
        }
    }

    async fn connect(&self, target: &Uri) -> Result<TokioIo<TcpStream>, TransportError> {
        let checked = self.checked_addresses(target.host().unwrap_or_default(), endpoint(target)).await?;
        let mut addresses = interleaved(checked, CheckedAddr::is_ipv6);
        addresses.truncate(MAX_DIALLED);
        let dialled = dial(addresses, |address, limit| self.open(address, limit)).await;
        dialled.map(TokioIo::new).map_err(worst)
    }

    /// Opens a connection. Loopback means this machine, not that of the proxy, so it is dialled directly.
    async fn open(&self, address: CheckedAddr, limit: Duration) -> Result<TcpStream, TransportError> {
        let opening = async {
            match &self.proxy {
                Some(proxy) if !address.is_loopback() => proxy.tunnel(&address, &*self.resolver, limit).await,
                _ => address.dial().await.map_err(|source| not_dialled(&address, source)),
            }
        };
        let late = |elapsed: Elapsed| NotOpened { kind: FailureKind::Timeout, source: elapsed.into() };
        let opened = timeout(limit, opening).await.unwrap_or_else(|elapsed| Err(late(elapsed)));
        opened.map_err(|it| {
            let unreachable = Unreachable { address: address.to_string(), source: it.source };
            TransportError::new(it.kind, unreachable)
        })
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

    /// Opens a connection to a checked address of the target's host.
    pub(super) async fn open(&self, target: Uri) -> Result<SettingsWatch, TransportError> {
        // The connectors are always ready.
        match timeout(SETUP, noting(self.0.clone().call(target))).await {
            Ok((Ok(stream), _)) => Ok(SettingsWatch::new(stream)),
            Ok((Err(error), asked)) => Err(classify_connect_error(error, asked)),
            Err(elapsed) => Err(TransportError::new(FailureKind::Timeout, elapsed)),
        }
    }
}

fn endpoint(target: &Uri) -> Endpoint {
    let is_plain = target.scheme() == Some(&Scheme::HTTP);
    Endpoint { port: target.port_u16().unwrap_or(if is_plain { 80 } else { 443 }), is_plain }
}

#[derive(Debug, Error)]
#[error("no connection to {address}")]
struct Unreachable {
    address: String,
    source: io::Error,
}

fn not_resolved(error: io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => return not_resolved_in_time(),
        _ if fails_look_ups(&error) => FailureKind::Local,
        _ => FailureKind::Dns,
    };
    TransportError::new(kind, error)
}

fn not_dialled(address: &CheckedAddr, source: io::Error) -> NotOpened {
    let kind = match source.kind() {
        _ if fails_dialling(&source, address.ip(), has_route) => FailureKind::Local,
        io::ErrorKind::TimedOut => FailureKind::Timeout,
        _ => FailureKind::Connect,
    };
    NotOpened { kind, source }
}

/// Returns the failure that tells most about a name none of whose addresses opened: that of this machine, which
/// proves nothing of the receiver, and then that of an address that took all its time.
fn worst(failures: Vec<TransportError>) -> TransportError {
    let first = |kind| failures.iter().find(|failure| failure.kind() == kind);
    let failure = first(FailureKind::Local).or_else(|| first(FailureKind::Timeout));
    let failure = failure.or_else(|| failures.last()).cloned();
    failure.unwrap_or_else(|| TransportError::new(FailureKind::Connect, "no address"))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::time::sleep;

    use super::*;

    /// A resolver that finds every name after this time.
    #[derive(Debug)]
    struct After(Duration);

    #[async_trait]
    impl Resolve for After {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            sleep(self.0).await;
            Ok(vec![[8, 8, 8, 8].into()])
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_has_eight_seconds_and_one_that_takes_longer_is_no_timeout() {
        let found = async |after| {
            let resolver = Arc::new(After(Duration::from_millis(after)));
            let endpoint = Endpoint { port: 443, is_plain: false };
            GuardedConnector::new(Policy::default(), None, resolver)
                .checked_addresses("a.example", endpoint)
                .await
        };
        assert_eq!(found(7_900).await.expect("in time").len(), 1);
        assert_eq!(found(8_100).await.expect_err("too late").kind(), FailureKind::Dns);
    }

    #[test]
    fn what_failed_here_goes_before_what_failed_there() {
        let worst_of = |kinds: &[FailureKind]| {
            worst(kinds.iter().map(|kind| TransportError::new(*kind, "")).collect()).kind()
        };
        use FailureKind::{Connect, Local, Timeout};
        assert_eq!(worst_of(&[Connect, Timeout, Local, Connect]), Local);
        assert_eq!(worst_of(&[Connect, Timeout, Connect]), Timeout);
        assert_eq!(worst_of(&[Connect, Connect]), Connect);
        assert_eq!(worst_of(&[]), Connect);
    }

    #[test]
    fn a_look_up_that_no_resolver_answered_is_not_the_receivers() {
        let kind = |kind: io::ErrorKind| not_resolved(kind.into()).kind();
        assert_eq!(kind(io::ErrorKind::NetworkDown), FailureKind::Local);
        assert_eq!(kind(io::ErrorKind::NotFound), FailureKind::Dns);
        assert_eq!(kind(io::ErrorKind::TimedOut), FailureKind::Dns);
    }
}
