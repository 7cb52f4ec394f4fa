//! Common faults: a store changes what it was asked, keeps or shows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::delivery::Next;
use hookwire::model::{Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page};
use hookwire::registry::{RegisteredWebhook, Registry, RegistryChange, Revision};
use hookwire::store::{
    Claim, ClaimRequest, Claimed, Effect, EventRecord, HolderId, MemoryStore, Publication, PublishAnswer,
    Published, Quota, RouteAnswer, Routed, Settled, Settlement, Store, TendRequest, Tended,
};

use super::{Answer, Fault};

/// Claims something else than was asked for.
pub(super) struct ClaimAs(pub(super) fn(ClaimRequest) -> ClaimRequest);

#[async_trait]
impl Fault for ClaimAs {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        inner.claim(&(self.0)(*request)).await
    }
}

/// Gives something else than was claimed.
pub(super) struct GiveAs(pub(super) fn(Claimed) -> Claimed);

#[async_trait]
impl Fault for GiveAs {
    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        inner.claim(request).await.map(self.0)
    }
}

/// Holds for another request while it publishes.
pub(super) struct HoldAs(pub(super) fn(ClaimRequest) -> ClaimRequest);

#[async_trait]
impl Fault for HoldAs {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let hold = hold.map(|request| (self.0)(*request));
        inner.publish(items, hold.as_ref()).await
    }
}

/// Publishes something else.
pub(super) struct PublishAs(pub(super) fn(Publication) -> Publication);

#[async_trait]
impl Fault for PublishAs {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let items: Vec<_> = items.iter().cloned().map(self.0).collect();
        inner.publish(&items, hold).await
    }
}

/// Answers each publication otherwise.
pub(super) struct ReceiveAs(pub(super) fn(PublishAnswer) -> PublishAnswer);

#[async_trait]
impl Fault for ReceiveAs {
    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        let Published { answers, held } = inner.publish(items, hold).await?;
        Ok(Published { answers: answers.into_iter().map(self.0).collect(), held })
    }
}

/// Routes otherwise.
pub(super) struct RouteAs(pub(super) fn(Routed) -> Routed);

#[async_trait]
impl Fault for RouteAs {
    async fn route(&self, inner: &MemoryStore, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        let items: Vec<_> = items.iter().cloned().map(self.0).collect();
        inner.route(&items).await
    }
}

/// Settles otherwise.
pub(super) struct SettleAs(pub(super) fn(Settlement) -> Settlement);

#[async_trait]
impl Fault for SettleAs {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let items: Vec<_> = items.iter().cloned().map(self.0).collect();
        inner.settle(&items).await
    }
}

/// Tells of another effect than a settlement has.
pub(super) struct AnswerAs(pub(super) fn(Effect) -> Effect);

#[async_trait]
impl Fault for AnswerAs {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        let other = |answer| match answer {
            Settled::Applied(effect) => Settled::Applied((self.0)(effect)),
            Settled::Fenced => Settled::Fenced,
        };
        Ok(inner.settle(items).await?.into_iter().map(other).collect())
    }
}

/// Says that it settled whatever it was given.
pub(super) struct ApplyAll;

#[async_trait]
impl Fault for ApplyAll {
    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        inner.settle(items).await.map(|answers| vec![Settled::Applied(Effect::default()); answers.len()])
    }
}

/// Commits another change.
pub(super) struct CommitAs(pub(super) fn(RegistryChange) -> RegistryChange);

#[async_trait]
impl Fault for CommitAs {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        inner.commit(tenant, expected, &(self.0)(change.clone())).await
    }
}

/// Commits another webhook than an update has.
pub(super) struct UpdateAs(pub(super) fn(RegisteredWebhook) -> RegisteredWebhook);

#[async_trait]
impl Fault for UpdateAs {
    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        let change = match change.clone() {
            RegistryChange::Update(it, backlog) => RegistryChange::Update((self.0)(it), backlog),
            other => other,
        };
        inner.commit(tenant, expected, &change).await
    }
}

/// Tends something else.
pub(super) struct TendAs(pub(super) fn(TendRequest) -> TendRequest);

