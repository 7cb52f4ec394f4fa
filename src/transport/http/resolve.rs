//! [`Resolve`], the trait for name resolution, and the resolver of the operating system with its lookup limits.

use std::collections::HashSet;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::outage::{Witnesses, no_resolver};

/// The time for resolving a name. Systems ask the next name server after 5 s, so that one of them may be dead.
pub(super) const LOOKUP: Duration = Duration::from_secs(8);

/// The same for the resolver of the operating system: a little less, so that it can tell that it is down.
const SYSTEM_LOOKUP: Duration = LOOKUP.saturating_sub(Duration::from_millis(100));

/// The slots for deliveries. Each has a thread while it is used.
const FOR_DELIVERIES: Slots = Slots { known: 96, unknown: 32 };

/// The slots for registrations and pings, whose names are mostly unknown.
const FOR_CHECKS: Slots = Slots { known: 4, unknown: 12 };

/// The maximum number of names that are remembered as known.
const MAX_KNOWN: usize = 10_000;

/// A resolver of host names.
///
/// Its results are not trusted: every address is checked before it is dialled. It is not called for hosts
/// that are addresses already.
///
/// The default resolver asks the operating system for the name *from the root*: `crm` as `crm.`, never as
/// `crm.prod.internal`. It makes at most 128 lookups at once for deliveries and 16 for checks. A share of
/// these is reserved for names whose last lookup succeeded, so that names that hang delay only each other.
/// Names in the hosts file are found only if they are written there with a dot at the end. A resolver of
/// your own can resolve names in any other way.
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
    /// Returns all addresses of the host, best first.
    ///
    /// # Errors
    ///
    /// Returns an error if the name cannot be resolved. An empty list counts as a failure too.
    ///
    /// Errors of the kinds `NetworkDown`, `NetworkUnreachable`, `OutOfMemory` and `WouldBlock` mean that no resolver
    /// could be asked; the attempt fails by [`Local`](crate::model::FailureKind::Local), which is not the
    /// receiver's fault. All others mean that the name is not there, which is.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver for deliveries and the resolver for checks.
#[derive(Clone, Debug)]
pub(super) struct Resolvers {
    pub(super) deliveries: Arc<dyn Resolve>,
    pub(super) checks: Arc<dyn Resolve>,
}

impl Resolvers {
    /// Creates two resolvers of the operating system, with separate slots.
    pub(super) fn system() -> Self {
        let [deliveries, checks] =
            [FOR_DELIVERIES, FOR_CHECKS].map(|slots| Arc::new(SystemResolver::new(slots, look_up)));
        Self { deliveries, checks }
    }
}

/// The number of concurrent lookups of known names, whose last lookup succeeded, and of all others.
/// Separate slots keep names that hang from delaying known names.
#[derive(Clone, Copy, Debug)]
struct Slots {
    known: usize,
    unknown: usize,
}

/// A lookup, which blocks its thread.
type Job = Box<dyn FnOnce() + Send>;

/// The resolver of the operating system.
#[derive(Debug)]
struct SystemResolver {
    look_up: fn(String) -> io::Result<Vec<IpAddr>>,
    start: fn(Job) -> io::Result<()>,
    witnesses: Arc<Witnesses>,
    known: Mutex<HashSet<String>>,
    for_known: Arc<Semaphore>,
    for_unknown: Arc<Semaphore>,
}

impl SystemResolver {
    fn new(slots: Slots, look_up: fn(String) -> io::Result<Vec<IpAddr>>) -> Self {
        let [for_known, for_unknown] = [slots.known, slots.unknown].map(|it| Arc::new(Semaphore::new(it)));
        Self { look_up, start, witnesses: Arc::default(), known: Mutex::default(), for_known, for_unknown }
    }

    /// Looks a name up in a thread of its own.
    async fn ask(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let slot = self.slot(host).await?;
        let guard = LookupGuard { resolver: self, host };
        let (look_up, name, witnesses) = (self.look_up, rooted(host), Arc::clone(&self.witnesses));
        let (tell, told) = oneshot::channel();
        (self.start)(Box::new(move || {
            // A lookup cannot be cancelled, so it keeps its slot to its end even if its caller is gone.
            let _slot = slot;
            let _ = tell.send(witnesses.look_up(name, look_up));
        }))?;
        let found = told.await.map_err(io::Error::other)??;
        guard.succeed();
        Ok(found)
    }

    async fn slot(&self, host: &str) -> io::Result<OwnedSemaphorePermit> {
        let is_known = self.known().contains(host);
        let slots = if is_known { &self.for_known } else { &self.for_unknown };
        Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)
    }

    /// Locks the set. Every change leaves it consistent, so a poisoned lock is harmless.
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
        match timeout(SYSTEM_LOOKUP, self.ask(host)).await {
            Ok(found) => found,
            Err(elapsed) if self.witnesses.is_down() => Err(no_resolver(&elapsed.to_string())),
            Err(elapsed) => Err(elapsed.into()),
        }
    }
}

