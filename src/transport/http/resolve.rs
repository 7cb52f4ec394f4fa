use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Look-ups at once: twice what one tenant may have in flight by default, so that one tenant's slow name
/// servers leave room for the others, and a quarter of tokio's blocking threads.
const LOOKUPS: usize = 128;

/// Turns host names into addresses.
///
/// What it answers is not trusted: every address is judged before it is dialled. It is not asked about
/// hosts that are addresses already.
///
/// ```
/// use std::io;
/// use std::net::IpAddr;
///
/// use async_trait::async_trait;
/// use hookwire::transport::{HttpTransport, Resolve};
///
/// /// Sends everything to one egress gateway.
/// #[derive(Debug)]
/// struct Gateway(IpAddr);
///
/// #[async_trait]
/// impl Resolve for Gateway {
///     async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
///         Ok(vec![self.0])
///     }
/// }
///
/// let gateway = Gateway(IpAddr::from([10, 1, 0, 1]));
/// let transport = HttpTransport::builder().allow_network("10.1.0.1").resolver(gateway);
/// ```
#[async_trait]
pub trait Resolve: Debug + Send + Sync + 'static {
    /// All addresses of the host, best first.
    ///
    /// # Errors
    ///
    /// Whatever keeps the name from being resolved. No address at all is a failure too.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub(super) struct SystemResolver {
    slots: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let name = rooted(host);
        let look_up = spawn_blocking(move || {
            // A look-up cannot be stopped, so one that nobody waits for any more keeps its slot to its end.
            let _slot = slot;
            (name, 0).to_socket_addrs()
        });
        Ok(look_up.await??.map(|address| address.ip()).collect())
    }
}

/// The root's dot keeps the system's search domains out: `crm` must not become `crm.prod.internal`.
fn rooted(host: &str) -> String {
    format!("{}.", host.strip_suffix('.').unwrap_or(host))
}

/// These names are loopback by definition (RFC 6761), and with the root's dot not every system knows them.
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_is_loopback_whatever_the_system_says() {
        for host in ["localhost", "LOCALHOST.", "hooks.localhost"] {
            let addresses = SystemResolver::default().resolve(host).await.expect("built in");
            assert!(addresses.iter().all(IpAddr::is_loopback) && addresses.len() == 2, "{host}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("mylocalhost"));
    }

    #[test]
    fn names_are_looked_up_from_the_root() {
        assert_eq!(rooted("crm"), "crm.");
        assert_eq!(rooted("hooks.example.com."), "hooks.example.com.");
    }
}
