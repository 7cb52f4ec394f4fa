use std::collections::HashSet;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, mem};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Look-ups at once for deliveries, together a quarter of tokio's blocking threads.
const FOR_DELIVERIES: Slots = Slots { known: 96, strangers: 32 };

/// Look-ups at once for whoever registers or pings webhooks: names that are mostly new.
const FOR_CHECKS: Slots = Slots { known: 4, strangers: 12 };

/// The most names that are remembered as known.
const MAX_KNOWN: usize = 10_000;

/// Turns host names into addresses.
///
/// What it answers is not trusted: every address is judged before it is dialled. It is not asked about
/// hosts that are addresses already.
///
/// The default asks the operating system for the name *from the root* (`crm` for `crm.`, never for
/// `crm.prod.internal`), with at most 128 look-ups at once for deliveries and 16 for checks. Names whose last look-up found
/// something have a share of these for themselves, so that names that hang hold up each other alone. Since the
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
    /// The operating system, with look-ups of its own for each.
    pub(super) fn system() -> Self {
        let [deliveries, checks] =
            [FOR_DELIVERIES, FOR_CHECKS].map(|slots| Arc::new(SystemResolver::new(slots, ask)));
        Self { deliveries, checks }
    }
}

/// How many names are looked up at once: known ones, whose last look-up found something, and all others. So
/// names that hang hold up each other, and no name that is known.
#[derive(Clone, Copy, Debug)]
struct Slots {
    known: usize,
    strangers: usize,
}

/// The resolver of the operating system.
#[derive(Debug)]
struct SystemResolver {
    ask: fn(String) -> io::Result<Vec<IpAddr>>,
    known: Mutex<HashSet<String>>,
    for_known: Arc<Semaphore>,
    for_strangers: Arc<Semaphore>,
}

impl SystemResolver {
    fn new(slots: Slots, ask: fn(String) -> io::Result<Vec<IpAddr>>) -> Self {
        let [for_known, for_strangers] =
            [slots.known, slots.strangers].map(|it| Arc::new(Semaphore::new(it)));
        Self { ask, known: Mutex::default(), for_known, for_strangers }
    }

    async fn slot(&self, host: &str) -> io::Result<OwnedSemaphorePermit> {
        let is_known = self.known().contains(host);
        let slots = if is_known { &self.for_known } else { &self.for_strangers };
        Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)
    }

    /// A set is whole at every point, so a poisoned lock is as good.
    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let slot = self.slot(host).await?;
        let doubt = Doubt { resolver: self, host };
        let (ask, name) = (self.ask, rooted(host));
        let look_up = spawn_blocking(move || {
            // A look-up cannot be stopped, so one that nobody waits for any more keeps its slot to its end.
            let _slot = slot;
            ask(name)
        });
        let found = look_up.await??;
        doubt.settle();
        Ok(found)
    }
}

fn ask(name: String) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// A look-up under way. If it fails, or is given up, its host is not known any more.
struct Doubt<'a> {
    resolver: &'a SystemResolver,
    host: &'a str,
}

impl Doubt<'_> {
    fn settle(self) {
        let mut known = self.resolver.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(self.host.to_owned());
        drop(known);
        mem::forget(self);
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.resolver.known().remove(self.host);
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

    const ONE_EACH: Slots = Slots { known: 1, strangers: 1 };

    /// Finds what begins with a `g`.
    fn fake(name: String) -> io::Result<Vec<IpAddr>> {
        match name.starts_with('g') {
            true => Ok(vec![[8, 8, 8, 8].into()]),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// What comes of a look-up that waits for its slot a minute at most.
    async fn patiently(resolver: &SystemResolver, host: &str) -> Option<io::Result<Vec<IpAddr>>> {
        timeout(Duration::from_secs(60), resolver.resolve(host)).await.ok()
    }

    #[tokio::test]
    async fn localhost_is_loopback_whatever_the_system_says() {
        for host in ["localhost", "LOCALHOST.", "hooks.localhost"] {
            let addresses = SystemResolver::new(ONE_EACH, ask).resolve(host).await.expect("built in");
            assert!(addresses.iter().all(IpAddr::is_loopback) && addresses.len() == 2, "{host}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("mylocalhost"));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_names_are_looked_up_at_once_than_there_are_slots() {
        let resolver = SystemResolver::new(ONE_EACH, ask);
        let taken = Arc::clone(&resolver.for_strangers).acquire_owned().await.expect("never closed");
        assert!(patiently(&resolver, "hooks.invalid").await.is_none(), "it waits for its slot");
        drop(taken);
        resolver.resolve("hooks.invalid").await.expect_err("a name that can never be");
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_name_does_not_stand_in_line_with_strangers() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        resolver.resolve("good.example").await.expect("found");
        let _hanging = Arc::clone(&resolver.for_strangers).acquire_owned().await.expect("never closed");
        assert!(patiently(&resolver, "new.example").await.is_none(), "strangers wait");
        assert!(patiently(&resolver, "good.example").await.is_some_and(|found| found.is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_fails_or_is_given_up_is_known_no_longer() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        for host in ["bad.example", "worse.example"] {
            resolver.known().insert(host.to_owned());
        }
        resolver.resolve("bad.example").await.expect_err("not found");
        // Given up while the look-up is under way: with a thread that has not come to it.
        timeout(Duration::ZERO, resolver.resolve("worse.example")).await.ok();
        assert!(resolver.known().is_empty());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        resolver.known().extend((0..MAX_KNOWN).map(|n| n.to_string()));
        resolver.resolve("good.example").await.expect("found");
        assert_eq!(resolver.known().len(), 1);
    }

    #[test]
    fn names_are_looked_up_from_the_root() {
        assert_eq!(rooted("crm"), "crm.");
        assert_eq!(rooted("hooks.example.com."), "hooks.example.com.");
    }
}
