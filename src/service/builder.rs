//! The builder of a service.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;

use http::HeaderValue;
use thiserror::Error;

use super::core::{Core, LimitsOf, Parts};
use super::notice::{Notice, Observer};
use super::visibility::Visibility;
use super::webhooks::Webhooks;
use crate::clock::{Clock, SystemClock};
use crate::handshake::Handshake;
use crate::model::{Catalog, TenantId};
use crate::policy::Policy;
use crate::registry::{Limits, UrlRule};
use crate::request::RequestStyle;
use crate::sealing::SealingKeys;
use crate::signer::Signer;
use crate::store::Store;
use crate::timer::{self, Timer};
use crate::transport::Transport;

/// A builder of [`Webhooks`], from a catalog, a store and settings that differ from the defaults.
///
/// ```
/// use hookwire::{assist, Webhooks};
/// use hookwire::store::MemoryStore;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "http-transport")]
/// let hooks = Webhooks::builder(assist::catalog())
///     .limits(assist::limits())
///     .store(MemoryStore::new())
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct WebhooksBuilder {
    catalog: Catalog,
    limits: LimitsOf,
    policy: Policy,
    urls: UrlRule,
    store: Option<Arc<dyn Store>>,
    transport: Option<Arc<dyn Transport>>,
    clock: Arc<dyn Clock>,
    visibility: Visibility,
    signer: Option<Arc<dyn Signer>>,
    handshake: Option<Handshake>,
    sealing: Option<SealingKeys>,
    observers: Vec<Observer>,
    short_secrets: bool,
    requests: RequestStyle,
    header_prefix: Option<String>,
}

impl Webhooks {
    /// Returns a builder of a service that offers the events of `catalog`.
    pub fn builder(catalog: Catalog) -> WebhooksBuilder {
        WebhooksBuilder::new(catalog)
    }
}

impl WebhooksBuilder {
    fn new(catalog: Catalog) -> Self {
        Self {
            catalog,
            limits: Arc::new(|_| Some(Limits::default())),
            policy: Policy::default(),
            urls: UrlRule::HttpsOnly,
            store: None,
            transport: None,
            clock: Arc::new(SystemClock),
            visibility: Visibility::Tenant,
            signer: None,
            handshake: None,
            sealing: None,
            observers: Vec::new(),
            short_secrets: false,
            requests: RequestStyle::default(),
            header_prefix: None,
        }
    }

    /// Sets the same limits for every tenant.
    pub fn limits(self, limits: Limits) -> Self {
        self.limits_for(move |_| Some(limits))
    }

