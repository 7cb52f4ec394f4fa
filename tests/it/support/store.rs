//! A store that keeps what it was handed.

use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hookwire::delivery::Health;
use hookwire::model::{
    Attempt, Delivery, DeliveryId, HookId, MessageId, MessageQuery, MessageRecord, Page, PageRequest,
    SealedSecrets, Timestamp,
};
use hookwire::registry::{RegisteredWebhook, Registry, RegistryChange, Revision};
use hookwire::store::{
    Addition, ClaimRequest, Claimed, Counted, DisabledWebhook, Erased, EventRecord, HolderId, MemoryStore,
    Publication, Published, Recovered, Recovery, Redelivery, RouteAnswer, Routed, Settled, Settlement,
    Statistics, Stats, StatsScope, Store, StoreError, StoreErrorKind, TendRequest, Tended, delegate_store,
};
use hookwire::{DeliveryQuery, TenantId};

/// A memory store that keeps every byte it was handed. Clones are the same store.
#[derive(Clone)]
pub(crate) struct WatchedStore {
    inner: Arc<MemoryStore>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    secrets: Vec<SealedSecrets>,
    /// The number of next commits that fail as conflicts.
    conflicts: usize,
}

impl WatchedStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self { inner: Arc::new(inner), seen: Arc::default() }
    }

    /// Everything it was handed so far, one after the other.
    pub(crate) fn seen(&self) -> Vec<u8> {
        self.with(|seen| seen.bytes.clone())
    }

    /// The secrets that it was handed, in order.
    pub(crate) fn secrets(&self) -> Vec<SealedSecrets> {
        self.with(|seen| seen.secrets.clone())
    }

    /// Lets another change come first, at each of the next commits.
    pub(crate) fn conflict(&self, times: usize) {
        self.with(|seen| seen.conflicts = times);
    }

    /// Writes a webhook past every service.
    pub(crate) async fn overwrite(&self, tenant: &TenantId, edit: impl Fn(&mut RegisteredWebhook)) {
        let registry = self.inner.registry(tenant).await.expect("in memory");
        let mut revision = registry.revision;
        for mut registered in registry.webhooks {
            edit(&mut registered);
            let change = RegistryChange::Update(registered, hookwire::registry::Backlog::Resume);
            revision = self.inner.commit(tenant, revision, &change).await.expect("nobody else writes");
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A webhook with its secrets in the bytes that a store would write down.
    fn commits(&self, change: &RegistryChange) -> bool {
        self.with(|seen| {
            seen.bytes.extend(format!("{change:?}").bytes());
            if let RegistryChange::Create(new) | RegistryChange::Update(new, _) = change {
                seen.bytes.extend(serde_json::to_vec(&(&new.webhook, &new.options)).expect("JSON"));
                seen.bytes.extend(new.secrets.expose());
                seen.secrets.push(new.secrets.clone());
            }
            let conflicts = seen.conflicts > 0;
            seen.conflicts = seen.conflicts.saturating_sub(1);
            !conflicts
        })
    }

    fn handed(&self, argument: &dyn Debug) {
        self.with(|seen| seen.bytes.extend(format!("{argument:?}").bytes()));
    }
}

impl Debug for WatchedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Writes the methods that differ in their types alone.
macro_rules! watch {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for WatchedStore {
            $(
                async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    $(self.handed(&$arg);)*
                    self.inner.$name($($arg),*).await
                }
            )*

            async fn commit(
                &self,
                tenant: &TenantId,
                expected: Revision,
                change: &RegistryChange,
            ) -> Result<Revision, StoreError> {
                match self.commits(change) {
                    true => self.inner.commit(tenant, expected, change).await,
                    false => Err(StoreErrorKind::Conflict.into()),
                }
            }

            delegate_store! { |self| self.inner; wake, poll_every }
        }
    };
}

watch! {
    registry(tenant: &TenantId) -> Registry;
    health(tenant: &TenantId, hook_id: HookId) -> Option<Health>;
    disabled(since: Timestamp, page: &PageRequest) -> Page<DisabledWebhook>;
    tenants(page: &PageRequest) -> Page<TenantId>;
    publish(publications: &[Publication], hold: Option<&ClaimRequest>) -> Published;
    route(routed: &[Routed]) -> Vec<RouteAnswer>;
    redeliver(tenant: &TenantId, redeliveries: &[Redelivery]) -> Vec<Option<DeliveryId>>;
    add(tenant: &TenantId, additions: &[Addition]) -> Vec<Option<DeliveryId>>;
    erase_payload(tenant: &TenantId, message: &MessageId) -> bool;
    recover(tenant: &TenantId, recovery: &Recovery) -> Recovered;
    claim(request: &ClaimRequest) -> Claimed;
    claim_of(tenant: &TenantId, request: &ClaimRequest) -> Claimed;
    settle(settlements: &[Settlement]) -> Vec<Settled>;
    release(holder: HolderId) -> ();
    event(tenant: &TenantId, id: &MessageId) -> Option<EventRecord>;
    messages(tenant: &TenantId, query: &MessageQuery) -> Page<MessageRecord>;
    deliveries(tenant: &TenantId, query: &DeliveryQuery) -> Page<Delivery>;
    attempts(tenant: &TenantId, deliveries: &[DeliveryId]) -> Vec<Option<Vec<Attempt>>>;
    stats(scope: &StatsScope) -> Stats;
    count(holder: HolderId, counts: &[Counted]) -> ();
    statistics(tenant: &TenantId, hook_id: HookId, since: Timestamp) -> Option<Statistics>;
    tend(request: &TendRequest) -> Tended;
    erase(tenant: &TenantId, limit: usize) -> Erased;
}
