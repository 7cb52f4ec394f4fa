//! What the contract's suite is worth: each test plants one fault in a store that has none, and says with
//! which words the case of that point finds it.
//!
//! [`Fault`] has a method for each of [`Store`]'s, which passes on to the store behind; a fault overrides
//! the one that it spoils.

mod claiming;
mod claims;
mod history;
mod kinds;
mod publishing;
mod registering;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::model::{Attempt, Delivery, DeliveryId, DeliveryQuery, MessageId, Page, PageRequest};
use hookwire::registry::{Registry, RegistryChange, Revision};
use hookwire::store::{
    ClaimRequest, Claimed, Erased, EventRecord, HolderId, MemoryStore, Publication, Published, Redelivery,
    RouteAnswer, Routed, Settled, Settlement, Stats, StatsScope, Store, StoreError, TendRequest, Tended,
    WakeMark,
};

use crate::conformance::MemoryFixture;

/// Makes one test of each fault of a group: the case must find it, in these words.
macro_rules! catches {
    ($case:ident: $($test:ident = $fault:expr => $words:literal,)*) => {
        mod $case {
            use super::*;

            $(
                #[test]
                #[should_panic(expected = $words)]
                fn $test() {
                    $crate::conformance_catches::expose($fault, async |fixture| {
                        hookwire::testing::conformance::$case(&fixture).await;
                    });
                }
            )*
        }
    };
}
use catches;

/// Runs a case on a store with this fault. Time stands still unless all wait, so that what waits for ever
/// is found at once.
fn expose(fault: impl Fault, case: impl AsyncFnOnce(MemoryFixture)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime for the case").block_on(case(planted(fault)));
}

fn planted(fault: impl Fault) -> MemoryFixture {
    MemoryFixture::wrapped(|inner| Arc::new(FaultyWrapper { inner, fault: Box::new(fault) }))
}

struct NoFault;

impl Fault for NoFault {}

// What is found is the fault and not the wrapper.
hookwire::testing::store_conformance!(no_fault, async { super::planted(super::NoFault) });

type Answer<T> = Result<T, StoreError>;

/// One way to break the contract.
#[async_trait]
trait Fault: Send + Sync + 'static {
    async fn registry(&self, inner: &MemoryStore, tenant: &TenantId) -> Answer<Registry> {
        inner.registry(tenant).await
    }

    async fn commit(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        inner.commit(tenant, expected, change).await
    }

    async fn tenants(&self, inner: &MemoryStore, page: &PageRequest) -> Answer<Page<TenantId>> {
        inner.tenants(page).await
    }

    async fn publish(
        &self,
        inner: &MemoryStore,
        items: &[Publication],
        hold: Option<&ClaimRequest>,
    ) -> Answer<Published> {
        inner.publish(items, hold).await
    }

    async fn route(&self, inner: &MemoryStore, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        inner.route(items).await
    }

    async fn redeliver(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        items: &[Redelivery],
    ) -> Answer<Vec<Option<DeliveryId>>> {
        inner.redeliver(tenant, items).await
    }

    async fn claim(&self, inner: &MemoryStore, request: &ClaimRequest) -> Answer<Claimed> {
        inner.claim(request).await
    }

    async fn settle(&self, inner: &MemoryStore, items: &[Settlement]) -> Answer<Vec<Settled>> {
        inner.settle(items).await
    }

    async fn release(&self, inner: &MemoryStore, holder: HolderId) -> Answer<()> {
        inner.release(holder).await
    }

    async fn wake(&self, inner: &MemoryStore, since: WakeMark) {
        inner.wake(since).await;
    }

    async fn event(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: &MessageId,
    ) -> Answer<Option<EventRecord>> {
        inner.event(tenant, id).await
    }

    async fn deliveries(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        query: &DeliveryQuery,
    ) -> Answer<Page<Delivery>> {
        inner.deliveries(tenant, query).await
    }

    async fn attempts(
        &self,
        inner: &MemoryStore,
        tenant: &TenantId,
        id: DeliveryId,
    ) -> Answer<Option<Vec<Attempt>>> {
        inner.attempts(tenant, id).await
    }

    async fn stats(&self, inner: &MemoryStore, scope: &StatsScope) -> Answer<Stats> {
        inner.stats(scope).await
    }

    async fn tend(&self, inner: &MemoryStore, request: &TendRequest) -> Answer<Tended> {
        inner.tend(request).await
    }

    async fn erase(&self, inner: &MemoryStore, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        inner.erase(tenant, limit).await
    }
}

struct FaultyWrapper {
    inner: Arc<MemoryStore>,
    fault: Box<dyn Fault>,
}

impl fmt::Debug for FaultyWrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyWrapper").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Store for FaultyWrapper {
    async fn registry(&self, tenant: &TenantId) -> Answer<Registry> {
        self.fault.registry(&self.inner, tenant).await
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        expected: Revision,
        change: &RegistryChange,
    ) -> Answer<Revision> {
        self.fault.commit(&self.inner, tenant, expected, change).await
    }

    async fn tenants(&self, page: &PageRequest) -> Answer<Page<TenantId>> {
        self.fault.tenants(&self.inner, page).await
    }

    async fn publish(&self, items: &[Publication], hold: Option<&ClaimRequest>) -> Answer<Published> {
        self.fault.publish(&self.inner, items, hold).await
    }

    async fn route(&self, items: &[Routed]) -> Answer<Vec<RouteAnswer>> {
        self.fault.route(&self.inner, items).await
    }

    async fn redeliver(&self, tenant: &TenantId, items: &[Redelivery]) -> Answer<Vec<Option<DeliveryId>>> {
        self.fault.redeliver(&self.inner, tenant, items).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Answer<Claimed> {
        self.fault.claim(&self.inner, request).await
    }

    async fn settle(&self, items: &[Settlement]) -> Answer<Vec<Settled>> {
        self.fault.settle(&self.inner, items).await
    }

    async fn release(&self, holder: HolderId) -> Answer<()> {
        self.fault.release(&self.inner, holder).await
    }

    async fn wake(&self, since: WakeMark) {
        self.fault.wake(&self.inner, since).await;
    }

    async fn event(&self, tenant: &TenantId, id: &MessageId) -> Answer<Option<EventRecord>> {
        self.fault.event(&self.inner, tenant, id).await
    }

    async fn deliveries(&self, tenant: &TenantId, query: &DeliveryQuery) -> Answer<Page<Delivery>> {
        self.fault.deliveries(&self.inner, tenant, query).await
    }

    async fn attempts(&self, tenant: &TenantId, id: DeliveryId) -> Answer<Option<Vec<Attempt>>> {
        self.fault.attempts(&self.inner, tenant, id).await
    }

    async fn stats(&self, scope: &StatsScope) -> Answer<Stats> {
        self.fault.stats(&self.inner, scope).await
    }

    async fn tend(&self, request: &TendRequest) -> Answer<Tended> {
        self.fault.tend(&self.inner, request).await
    }

    async fn erase(&self, tenant: &TenantId, limit: usize) -> Answer<Erased> {
        self.fault.erase(&self.inner, tenant, limit).await
    }

    fn poll_every(&self) -> Option<Duration> {
        self.inner.poll_every()
    }
}