    /// Sets the limits of each tenant by its plan.
    ///
    /// `None` if the tenant's plan has no webhooks: it can create, change or enable none; existing ones go on. The
    /// function is synchronous and is called at each registration: keep plans in memory.
    ///
    /// ```
    /// # use hookwire::{assist, Webhooks};
    /// use hookwire::registry::Limits;
    ///
    /// let builder = Webhooks::builder(assist::catalog()).limits_for(|tenant| match tenant.as_str() {
    ///     "on-the-free-plan" => None,
    ///     "on-the-large-plan" => Some(Limits::default().with_webhooks(100)),
    ///     _ => Some(Limits::default()),
    /// });
    /// ```
    pub fn limits_for(
        mut self,
        limits: impl Fn(&TenantId) -> Option<Limits> + Send + Sync + 'static,
    ) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// Sets the retries, quotas, deadlines and sizes of the service.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the store. Required.
    ///
    /// An `Arc` of a store is a store. Share one to call methods of its own too, such as the outbox of `SqliteStore`.
    ///
    /// ```
    /// # #[cfg(feature = "http-transport")]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use hookwire::store::MemoryStore;
    /// use hookwire::{assist, Webhooks};
    ///
    /// let store = Arc::new(MemoryStore::new());
    /// let hooks = Webhooks::builder(assist::catalog()).store(Arc::clone(&store)).build()?;
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "http-transport"))]
    /// # fn main() {}
    /// ```
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the transport. Default: `HttpTransport`, with the address guard on.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Sets the clock, for tests. Default: the system's clock.
    ///
    /// A store reads a clock of its own. Give it the same one, for example by
    /// [`MemoryStore::with_clock`](crate::store::MemoryStore::with_clock); otherwise nothing falls due when this one
    /// moves.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the signer, for keys that are in a key service. Default: each webhook's own keys.
    pub fn signer(mut self, signer: impl Signer) -> Self {
        self.signer = Some(Arc::new(signer));
        self
    }

    /// Sets the handshake by which a receiver consents before its URL is registered: see
    /// [`handshake`](crate::handshake). Default: receivers are not asked.
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.handshake = Some(handshake);
        self
    }

    /// Adds an observer: it is told what happens, after it is recorded. There may be any number of them.
    ///
    /// It is called by the task that records outcomes and by those that publish, so it must not block: send what takes long to
    /// a task of your own.
    /// A panic in it is caught and logged.
    ///
    /// ```
    /// # use hookwire::{assist, Webhooks};
    /// use hookwire::service::Notice;
    ///
    /// let (alerts, received) = std::sync::mpsc::channel();
    /// let builder = Webhooks::builder(assist::catalog()).observe(move |notice| {
    ///     if let Notice::Disabled { webhook, disabled, .. } = notice {
    ///         let _ = alerts.send(format!("webhook {} of {} is {disabled}", webhook.hook_id, webhook.tenant));
    ///     }
    /// });
    /// # drop((builder, received));
    /// ```
    pub fn observe(mut self, observer: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Seals webhooks' secrets by these keys before the store sees them. Default: they are stored in clear.
    ///
    /// Secrets that are stored in clear remain readable; [`Webhooks::reseal`] seals them at once. A sealed secret
    /// needs the key that sealed it: without the key, no request to its webhook can be signed, and the secret cannot
    /// be rotated. [`sealing`](crate::sealing) describes how to change keys.
    #[cfg(feature = "seal")]
    pub fn seal_with(mut self, keys: SealingKeys) -> Self {
        self.sealing = Some(keys);
        self
    }

    /// Accepts secrets of 16 to 23 bytes from those who [bring](crate::WebhookDraft::secret) one. Standard Webhooks asks for
    /// at least 24; turn it on only to move webhooks here whose receivers have shorter ones, and once every process that
    /// shares the store reads them: versions before 0.1 do not.
    pub fn accept_short_secrets(mut self) -> Self {
        self.short_secrets = true;
        self
    }

    /// Sends id, time and signature under a prefix of the host's too, as `svix-id`, `svix-timestamp` and `svix-signature`
    /// for `svix`: for receivers that read those and no others. Signatures in GitHub's and Stripe's form keep their own
    /// name.
    ///
    /// [`build`](Self::build) refuses a prefix that is no part of a header's name.
    pub fn header_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.header_prefix = Some(prefix.into());
        self
    }

    /// Sets the `user-agent` of all requests. Default: `hookwire/` and its version.
    pub fn user_agent(mut self, agent: HeaderValue) -> Self {
        self.requests.set_agent(agent);
        self
    }

    /// Sends the [trace context](crate::Event::trace_context) of an event with each of its requests, as the headers
    /// `traceparent` and `tracestate`, which take the place of a webhook's own. Off by default: receivers are other
    /// people's, and get to know ids of your traces.
    ///
    /// The headers are not signed, and every attempt has the same. What pings send has none.
    pub fn send_trace_context(mut self) -> Self {
        self.requests.send_traces();
        self
    }

    /// Accepts `http` URLs whose host is literally loopback, and lets the default transport dial loopback addresses.
    /// Use it for development only: anybody who may register a webhook can then reach this machine.
    ///
    /// An `HttpTransport` that you set yourself needs `HttpTransport::builder().allow_loopback()` too.
    pub fn allow_loopback_http(mut self) -> Self {
        self.urls = UrlRule::LoopbackHttp;
        self
    }

    /// Accepts `http` URLs of any host, as far as the transport allows them: give it an `HttpTransport` with
    /// `allow_network("10.1.0.0/16")` and `allow_private_http()`, and plain `http` goes to exactly the networks that are
    /// allowed. Public `http` and metadata services stay refused. Who can read along there can read the events.
    pub fn allow_private_http(mut self) -> Self {
        self.urls = UrlRule::PrivateHttp;
        self
    }

    /// Shows tenants the answers of receivers, up to [`Policy::response_bytes`]. Off by default: a tenant can
    /// register a URL that is not its own, and an answer may hold what its sender would not show to the tenant.
    pub fn show_response_bodies(mut self) -> Self {
        self.visibility = Visibility::TenantWithBodies;
        self
    }

    /// Builds the service.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when a part is missing, when two settings exclude each other, or when the default transport or a
    /// thread cannot be made.
    pub fn build(self) -> Result<Webhooks, BuildError> {
        let needed = self.policy.deadline().saturating_add(Policy::SETTLE_MARGIN);
        if self.policy.lease() < needed {
            return Err(BuildError::LeaseTooShort);
        }
        let store = self.store.ok_or(BuildError::NoStore)?;
        let transport = match self.transport {
            Some(transport) => transport,
            None => default_transport(self.urls)?,
        };
        let Self { catalog, limits, policy, urls, clock, visibility, .. } = self;
        let Self { signer, handshake, sealing, observers, short_secrets, mut requests, .. } = self;
        if let Some(prefix) = &self.header_prefix {
            let names = requests.repeat_under(prefix);
            names.map_err(|_| BuildError::HeaderPrefix { prefix: prefix.clone() })?;
        }
        let parts = Parts {
            catalog,
            limits,
            policy,
            urls,
            store,
            transport,
            clock,
            visibility,
            signer,
            handshake,
            sealing,
            observers,
            short_secrets,
            requests,
            timer: start_timer()?,
        };
        Ok(Webhooks::new(Core::new(parts)))
    }
}

