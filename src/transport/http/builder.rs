//! [`HttpTransportBuilder`]: the settings of an [`HttpTransport`], and its constructors.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;

use super::client::{Configured, HttpTransport};
use super::connector::{Connector, GuardedConnector};
use super::error::{BuildTransportError, TransportFault};
use super::guard::Policy;
use super::proxy::Proxy;
use super::resolve::{Resolve, Resolvers};
use super::tls;

/// A builder for [`HttpTransport`]: allowed addresses, proxy, resolver and trusted certificates.
///
/// ```
/// use hookwire::transport::HttpTransport;
///
/// let transport = HttpTransport::builder()
///     .allow_network("10.1.0.0/16") // receivers of our own
///     .deny_network("203.0.113.7") // our public load balancer
///     .allow_ports([443, 8443])
///     .build()?;
/// # Ok::<_, hookwire::transport::BuildTransportError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HttpTransportBuilder {
    allowed: Vec<String>,
    denied: Vec<String>,
    policy: Policy,
    proxy: Option<Result<Proxy, TransportFault>>,
    resolver: Option<Arc<dyn Resolve>>,
    roots: Vec<Vec<u8>>,
}

impl HttpTransportBuilder {
    /// Allows loopback addresses, for development and tests. Registration still refuses `http` URLs until
    /// the service [allows them too](crate::service::WebhooksBuilder::allow_loopback_http).
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.policy.loopback = true;
        self
    }

    /// Allows a network (`10.1.0.0/16`) or an address that is not public.
    ///
    /// Cloud metadata services stay refused. An IPv4 address inside an allowed IPv6 address must be allowed too.
    #[must_use]
    pub fn allow_network(mut self, network: impl Into<String>) -> Self {
        self.allowed.push(network.into());
        self
    }

    /// Sends plain `http` within the networks that are [allowed](Self::allow_network), and nowhere else: by address, or by
    /// a name all of whose addresses are there. Registration still refuses `http` URLs until the service
    /// [allows them too](crate::service::WebhooksBuilder::allow_private_http).
    #[must_use]
    pub fn allow_private_http(mut self) -> Self {
        self.policy.plain_http = true;
        self
    }

    /// Refuses a network (`203.0.113.0/24`) or an address. This wins over everything that is allowed.
    ///
    /// Deny public addresses of your own, such as a load balancer that trusts your network, and the prefix
    /// of a NAT64 translator that is neither `64:ff9b::/96` nor within `64:ff9b:1::/48`.
    #[must_use]
    pub fn deny_network(mut self, network: impl Into<String>) -> Self {
        self.denied.push(network.into());
        self
    }

    /// Allows these ports only. By default every port is allowed.
    #[must_use]
    pub fn allow_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.policy.ports = Some(ports.into_iter().collect());
        self
    }

    /// Sends every request through this proxy, such as `http://user:password@proxy.example.com:3128`.
    ///
    /// Each connection is a tunnel (`CONNECT`), inside which TLS is spoken with the receiver. Names are still
    /// resolved and checked here. The proxy is asked for the checked *address*, never for the name, which it
    /// could resolve differently; a proxy that opens tunnels by name only cannot be used. The address of
    /// the proxy itself is not checked. Allowed loopback addresses mean this machine and are dialled
    /// directly. By default there is no proxy; the environment is never read for one.
    #[must_use]
    pub fn proxy(self, url: &str) -> Self {
        Self { proxy: Some(Proxy::parse(url)), ..self }
    }

    /// Trusts the certificates in this PEM text, in addition to the roots of the system.
    #[must_use]
    pub fn trust_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Resolves names by `resolver` instead of the operating system.
    #[must_use]
    pub fn resolver(self, resolver: impl Resolve) -> Self {
        Self { resolver: Some(Arc::new(resolver)), ..self }
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// Returns [`BuildTransportError`] with every fault at once.
    pub fn build(self) -> Result<HttpTransport, BuildTransportError> {
        let system = Resolvers::system();
        let configured = Arc::new(RwLock::new(self.configure(&system)?));
        Ok(HttpTransport { system, configured })
    }

    fn configure(self, system: &Resolvers) -> Result<Arc<Configured>, BuildTransportError> {
        let mut faults = Vec::new();
        let allowed = networks(&self.allowed, &mut faults);
        let denied = networks(&self.denied, &mut faults);
        let proxy = self.proxy.and_then(|proxy| proxy.map_err(|fault| faults.push(fault)).ok());
        let tls = tls::config(&self.roots, &mut faults);
        let Some(tls) = tls.filter(|_| faults.is_empty()) else {
            return Err(BuildTransportError { faults });
        };
        let one_for_both = |resolver| Resolvers { deliveries: Arc::clone(&resolver), checks: resolver };
        let resolvers = self.resolver.map_or_else(|| system.clone(), one_for_both);
        let policy = Policy { allowed, denied, ..self.policy };
        let guarded = GuardedConnector::new(policy, proxy, resolvers.deliveries);
        let checks = guarded.with_resolver(resolvers.checks);
        let look_ups = guarded.look_ups();
        Ok(Arc::new(Configured::new(Connector::new(guarded, tls), checks, look_ups)))
    }
}