/// Starts a thread. The pool of tokio is not used: it panics if there is no thread, and waits for its threads when
/// the runtime ends.
fn start(job: Job) -> io::Result<()> {
    thread::Builder::new().name("hookwire-lookup".to_owned()).spawn(job).map(drop)
}

fn look_up(name: String) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// A lookup in progress. Dropping it, on failure or cancellation, makes its host unknown.
struct LookupGuard<'a> {
    resolver: &'a SystemResolver,
    host: &'a str,
}

impl LookupGuard<'_> {
    fn succeed(self) {
        let mut known = self.resolver.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(self.host.to_owned());
        drop(known);
        mem::forget(self);
    }
}

impl Drop for LookupGuard<'_> {
    fn drop(&mut self) {
        self.resolver.known().remove(self.host);
    }
}

/// Appends the dot of the root, which disables search domains: `crm` must not become `crm.prod.internal`.
fn rooted(host: &str) -> String {
    format!("{}.", host.strip_suffix('.').unwrap_or(host))
}

/// Tells whether a name is loopback by definition (RFC 6761). Not every system resolves these with a final dot.
fn is_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_EACH: Slots = Slots { known: 1, unknown: 1 };

    /// A lookup that finds names that begin with `g`.
    fn fake(name: String) -> io::Result<Vec<IpAddr>> {
        match name.starts_with('g') {
            true => Ok(vec![[8, 8, 8, 8].into()]),
            false => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Tells whether a lookup waits for its slot: nothing else takes so long.
    async fn waits(resolver: &SystemResolver, host: &str) -> bool {
        timeout(Duration::from_millis(50), resolver.slot(host)).await.is_err()
    }

    #[tokio::test]
    async fn localhost_is_loopback_whatever_the_system_says() {
        for host in ["localhost", "LOCALHOST.", "hooks.localhost"] {
            let addresses = SystemResolver::new(ONE_EACH, look_up).resolve(host).await.expect("built in");
            assert!(addresses.iter().all(IpAddr::is_loopback) && addresses.len() == 2, "{host}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("mylocalhost"));
    }

    #[tokio::test]
    async fn no_more_names_are_looked_up_at_once_than_there_are_slots() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        let taken = Arc::clone(&resolver.for_unknown).acquire_owned().await.expect("never closed");
        assert!(waits(&resolver, "good.example").await);
        drop(taken);
        resolver.resolve("good.example").await.expect("it has its slot");
    }

    #[tokio::test]
    async fn what_the_system_does_not_find_fails() {
        let found = SystemResolver::new(ONE_EACH, look_up).resolve("hooks.invalid").await;
        found.expect_err("a name that can never be");
    }

    #[tokio::test]
    async fn a_thread_that_cannot_start_fails_the_lookup_and_keeps_no_slot() {
        let none = |_| Err(io::ErrorKind::WouldBlock.into());
        let resolver = SystemResolver { start: none, ..SystemResolver::new(ONE_EACH, fake) };
        for _ in 0..2 {
            let error = resolver.resolve("good.example").await.expect_err("no thread");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_takes_too_long_tells_whether_its_resolver_is_down() {
        // The jobs are kept and never run; each holds its slot.
        let hanging = |job: Job| {
            mem::forget(job);
            Ok(())
        };
        let slots = Slots { known: 1, unknown: 2 };
        let resolver = SystemResolver { start: hanging, ..SystemResolver::new(slots, fake) };
        let slow = resolver.resolve("slow.example").await.expect_err("too long");
        assert_eq!(slow.kind(), io::ErrorKind::TimedOut);
        resolver.witnesses.look_up("good".to_owned(), fake).expect("found");
        resolver
            .witnesses
            .look_up("bad".to_owned(), |_| fake("bad".to_owned()))
            .expect_err("nothing is found");
        let slow = resolver.resolve("slow.example").await.expect_err("too long");
        assert_eq!(slow.kind(), io::ErrorKind::NetworkDown);
    }

    #[tokio::test]
    async fn a_known_name_does_not_stand_in_line_with_unknown_ones() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        resolver.resolve("good.example").await.expect("found");
        let _hanging = Arc::clone(&resolver.for_unknown).acquire_owned().await.expect("never closed");
        assert!(waits(&resolver, "new.example").await, "unknown names wait");
        resolver.resolve("good.example").await.expect("it has a slot of its own");
    }

    #[tokio::test]
    async fn a_name_that_fails_or_is_given_up_is_known_no_longer() {
        let resolver = SystemResolver::new(ONE_EACH, fake);
        for host in ["bad.example", "worse.example"] {
            resolver.known().insert(host.to_owned());
        }
        resolver.resolve("bad.example").await.expect_err("not found");
        // Given up while the lookup is under way: with a thread that has not come to it.
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
