//! Planted faults for the contract's suite. Each test plants one fault in a correct store, and names the panic message
//! with which the case of that point finds it.
//!
//! [`Fault`] has a method for each of [`Store`]'s, which passes on to the store behind; a fault overrides
//! the one that it spoils.

mod adding;
mod claiming;
mod claims;
mod history;
mod keeping;
mod keys;
mod kinds;
mod publishing;
mod registering;
mod statistics;
mod stopping;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hookwire::TenantId;
use hookwire::delivery::Health;
use hookwire::model::{
    Attempt, Delivery, DeliveryId, DeliveryQuery, HookId, MessageId, MessageQuery, MessageRecord, Page,
    PageRequest, Timestamp,
};
use hookwire::registry::{Registry, RegistryChange, Revision};
use hookwire::store::{
    Addition, ClaimRequest, Claimed, Counted, DisabledWebhook, Erased, EventRecord, HolderId, MemoryStore,
    Publication, Published, Recovered, Recovery, Redelivery, RouteAnswer, Routed, Settled, Settlement,
    Statistics, Stats, StatsScope, Store, StoreError, TendRequest, Tended, WakeMark, delegate_store,
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

/// Writes the methods that differ in their types alone.
macro_rules! faults {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// One way to break the contract.
        #[async_trait]
        trait Fault: Send + Sync + 'static {
            $(
                async fn $name(&self, inner: &MemoryStore, $($arg: $type),*) -> Answer<$answer> {
                    inner.$name($($arg),*).await
                }
            )*

            async fn wake(&self, inner: &MemoryStore, since: WakeMark) {
                inner.wake(since).await;
            }
        }

        #[async_trait]
        impl Store for FaultyWrapper {
            $(
                async fn $name(&self, $($arg: $type),*) -> Answer<$answer> {
                    self.fault.$name(&self.inner, $($arg),*).await
                }
            )*

            async fn wake(&self, since: WakeMark) {
                self.fault.wake(&self.inner, since).await;
            }

            delegate_store! { |self| self.inner; poll_every }
        }
    };
}

faults! {
    registry(tenant: &TenantId) -> Registry;
    commit(tenant: &TenantId, expected: Revision, change: &RegistryChange) -> Revision;
    health(tenant: &TenantId, hook_id: HookId) -> Option<Health>;
    disabled(since: Timestamp, page: &PageRequest) -> Page<DisabledWebhook>;
    tenants(page: &PageRequest) -> Page<TenantId>;
    publish(items: &[Publication], hold: Option<&ClaimRequest>) -> Published;
    route(items: &[Routed]) -> Vec<RouteAnswer>;
    redeliver(tenant: &TenantId, items: &[Redelivery]) -> Vec<Option<DeliveryId>>;
    add(tenant: &TenantId, items: &[Addition]) -> Vec<Option<DeliveryId>>;
    erase_payload(tenant: &TenantId, message: &MessageId) -> bool;
    recover(tenant: &TenantId, recovery: &Recovery) -> Recovered;
    claim(request: &ClaimRequest) -> Claimed;
    claim_of(tenant: &TenantId, request: &ClaimRequest) -> Claimed;
    settle(items: &[Settlement]) -> Vec<Settled>;
    release(holder: HolderId) -> ();
    event(tenant: &TenantId, id: &MessageId) -> Option<EventRecord>;
    messages(tenant: &TenantId, query: &MessageQuery) -> Page<MessageRecord>;
    deliveries(tenant: &TenantId, query: &DeliveryQuery) -> Page<Delivery>;
    attempts(tenant: &TenantId, ids: &[DeliveryId]) -> Vec<Option<Vec<Attempt>>>;
    stats(scope: &StatsScope) -> Stats;
    count(holder: HolderId, counts: &[Counted]) -> ();
    statistics(tenant: &TenantId, hook_id: HookId, since: Timestamp) -> Option<Statistics>;
    tend(request: &TendRequest) -> Tended;
    erase(tenant: &TenantId, limit: usize) -> Erased;
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
