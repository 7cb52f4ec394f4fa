use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Look-ups of deliveries at once: twice what one tenant may have in flight by default, so that one
/// tenant's slow name servers leave room for the others, and a quarter of tokio's blocking threads.
const FOR_DELIVERIES: usize = 128;

/// Look-ups at once for whoever registers or pings webhooks, beside those of deliveries: so that strangers'
/// names that nobody resolves hold up other strangers, and no delivery.
const FOR_CHECKS: usize = 16;

/// Turns host names into addresses.
///
/// What it answers is not trusted: every address is judged before it is dialled. It is not asked about
/// hosts that are addresses already.
///
/// The default asks the operating system for the name *from the root* (`crm` for `crm.`, never for
/// `crm.prod.internal`), with at most 128 look-ups at once for deliveries and 16 for checks. Since the
/// system compares the names in its hosts file as they are written, those are found only if they are
/// written there with the dot at the end; a resolver of your own can give names any meaning.
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

/// Who resolves names for deliveries, and who for checks.
#[derive(Clone, Debug)]
pub(super) struct Resolvers {
    pub(super) deliveries: Arc<dyn Resolve>,
    pub(super) checks: Arc<dyn Resolve>,
}

impl Resolvers {
    /// The operating system, with a share of look-ups for each.
    pub(super) fn system() -> Self {
        let [deliveries, checks] = [FOR_DELIVERIES, FOR_CHECKS].map(SystemResolver::new).map(Arc::new);
        Self { deliveries, checks }
    }
}

/// The resolver of the operating system, asked so many names at once.
#[derive(Debug)]
struct SystemResolver {
    slots: Arc<Semaphore>,
}

impl SystemResolver {
    fn new(slots: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(slots)) }
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
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn localhost_is_loopback_whatever_the_system_says() {
        for host in ["localhost", "LOCALHOST.", "hooks.localhost"] {
            let addresses = SystemResolver::new(1).resolve(host).await.expect("built in");
            assert!(addresses.iter().all(IpAddr::is_loopback) && addresses.len() == 2, "{host}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("mylocalhost"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_names_are_looked_up_at_once_than_there_are_slots() {
        let resolver = SystemResolver::new(1);
        let taken = Arc::clone(&resolver.slots).acquire_owned().await.expect("never closed");
        let waiting = timeout(Duration::from_secs(60), resolver.resolve("hooks.invalid")).await;
        assert!(waiting.is_err(), "it waits for its slot");
        drop(taken);
        resolver.resolve("hooks.invalid").await.expect_err("a name that can never be");
    }

    #[test]
    fn names_are_looked_up_from_the_root() {
        assert_eq!(rooted("crm"), "crm.");
        assert_eq!(rooted("hooks.example.com."), "hooks.example.com.");
    }
}
