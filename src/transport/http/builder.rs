use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use thiserror::Error;

use super::HttpTransport;
use super::connector::Gate;
use super::guard::Policy;
use super::resolve::{Resolve, SystemResolver};
use super::tls;

/// Gathers what an [`HttpTransport`] may reach and whom it trusts.
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
#[derive(Debug)]
pub struct HttpTransportBuilder {
    allowed: Vec<String>,
    denied: Vec<String>,
    policy: Policy,
    roots: Vec<Vec<u8>>,
    resolver: Arc<dyn Resolve>,
}

impl HttpTransportBuilder {
    pub(super) fn new() -> Self {
        let resolver = Arc::new(SystemResolver::default());
        Self {
            allowed: Vec::new(),
            denied: Vec::new(),
            policy: Policy::default(),
            roots: Vec::new(),
            resolver,
        }
    }

    /// Opens loopback addresses, for development and tests.
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

    /// Trusts the certificates of this PEM text beside the roots of the system.
    #[must_use]
    pub fn trust_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Resolves names by this instead of the operating system.
    #[must_use]
    pub fn resolver(self, resolver: impl Resolve) -> Self {
        Self { resolver: Arc::new(resolver), ..self }
    }

    /// Builds the transport.
    ///
    /// # Errors
    ///
    /// [`BuildTransportError`] with every fault at once.
    pub fn build(self) -> Result<HttpTransport, BuildTransportError> {
        let mut faults = Vec::new();
        let allowed = networks(&self.allowed, &mut faults);
        let denied = networks(&self.denied, &mut faults);
        let tls = tls::config(&self.roots, &mut faults);
        match tls {
            Some(tls) if faults.is_empty() => {
                let gate = Gate::new(Policy { allowed, denied, ..self.policy }, self.resolver);
                Ok(HttpTransport::over(gate, tls))
            }
            _ => Err(BuildTransportError { faults }),
        }
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
    /// The roots of the system could not be loaded.
    #[error("no trusted roots: {0}")]
    Roots(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_text_is_reported_at_once() {
        let builder = HttpTransport::builder().allow_network("10.0.0.0/33").allow_network("10.0.0.0/8");
        let error = builder.deny_network("intranet").trust_pem("no PEM").build().expect_err("faulty");
        let texts = ["10.0.0.0/33", "intranet"].map(|text| TransportFault::Network(text.into()));
        assert_eq!(error.faults[..2], texts);
        assert!(matches!(error.faults[2..], [TransportFault::Certificate(_)]), "{error}");
    }

    #[test]
    fn networks_and_single_addresses_are_understood() {
        let mut faults = Vec::new();
        let texts = ["10.1.0.0/16", "10.2.0.1", "fd00::/8", "fd00::1"].map(String::from);
        let networks = networks(&texts, &mut faults);
        let prefixes: Vec<_> = networks.iter().map(IpNet::prefix_len).collect();
        assert_eq!((prefixes, faults), (vec![16, 32, 8, 128], vec![]));
    }
}
