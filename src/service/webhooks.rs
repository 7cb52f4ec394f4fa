//! The handle on the whole service.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::error::Error;
use super::tenant::Tenant;
use crate::model::{Catalog, Page, PageRequest, Scopes, TenantId, Timestamp};
use crate::store::{DisabledWebhook, Stats, StatsScope};

/// The webhooks of a host, as the one value that it keeps. Clones share everything.
///
/// The methods need no runtime. Only the dispatcher and the HTTP transport run on tokio.
///
/// ```
/// use hookwire::{assist, Event, TenantId, WebhookDraft, Webhooks};
/// use hookwire::store::MemoryStore;
/// # #[cfg(feature = "testing")]
/// use hookwire::testing::RecordingTransport;
///
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let hooks = Webhooks::builder(assist::catalog())
///     .store(MemoryStore::new())
///     .transport(RecordingTransport::new()) // leave it out for real HTTP
///     .build()?;
/// let acme = hooks.tenant(TenantId::new("acme")?);
/// let draft = WebhookDraft::new("Device log", "https://hooks.example.com/assist")
///     .subscribe(assist::DEVICE_ONLINE);
/// acme.create(&draft).await?;
///
/// let event = Event::new(assist::DEVICE_ONLINE, &serde_json::json!({"deviceName": "LAB-4"}))?;
/// let sent = acme.publish(event).await?;
/// hooks.deliver_due().await?; // or `hooks.start()`, once, to deliver in the background
/// println!("{}", acme.explain(sent.message_id()).await?);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Webhooks {
    core: Arc<Core>,
}

impl Webhooks {
    pub(super) fn new(core: Core) -> Self {
        Self { core: Arc::new(core) }
    }

    #[cfg(feature = "dispatcher")]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Returns a handle on one tenant, with every scope. The tenant need not exist before.
    pub fn tenant(&self, tenant: TenantId) -> Tenant {
        Tenant::new(Arc::clone(&self.core), tenant, Scopes::all())
    }

    /// Returns the time by the clock of the service, by which events are stamped and attempts counted.
    ///
    /// ```
    /// # fn show(hooks: &hookwire::Webhooks) {
    /// println!("it is {}", hooks.now());
    /// # }
    /// ```
    pub fn now(&self) -> Timestamp {
        self.core.now()
    }

    /// Returns the events that the host offers.
    pub fn catalog(&self) -> &Catalog {
        self.core.catalog()
    }

    /// Lists the tenants that have webhooks or events.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the page begins after a cursor that no page gave,
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, Error> {
        Ok(self.core.store().tenants(page).await?)
    }

    /// Lists the webhooks of all tenants that hookwire has disabled by itself since this date and that still are, in the
    /// order of the dates.
    ///
    /// If you must miss none, poll it: begin a few minutes before the date of the last one, and skip those that you
    /// know. A webhook with an earlier date may become visible later, because transactions overlap and clocks are set.
    /// An [observer](super::WebhooksBuilder::observe) is told at once, but not of everything.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) when the page begins after a cursor that no page gave,
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn disabled_since(
        &self,
        since: impl Into<Timestamp>,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, Error> {
        Ok(self.core.store().disabled(since.into(), page).await?)
    }

    /// Counts the deliveries of all tenants that have not ended.
    ///
    /// # Errors
    ///
    /// [`Store`](crate::ErrorKind::Store).
    pub async fn stats(&self) -> Result<Stats, Error> {
        Ok(self.core.store().stats(&StatsScope::All).await?)
    }

    /// Wakes the dispatcher of this service. Call it after the commit of a transaction that wrote events by SQL.
    ///
    /// Otherwise the dispatcher finds the events at its next poll. Dispatchers of other processes are not woken.
    pub fn wake(&self) {
        self.core.new_work.notify();
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.core.store();
        f.debug_struct("Webhooks").field("store", &store).finish_non_exhaustive()
    }
}
