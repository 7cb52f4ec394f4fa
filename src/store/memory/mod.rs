//! The store in memory.
//!
//! ```text
//!  call -- lock --> State: tenants, lanes, rows ----- what is kept
//!                          schedule, leases, ended -- indexes, brought in line by every change
//! ```
//!
//! Dues, leases, backoffs and ends are moments of the store's own time; what is shown is noted as the date besides. All
//! state is behind one lock, which a call holds from beginning to end. `refresh` alone tells the schedule what a lane
//! has to give. Times are indexed by ordered sets, so that a claim looks only at what has come due. Nothing is kept on
//! disk.

mod claim;
mod lanes;
mod log;
mod publish;
mod queue;
mod recover;
mod registry;
mod route;
mod settle;
mod state;
mod statistics;
mod upkeep;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::publication::warn_duplicate_id;
use crate::clock::{Clock, SystemClock};
use crate::delivery::{Health, Next};
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, InvalidSqlDocument, MessageId, MessageQuery,
    MessageRecord, Page, PageRequest, StampedEvent, TenantId, Timestamp,
};
use crate::notify::Notify;
use crate::registry::{Registry, RegistryChange, Revision};
use crate::store::Store;
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::disabled::DisabledWebhook;
use crate::store::error::StoreError;
use crate::store::lease::{HolderId, WakeMark};
use crate::store::publication::{
    Addition, Publication, PublishAnswer, Published, Recovered, Recovery, Redelivery,
};
use crate::store::records::{Erased, EventRecord, Stats, StatsScope, TendRequest, Tended};
use crate::store::routing::{RouteAnswer, Routed};
use crate::store::schedule::Turn;
use crate::store::settlement::{Settled, Settlement};
use crate::store::statistics::{Counted, Statistics};
use crate::store::time::StoreTime;
use state::State;