impl HttpTransport {
    /// Creates a transport for production: public addresses, and the trusted roots of the system.
    ///
    /// # Errors
    ///
    /// Returns [`BuildTransportError`] if the system has no trusted roots, or if there is no
    /// [crypto provider](crate#tls).
    pub fn new() -> Result<Self, BuildTransportError> {
        Self::builder().build()
    }

    /// Returns a builder, to set allowed addresses, trusted certificates, a proxy or a resolver.
    pub fn builder() -> HttpTransportBuilder {
        HttpTransportBuilder::default()
    }

    /// Replaces the settings of this transport and all its clones.
    ///
    /// Requests in progress end under the old settings, within their deadlines. Every later request is
    /// checked by the new settings and opens a new connection. The trusted roots of the system are read again.
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
    /// Returns [`BuildTransportError`] with every fault at once. The old settings stay in place.
    pub fn reconfigure(&self, settings: HttpTransportBuilder) -> Result<(), BuildTransportError> {
        let configured = settings.configure(&self.system)?;
        *self.configured.write().unwrap_or_else(PoisonError::into_inner) = configured;
        Ok(())
    }
}

fn networks(texts: &[String], faults: &mut Vec<TransportFault>) -> Vec<IpNet> {
    let parsed = texts.iter().map(|text| {
        let address = |_| text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(address).map_err(|_| TransportFault::Network(text.clone()))
    });
    parsed.filter_map(|network| network.map_err(|fault| faults.push(fault)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::model::{CallbackUrl, FailureKind};
    use crate::transport::limits::SendLimits;
    use crate::transport::traits::Transport;

    #[test]
    fn every_bad_text_is_reported_at_once() {
        let builder = HttpTransport::builder().allow_network("10.0.0.0/33").allow_network("10.0.0.0/8");
        let builder = builder.deny_network("intranet").proxy("ftp://u:hidden@proxy").trust_pem("no PEM");
        let printed = format!("{builder:?}");
        let error = builder.build().expect_err("faulty");
        let texts = ["10.0.0.0/33", "intranet"].map(|text| TransportFault::Network(text.into()));
        assert_eq!(error.faults[..2], texts);
        let rest = &error.faults[2..];
        assert!(matches!(rest, [TransportFault::Proxy(_), TransportFault::Certificate(_)]), "{error}");
        assert!(!printed.contains("hidden") && !error.to_string().contains("hidden"), "{printed} {error}");
    }

    #[test]
    fn networks_and_single_addresses_are_understood() {
        let mut faults = Vec::new();
        let texts = ["10.1.0.0/16", "10.2.0.1", "fd00::/8", "fd00::1"].map(String::from);
        let networks = networks(&texts, &mut faults);
        let prefixes: Vec<_> = networks.iter().map(IpNet::prefix_len).collect();
        assert_eq!((prefixes, faults), (vec![16, 32, 8, 128], vec![]));
    }

    /// A resolver with one address for every name.
    #[derive(Debug)]
    struct Fixed([u8; 4]);

    #[async_trait]
    impl Resolve for Fixed {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            Ok(vec![self.0.into()])
        }
    }

    #[tokio::test]
    async fn checks_take_no_look_up_from_deliveries() {
        let system =
            Resolvers { deliveries: Arc::new(Fixed([10, 0, 0, 1])), checks: Arc::new(Fixed([8; 4])) };
        let configured = HttpTransport::builder().configure(&system).expect("valid");
        let transport = HttpTransport { system, configured: Arc::new(RwLock::new(configured)) };
        let url = CallbackUrl::parse("https://hooks.example.com/").expect("valid");
        transport.check(&url).await.expect("8.8.8.8 is public");
        let request = http::Request::post(url.as_str()).body(Bytes::new()).expect("a request");
        let error = transport.send(request, &SendLimits::default()).await.expect_err("10.0.0.1 is not");
        assert_eq!(error.kind(), FailureKind::Refused);
    }
}