fn start_timer() -> Result<Timer, BuildError> {
    let (timer, run) = Timer::new();
    thread::Builder::new().name(timer::THREAD.to_owned()).spawn(run).map_err(BuildError::NoThread)?;
    Ok(timer)
}

#[cfg(feature = "http-transport")]
fn default_transport(urls: UrlRule) -> Result<Arc<dyn Transport>, BuildError> {
    let builder = crate::transport::HttpTransport::builder();
    let builder = match urls {
        UrlRule::HttpsOnly | UrlRule::PrivateHttp => builder,
        UrlRule::LoopbackHttp => builder.allow_loopback(),
    };
    let transport = builder.build().map_err(|error| BuildError::Transport(Box::new(error)))?;
    Ok(Arc::new(transport))
}

#[cfg(not(feature = "http-transport"))]
fn default_transport(_: UrlRule) -> Result<Arc<dyn Transport>, BuildError> {
    Err(BuildError::NoTransport)
}

impl fmt::Debug for WebhooksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhooksBuilder")
            .field("store", &self.store)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// The error of [`WebhooksBuilder::build`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The prefix of the host's headers is no part of a header's name.
    #[error("`{prefix}` is no prefix of a header's name; use letters, digits and hyphens, as in `svix`")]
    HeaderPrefix {
        /// The prefix.
        prefix: String,
    },
    /// The lease is shorter than the deadline plus [`Policy::SETTLE_MARGIN`].
    #[error("the lease must be at least the deadline and 5 s; lengthen it with `Policy::with_lease`")]
    LeaseTooShort,
    /// No store was set.
    #[error("no store was set; call `store`, with `MemoryStore::new()` in tests")]
    NoStore,
    /// The thread of the timer that limits how long publishing waits could not be started.
    #[error("a thread could not be started; raise the limit of threads of this user or container")]
    NoThread(#[source] io::Error),
    /// No transport was set, and the feature `http-transport` is off.
    #[error("no transport was set; call `transport`, or turn the feature `http-transport` on")]
    NoTransport,
    /// The default transport could not be built.
    #[error("the default transport could not be built")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}