/// A store in memory: for tests, and for events that may be lost with the process.
///
/// It keeps the whole contract of [`Store`] but for durability: it ends with the process. Several
/// dispatchers of one process may share it behind an [`Arc`].
///
/// ```
/// use hookwire::store::{MemoryStore, Store};
/// use hookwire::TenantId;
///
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let store = MemoryStore::new();
/// assert!(store.registry(&TenantId::new("acme")?).await?.webhooks.is_empty());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    time: StoreTime,
    new_work: Notify,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store on another clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        let time = StoreTime::start(None, &clock);
        Self { state: Mutex::default(), clock: Arc::new(clock), time, new_work: Notify::default() }
    }

    /// Writes an event without routing it, as SQL stores let a host's own transaction do. A dispatcher
    /// routes it. Nothing happens when the tenant has a message of that id already; if that has other content,
    /// a tracing event warns of it.
    pub fn publish_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        let id = event.message_id.clone();
        if !self.with(|state, _| state.publish_unrouted(tenant, event)) {
            warn_duplicate_id(tenant, &id);
        }
        self.new_work.notify();
    }

    /// Writes an event as a transaction of the host's own does in an SQL store, by the text of
    /// [`to_sql_document`](crate::Tenant::to_sql_document): to test code that publishes so without a database.
    ///
    /// ```
    /// use hookwire::store::MemoryStore;
    /// use hookwire::{Event, TenantId, Webhooks, assist};
    /// # #[cfg(feature = "testing")]
    /// use hookwire::testing::RecordingTransport;
    ///
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// let store = std::sync::Arc::new(MemoryStore::new());
    /// let hooks = Webhooks::builder(assist::catalog())
    ///     .store(std::sync::Arc::clone(&store))
    ///     .transport(RecordingTransport::new())
    ///     .build()?;
    /// let acme = hooks.tenant(TenantId::new("acme")?);
    /// let text = acme.to_sql_document(&Event::new(assist::DEVICE_ONLINE, "LAB-4")?);
    /// store.publish_sql_document(&text)?; // SELECT hookwire.publish($1)
    /// assert_eq!(acme.stats().await?.unrouted, 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InvalidSqlDocument`] for any other text. Nothing is written then.
    pub fn publish_sql_document(&self, text: &str) -> Result<(), InvalidSqlDocument> {
        let (tenant, event) = StampedEvent::from_sql_document(text, self.clock.now())?;
        self.publish_unrouted(&tenant, event);
        Ok(())
    }

    /// Every change under the lock is whole before anything in it can panic, so a poisoned lock is as
    /// good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something at the store's present time.
    fn with<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let mut state = self.state();
        state.present = self.time.kept(&*self.clock);
        let now = state.present.time;
        act(&mut state, now)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("deliveries", &self.state().rows.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        Ok(self.state().registry(tenant))
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        let revision = self.with(|state, now| state.commit(tenant, expected, change, now))?;
        self.new_work.notify();
        Ok(revision)
    }

    async fn health(&self, tenant: &TenantId, hook_id: HookId) -> Result<Option<Health>, StoreError> {
        Ok(self.state().health(tenant, hook_id))
    }

    async fn disabled(
        &self,
        since: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<DisabledWebhook>, StoreError> {
        Ok(self.state().list_disabled(since, page)?)
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        Ok(self.state().list_tenants(page)?)
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        let mut held: Vec<Claim> = Vec::new();
        let answers = self.with(|state, now| -> Vec<PublishAnswer> {
            publications.iter().map(|item| state.publish(item, hold, &mut held, now)).collect()
        });
        let published = Published { answers, held };
        if published.leaves_work() {
            self.new_work.notify();
        }
        Ok(published)
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let answers = self.with(|state, now| routed.iter().map(|item| state.route(item, now)).collect());
        self.new_work.notify();
        Ok(answers)
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let made = self.with(|state, now| {
            redeliveries.iter().map(|item| state.redeliver(tenant, item, Turn::FirstAttempt, now)).collect()
        });
        self.new_work.notify();
        Ok(made)
    }

    async fn add(
        &self,
        tenant: &TenantId,
        additions: &[Addition],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let made =
            self.with(|state, now| additions.iter().map(|item| state.add(tenant, item, now)).collect());
        self.new_work.notify();
        Ok(made)
    }

    async fn erase_payload(&self, tenant: &TenantId, message: &MessageId) -> Result<bool, StoreError> {
        let (is_there, is_freed) =
            self.with(|state, now| (state.erase_payload(tenant, message, now), state.schedule.take_freed()));
        if is_freed {
            self.new_work.notify();
        }
        is_there
    }

    async fn recover(&self, tenant: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let recovered = self.with(|state, now| state.recover(tenant, recovery, now))?;
        self.new_work.notify();
        Ok(recovered)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mark = WakeMark::new(self.new_work.mark());
        let claimed = self.with(|state, now| state.claim(None, request, now));
        Ok(Claimed { mark, ..claimed })
    }

    async fn claim_of(&self, tenant: &TenantId, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mark = WakeMark::new(self.new_work.mark());
        let claimed = self.with(|state, now| state.claim(Some(tenant), request, now));
        Ok(Claimed { mark, ..claimed })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let (answers, is_freed) = self.with(|state, now| {
            let answers = settlements.iter().map(|item| state.settle(item, now)).collect();
            (answers, state.schedule.take_freed())
        });
        let waits = settlements.iter().any(|item| matches!(item.next, Next::Again(_) | Next::Release));
        if waits || is_freed {
            self.new_work.notify();
        }
        Ok(answers)
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.with(|state, now| state.release(holder, now));
        self.new_work.notify();
        Ok(())
    }

    async fn wake(&self, since: WakeMark) {
        self.new_work.notified(since.get()).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        None
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        Ok(self.state().event(tenant, id))
    }

    async fn messages(
        &self,
        tenant: &TenantId,
        query: &MessageQuery,
    ) -> Result<Page<MessageRecord>, StoreError> {
        Ok(self.state().list_messages(tenant, query)?)
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        Ok(self.with(|state, _| state.list_deliveries(tenant, query))?)
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        deliveries: &[DeliveryId],
    ) -> Result<Vec<Option<Vec<Attempt>>>, StoreError> {
        let state = self.state();
        Ok(deliveries.iter().map(|id| state.attempts(tenant, *id)).collect())
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        Ok(self.with(|state, now| state.stats(scope, now)))
    }

    async fn count(&self, _: HolderId, counts: &[Counted]) -> Result<(), StoreError> {
        self.with(|state, _| counts.iter().for_each(|item| state.count(item)));
        Ok(())
    }

    async fn statistics(
        &self,
        tenant: &TenantId,
        hook_id: HookId,
        since: Timestamp,
    ) -> Result<Option<Statistics>, StoreError> {
        Ok(self.state().statistics(tenant, hook_id, since))
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        Ok(self.with(|state, now| state.tend(request, now)))
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        Ok(self.with(|state, now| state.erase(tenant, limit, now)))
    }
}
