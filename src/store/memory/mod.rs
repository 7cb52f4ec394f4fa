//! The store in memory.
//!
//! ```text
//!  call -- lock --> State: tenants, lanes, rows ----- what is kept
//!                          schedule, leases, ended -- indexes, brought in line by every change
//! ```
//!
//! All state is behind one lock, which a call holds from beginning to end. `refresh` alone tells the schedule what a lane
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
mod upkeep;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::publication::warn_duplicate_id;
use crate::clock::{Clock, SystemClock};
use crate::delivery::Next;
use crate::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page, PageRequest, StampedEvent, TenantId,
};
use crate::notify::Notify;
use crate::registry::{Registry, RegistryChange, Revision};
use crate::store::Store;
use crate::store::claim::{Claim, ClaimRequest, Claimed};
use crate::store::error::StoreError;
use crate::store::lease::{HolderId, WakeMark};
use crate::store::publication::{Publication, PublishAnswer, Published, Recovered, Recovery, Redelivery};
use crate::store::records::{Erased, EventRecord, Stats, StatsScope, TendRequest, Tended};
use crate::store::routing::{RouteAnswer, Routed};
use crate::store::schedule::Turn;
use crate::store::settlement::{Settled, Settlement};
use state::State;

/// A store in memory: for tests, and for events that may be lost with the process.
///
/// It keeps the whole contract of [`Store`] but for durability: it ends with the process. Several
/// dispatchers of one process may share it behind an [`Arc`]. Leases run on its clock: when the system's
/// is set forward by more than a lease, what is under way may be sent again.
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
    new_work: Notify,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store on another clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self { state: Mutex::default(), clock: Arc::new(clock), new_work: Notify::default() }
    }

    /// Writes an event without routing it, as SQL stores let a host's own transaction do. A dispatcher
    /// routes it. Nothing happens when the tenant has a message of that id already; if that has other content,
    /// the log tells of it as a warning.
    pub fn publish_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        let (now, id) = (self.clock.now(), event.message_id.clone());
        if !self.state().publish_unrouted(tenant, event, now) {
            warn_duplicate_id(tenant, &id);
        }
        self.new_work.notify();
    }

    /// Every change under the lock is whole before anything in it can panic, so a poisoned lock is as
    /// good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let revision = self.state().commit(tenant, expected, change, self.clock.now())?;
        self.new_work.notify();
        Ok(revision)
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
        let answers: Vec<PublishAnswer> = {
            let (mut state, now) = (self.state(), self.clock.now());
            publications.iter().map(|item| state.publish(item, hold, &mut held, now)).collect()
        };
        let published = Published { answers, held };
        if published.leaves_work() {
            self.new_work.notify();
        }
        Ok(published)
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        let answers = {
            let (mut state, now) = (self.state(), self.clock.now());
            routed.iter().map(|item| state.route(item, now)).collect()
        };
        self.new_work.notify();
        Ok(answers)
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let made = {
            let (mut state, now) = (self.state(), self.clock.now());
            redeliveries.iter().map(|item| state.redeliver(tenant, item, Turn::FirstAttempt, now)).collect()
        };
        self.new_work.notify();
        Ok(made)
    }

    async fn recover(&self, tenant: &TenantId, recovery: &Recovery) -> Result<Recovered, StoreError> {
        let recovered = self.state().recover(tenant, recovery, self.clock.now())?;
        self.new_work.notify();
        Ok(recovered)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let mark = WakeMark::new(self.new_work.mark());
        let claimed = self.state().claim(request, self.clock.now());
        Ok(Claimed { mark, ..claimed })
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        let answers = {
            let (mut state, now) = (self.state(), self.clock.now());
            settlements.iter().map(|item| state.settle(item, now)).collect()
        };
        if settlements.iter().any(|item| matches!(item.next, Next::Again(_) | Next::Release)) {
            self.new_work.notify();
        }
        Ok(answers)
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.state().release(holder, self.clock.now());
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

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        Ok(self.state().list_deliveries(tenant, query)?)
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        delivery: DeliveryId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        Ok(self.state().attempts(tenant, delivery))
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        Ok(self.state().stats(scope, self.clock.now()))
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        Ok(self.state().tend(request, self.clock.now()))
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        Ok(self.state().erase(tenant, limit, self.clock.now()))
    }
}
