use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page, PageRequest, TenantId};
use crate::registry::{Registry, RegistryChange, Revision};
use crate::store::{
    ClaimRequest, Claimed, Erased, EventRecord, HolderId, Publication, Published, Redelivery, RouteAnswer,
    Routed, Settled, Settlement, Stats, StatsScope, Store, StoreError, StoreErrorKind, TendRequest, Tended,
    WakeMark,
};

/// A store whose calls fail as a plan says.
///
/// ```
/// use hookwire::store::MemoryStore;
/// use hookwire::testing::{Call, Fault, FaultyStore};
///
/// // The first publish takes effect, but its answer is lost.
/// let store = FaultyStore::new(MemoryStore::new(), |call, nth| match (call, nth) {
///     (Call::Publish, 0) => Fault::After,
///     _ => Fault::None,
/// });
/// ```
pub struct FaultyStore<S> {
    store: S,
    plan: Box<dyn Fn(Call, u64) -> Fault + Send + Sync>,
    counts: Mutex<HashMap<Call, u64>>,
}

/// How a call of a [`FaultyStore`] fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// It takes effect, but its answer is lost.
    After,
    /// It takes no effect.
    Before,
    /// It takes effect at once, and its answer comes so much later.
    Late(Duration),
    /// It does not fail.
    None,
}

/// A method of [`Store`] that can fail.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is named like its method")]
#[non_exhaustive]
pub enum Call {
    Attempts,
    Claim,
    Commit,
    Deliveries,
    Erase,
    Event,
    Publish,
    Redeliver,
    Registry,
    Release,
    Route,
    Settle,
    Stats,
    Tenants,
    Tend,
}

impl<S: Store> FaultyStore<S> {
    /// A store that fails as `plan` says of each call, given how many of the same method came before.
    pub fn new(store: S, plan: impl Fn(Call, u64) -> Fault + Send + Sync + 'static) -> Self {
        Self { store, plan: Box::new(plan), counts: Mutex::default() }
    }

    async fn with<T: Send>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = (self.plan)(call, self.count(call));
        let planned = |when| StoreError::new(StoreErrorKind::Unavailable, format!("planned fault {when}"));
        match fault {
            Fault::After => answer.await.and_then(|_| Err(planned("after the effect"))),
            Fault::Before => Err(planned("before the effect")),
            Fault::Late(by) => {
                let answer = answer.await;
                tokio::time::sleep(by).await;
                answer
            }
            Fault::None => answer.await,
        }
    }

    fn count(&self, call: Call) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(call).or_default();
        *count += 1;
        *count - 1
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Store> Store for FaultyStore<S> {
    async fn registry(&self, tenant: &TenantId) -> Result<Registry, StoreError> {
        self.with(Call::Registry, self.store.registry(tenant)).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Result<Revision, StoreError> {
        self.with(Call::Commit, self.store.commit(tenant, expected, change)).await
    }

    async fn tenants(&self, page: &PageRequest) -> Result<Page<TenantId>, StoreError> {
        self.with(Call::Tenants, self.store.tenants(page)).await
    }

    async fn publish(
        &self,
        publications: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Result<Published, StoreError> {
        self.with(Call::Publish, self.store.publish(publications, hold)).await
    }

    async fn route(&self, routed: &[Routed]) -> Result<Vec<RouteAnswer>, StoreError> {
        self.with(Call::Route, self.store.route(routed)).await
    }

    async fn redeliver(
        &self,
        tenant: &TenantId,
        redeliveries: &[Redelivery],
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        self.with(Call::Redeliver, self.store.redeliver(tenant, redeliveries)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        self.with(Call::Claim, self.store.claim(request)).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Settled>, StoreError> {
        self.with(Call::Settle, self.store.settle(settlements)).await
    }

    async fn release(&self, holder: HolderId) -> Result<(), StoreError> {
        self.with(Call::Release, self.store.release(holder)).await
    }

    async fn wake(&self, since: WakeMark) {
        self.store.wake(since).await;
    }

    fn poll_every(&self) -> Option<Duration> {
        self.store.poll_every()
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<EventRecord>, StoreError> {
        self.with(Call::Event, self.store.event(tenant, id)).await
    }

    async fn deliveries(
        &self,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Result<Page<Delivery>, StoreError> {
        self.with(Call::Deliveries, self.store.deliveries(tenant, query)).await
    }

    async fn attempts(
        &self,
        tenant: &TenantId,
        delivery: DeliveryId,
    ) -> Result<Option<Vec<Attempt>>, StoreError> {
        self.with(Call::Attempts, self.store.attempts(tenant, delivery)).await
    }

    async fn stats(&self, scope: &StatsScope) -> Result<Stats, StoreError> {
        self.with(Call::Stats, self.store.stats(scope)).await
    }

    async fn tend(&self, request: &TendRequest) -> Result<Tended, StoreError> {
        self.with(Call::Tend, self.store.tend(request)).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Result<Erased, StoreError> {
        self.with(Call::Erase, self.store.erase(tenant, limit)).await
    }
}