#[async_trait]
impl Fault for TendAs {
    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        inner.tend(&(self.0)(*request)).await
    }
}

/// Shows another registry.
pub(super) struct ShowRegistryAs(pub(super) fn(Registry) -> Registry);

#[async_trait]
impl Fault for ShowRegistryAs {
    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        inner.registry(tenant).await.map(self.0)
    }
}

/// Shows events otherwise.
pub(super) struct ShowEventAs(pub(super) fn(EventRecord) -> Option<EventRecord>);

#[async_trait]
impl Fault for ShowEventAs {
    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        inner.event(tenant, id).await.map(|record| record.and_then(self.0))
    }
}

/// Shows deliveries otherwise.
pub(super) struct ShowDeliveriesAs(pub(super) fn(Page<Delivery>) -> Page<Delivery>);

#[async_trait]
impl Fault for ShowDeliveriesAs {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        inner.deliveries(tenant, query).await.map(self.0)
    }
}

/// Shows deliveries otherwise once upkeep has ended some that were dropped.
pub(super) struct SweptReadAs {
    show: fn(Page<Delivery>) -> Page<Delivery>,
    has_swept: AtomicBool,
}

impl SweptReadAs {
    pub(super) fn new(show: fn(Page<Delivery>) -> Page<Delivery>) -> Self {
        Self { show, has_swept: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Fault for SweptReadAs {
    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        let tended = inner.tend(request).await?;
        self.has_swept.fetch_or(tended.swept > 0, Ordering::Relaxed);
        Ok(tended)
    }

    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        let page = inner.deliveries(tenant, query).await?;
        Ok(if self.has_swept.load(Ordering::Relaxed) { (self.show)(page) } else { page })
    }
}

/// Lists what another query asks for.
pub(super) struct QueryAs(pub(super) fn(DeliveryQuery) -> DeliveryQuery);

#[async_trait]
impl Fault for QueryAs {
    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        inner.deliveries(tenant, &(self.0)(query.clone())).await
    }
}

/// Shows attempts otherwise.
pub(super) struct ShowAttemptsAs(pub(super) fn(Option<Vec<Attempt>>) -> Option<Vec<Attempt>>);

#[async_trait]
impl Fault for ShowAttemptsAs {
    async fn attempts(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        ids: &[DeliveryId],
    ) -> Answer<Vec<Option<Vec<Attempt>>>> {
        Ok(inner.attempts(tenant, ids).await?.into_iter().map(self.0).collect())
    }
}

/// The attempts of many deliveries.
pub(super) type Attempts = Vec<Option<Vec<Attempt>>>;

/// Answers otherwise for many deliveries together.
pub(super) struct AnswerAttemptsAs(pub(super) fn(Attempts) -> Attempts);

#[async_trait]
impl Fault for AnswerAttemptsAs {
    async fn attempts(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        ids: &[DeliveryId],
    ) -> Answer<Vec<Option<Vec<Attempt>>>> {
        inner.attempts(tenant, ids).await.map(self.0)
    }
}

/// The last claim on each delivery, for faults that have to know it.
#[derive(Default)]
pub(super) struct Ledger(Mutex<HashMap<DeliveryId, Claim>>);

impl Ledger {
    pub(super) fn note(&self, claimed: &Claimed) {
        let claims = claimed.deliveries.iter().map(|claim| (claim.id, claim.clone()));
        lock(&self.0).extend(claims);
    }

    pub(super) fn claim_on(&self, id: DeliveryId) -> Option<Claim> {
        lock(&self.0).get(&id).cloned()
    }
}

/// The request of a holder that is in no case.
pub(super) fn of_nobody(limit: usize) -> ClaimRequest {
    let lease = Duration::from_secs(1_000_000);
    ClaimRequest {
        holder: HolderId::new(0),
        lease,
        limit,
        max_bytes: usize::MAX,
        quota: Quota::default(),
        start_within: Duration::from_secs(1),
    }
}

pub(super) fn given_back(claim: &Claim) -> Settlement {
    Settlement::new(claim, Next::Release)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
