use std::net::IpAddr;
use std::sync::{Arc, RwLock};

use ipnet::IpNet;
use thiserror::Error;

use super::connector::{Connector, Gate};
use super::guard::Policy;
use super::proxy::Proxy;
use super::resolve::{Resolve, Resolvers};
use super::{HttpTransport, Wiring, client, tls};

/// Gathers what an [`HttpTransport`] may reach, by which way, and whom it trusts.
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
    /// Opens loopback addresses, for development and tests. `http` URLs are still refused at registration until
    /// the service [allows them too](crate::service::WebhooksBuilder::allow_loopback_http).
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.policy.loopback = true;
        self
    }

    /// Opens a network (`10.1.0.0/16`) or an address that is closed as not public.
    ///
    /// Cloud metadata services stay closed, and so does what an IPv6 address embeds of other networks.
    #[must_use]
    pub fn allow_network(mut self, network: impl Into<String>) -> Self {
        self.allowed.push(network.into());
        self
    }

    /// Closes a network (`203.0.113.0/24`) or an address; this wins over whatever is allowed.
    ///
    /// Name here what is public but yours, like a load balancer that trusts your network, and the prefix
    /// of a NAT64 translator that is neither `64:ff9b::/96` nor in `64:ff9b:1::/48`.
    #[must_use]
    pub fn deny_network(mut self, network: impl Into<String>) -> Self {
        self.denied.push(network.into());
        self
    }

    /// Closes every port but these. By default every port is open.
    #[must_use]
    pub fn allow_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.policy.ports = Some(ports.into_iter().collect());
        self
    }

    /// Sends every request by way of this proxy, such as `http://user:password@proxy.example.com:3128`: a
    /// tunnel for each connection (`CONNECT`), inside which TLS is spoken with the receiver itself.
    ///
    /// Names are still resolved and judged here. The proxy is asked for the judged *address*, never for
    /// the name, which it could resolve to another one; a proxy that opens tunnels by name alone cannot be
    /// used. Its own address is the host's choice and not judged. Loopback, where it is opened, means this
    /// machine and is dialled directly. Default: no proxy, and never one from the environment.
    #[must_use]
    pub fn proxy(self, url: &str) -> Self {
        Self { proxy: Some(Proxy::parse(url)), ..self }
    }

    /// Trusts the certificates of this PEM text beside the roots of the system.
    #[must_use]
    pub fn trust_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Resolves names by this instead of the operating system.
    #[must_use]
    pub fn resolver(self, resolver: impl Resolve) -> Self {
        Self { resolver: Some(Arc::new(resolver)), ..self }
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`BuildTransportError`] with every fault at once.
    pub fn build(self) -> Result<HttpTransport, BuildTransportError> {
        let system = Resolvers::system();
        let present = Arc::new(RwLock::new(self.wire(&system)?));
        Ok(HttpTransport { system, present })
    }

    pub(super) fn wire(self, system: &Resolvers) -> Result<Wiring, BuildTransportError> {
        let mut faults = Vec::new();
        let allowed = networks(&self.allowed, &mut faults);
        let denied = networks(&self.denied, &mut faults);
        let proxy = self.proxy.and_then(|proxy| proxy.map_err(|fault| faults.push(fault)).ok());
        let tls = tls::config(&self.roots, &mut faults);
        let Some(tls) = tls.filter(|_| faults.is_empty()) else {
            return Err(BuildTransportError { faults });
        };
        let own = |resolver| Resolvers { deliveries: Arc::clone(&resolver), checks: resolver };
        let resolvers = self.resolver.map_or_else(|| system.clone(), own);
        let gate = Gate::new(Policy { allowed, denied, ..self.policy }, proxy, resolvers.deliveries);
        let checks = gate.resolving_by(resolvers.checks);
        Ok(Wiring { client: client(Connector::new(gate, tls)), checks })
    }
}

fn networks(texts: &[String], faults: &mut Vec<TransportFault>) -> Vec<IpNet> {
    let parsed = texts.iter().map(|text| {
        let address = |_| text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(address).map_err(|_| TransportFault::Network(text.clone()))
    });
    parsed.filter_map(|network| network.map_err(|fault| faults.push(fault)).ok()).collect()
}

/// The settings do not make an [`HttpTransport`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("the transport has faults: {}", .faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
#[non_exhaustive]
pub struct BuildTransportError {
    /// Every fault, networks first.
    pub faults: Vec<TransportFault>,
}

/// One fault of a transport's settings.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TransportFault {
    /// What was given to trust holds no certificate, or a broken one.
    #[error("a trusted PEM text has no usable certificate: {0}")]
    Certificate(String),
    /// The text is no network and no address.
    #[error("{0:?} is no network like 10.1.0.0/16")]
    Network(String),
    /// The text is no URL of a proxy. It is not repeated here, since it may hold a password.
    #[error("the proxy is no URL like http://user:password@proxy.example.com:3128: {0}")]
    Proxy(String),
    /// The roots of the system could not be loaded.
    #[error("no trusted roots: {0}")]
    Roots(String),
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::model::{CallbackUrl, FailureKind};
    use crate::transport::{SendLimits, Transport};

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

    /// Knows one address for every name.
    #[derive(Debug)]
    struct Says([u8; 4]);

    #[async_trait]
    impl Resolve for Says {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            Ok(vec![self.0.into()])
        }
    }

    #[tokio::test]
    async fn checks_take_no_look_up_from_deliveries() {
        let system = Resolvers { deliveries: Arc::new(Says([10, 0, 0, 1])), checks: Arc::new(Says([8; 4])) };
        let present = Arc::new(RwLock::new(HttpTransport::builder().wire(&system).expect("valid")));
        let transport = HttpTransport { system, present };
        let url = CallbackUrl::parse("https://hooks.example.com/").expect("valid");
        transport.check(&url).await.expect("8.8.8.8 is public");
        let request = http::Request::post(url.as_str()).body(Bytes::new()).expect("a request");
        let error = transport.send(request, &SendLimits::default()).await.expect_err("10.0.0.1 is not");
        assert_eq!(error.kind(), FailureKind::Refused);
    }
}
