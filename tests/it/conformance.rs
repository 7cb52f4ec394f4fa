//! Every store and wrapper runs the whole contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::clock::ManualClock;
use hookwire::model::StampedEvent;
use hookwire::store::{MemoryStore, Store};
use hookwire::testing::conformance::StoreFixture;
use hookwire::testing::{Fault, FaultyStore};

/// A memory store, perhaps in a wrapper, on a clock that moves when told.
pub(crate) struct MemoryFixture {
    inner: Arc<MemoryStore>,
    store: Arc<dyn Store>,
    clock: ManualClock,
}

impl MemoryFixture {
    pub(crate) fn wrapped(wrap: impl FnOnce(Arc<MemoryStore>) -> Arc<dyn Store>) -> Self {
        let clock = ManualClock::default();
        let inner = Arc::new(MemoryStore::with_clock(clock.clone()));
        Self { store: wrap(Arc::clone(&inner)), inner, clock }
    }
}

#[async_trait]
impl StoreFixture for MemoryFixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn step(&self, seconds: i64) {
        self.clock.step(seconds);
    }

    async fn write_unrouted(&self, tenant: &TenantId, event: StampedEvent) {
        self.inner.publish_unrouted(tenant, event);
    }
}

async fn bare() -> MemoryFixture {
    MemoryFixture::wrapped(|store| store)
}

async fn in_an_arc() -> MemoryFixture {
    MemoryFixture::wrapped(|store| Arc::new(store as Arc<dyn Store>))
}

async fn without_faults() -> MemoryFixture {
    MemoryFixture::wrapped(|store| Arc::new(FaultyStore::new(store, |_, _| Fault::None)))
}

hookwire::testing::store_conformance!(memory_store, super::bare());
hookwire::testing::store_conformance!(arc_dyn_store, super::in_an_arc());
hookwire::testing::store_conformance!(faulty_store, super::without_faults());
