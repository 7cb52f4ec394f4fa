use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use super::audience::Audience;
use super::error::Error;
use crate::clock::Clock;
use crate::handshake::Handshake;
use crate::model::{Catalog, DeliveryOptions, HookId, StampedEvent, TenantId, Timestamp};
use crate::notify::Notify;
use crate::policy::Policy;
use crate::registry::{Limits, Registry, RegistryChange, Terms, UrlRule, Version};
use crate::sealing::SealingKeys;
use crate::signer::Signer;
use crate::store::{Claim, ClaimRequest, Store};
use crate::transport::Transport;

pub(super) type LimitsOf = Arc<dyn Fn(&TenantId) -> Option<Limits> + Send + Sync>;

/// What a service is put together from.
pub(super) struct Parts {
    pub(super) catalog: Catalog,
    pub(super) limits: LimitsOf,
    pub(super) policy: Policy,
    pub(super) urls: UrlRule,
    pub(super) store: Arc<dyn Store>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) audience: Audience,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) handshake: Option<Handshake>,
    pub(super) sealing: Option<SealingKeys>,
}

/// What the handles of a service and its dispatcher share.
pub(crate) struct Core {
    parts: Parts,
    /// Notified when work has come that the store may not tell of.
    pub(crate) new_work: Notify,
    registries: Mutex<HashMap<TenantId, Arc<Registry>>>,
    changes: Mutex<Changes>,
    handoff: RwLock<Option<Arc<dyn Handoff>>>,
}

/// What was changed through this service, until no claim from before it can live.
#[derive(Default)]
struct Changes {
    webhooks: HashMap<(TenantId, HookId), Change<Version>>,
    /// The id below which each webhook of a tenant was erased.
    erased: HashMap<TenantId, Change<HookId>>,
}

struct Change<T> {
    to: T,
    until: Timestamp,
}

impl<T> Change<T> {
    /// Of changes that were committed one after the other, the later may be noted first.
    fn note<K: Eq + Hash>(changes: &mut HashMap<K, Self>, key: K, new: Self)
    where
        T: Copy + Ord,
    {
        let change = changes.entry(key).or_insert(Self { ..new });
        *change = Self { to: change.to.max(new.to), until: new.until };
    }
}

impl Changes {
    fn forget(&mut self, now: Timestamp) {
        self.webhooks.retain(|_, change| change.until > now);
        self.erased.retain(|_, change| change.until > now);
    }
}

/// A dispatcher of this process that stands ready to take deliveries as they are published.
pub(crate) trait Handoff: Debug + Send + Sync {
    /// What it would take now, and the reading of its own clock from which the lease counts.
    fn offer(&self) -> Option<(ClaimRequest, Duration)>;

    /// Takes what was held for it; gives it back when it has stopped in the meantime.
    fn take(&self, claims: Vec<Claim>, asked_at: Duration) -> Result<(), Vec<Claim>>;
}

impl Core {
    /// The most registries that are kept in memory for publishing.
    const MAX_REGISTRIES: usize = 10_000;

    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            new_work: Notify::default(),
            registries: Mutex::default(),
            changes: Mutex::default(),
            handoff: RwLock::default(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(crate) fn transport(&self) -> &dyn Transport {
        &*self.parts.transport
    }

    /// What signs instead of the webhooks' own keys.
    pub(super) fn signer(&self) -> Option<&dyn Signer> {
        self.parts.signer.as_deref()
    }

    /// What receivers are asked before they are registered.
    pub(super) fn handshake(&self) -> Option<&Handshake> {
        self.parts.handshake.as_ref()
    }

    /// What seals the webhooks' secrets.
    pub(super) fn sealing(&self) -> Option<&SealingKeys> {
        self.parts.sealing.as_ref()
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// What tenants see of attempts and pings.
    pub(super) const fn audience(&self) -> Audience {
        self.parts.audience
    }

    pub(super) fn terms(&self, tenant: &TenantId) -> Terms<'_> {
        let limits = (self.parts.limits)(tenant);
        Terms { catalog: &self.parts.catalog, limits, urls: self.parts.urls }
    }

    /// The body in which a webhook gets an event. An event that left the catalog since goes by its number.
    pub(crate) fn body(&self, options: &DeliveryOptions, event: &StampedEvent, tenant: &TenantId) -> Bytes {
        let known = self.catalog().get(event.event_id);
        let key = known.map_or_else(|| event.event_id.to_string(), |it| it.key().to_owned());
        let envelope = options.envelope().unwrap_or_else(|| self.catalog().envelope());
        crate::envelope::body(envelope, event, &key, tenant)
    }

    /// The registry by which to route: perhaps an older one, which the store then answers with `Stale`.
    pub(super) async fn cached_registry(&self, tenant: &TenantId) -> Result<Arc<Registry>, Error> {
        let cached = self.registries().get(tenant).map(Arc::clone);
        match cached {
            Some(registry) => Ok(registry),
            None => self.fresh_registry(tenant).await,
        }
    }

    pub(crate) async fn fresh_registry(&self, tenant: &TenantId) -> Result<Arc<Registry>, Error> {
        let registry = Arc::new(self.store().registry(tenant).await?);
        let mut registries = self.registries();
        if registries.len() >= Self::MAX_REGISTRIES {
            registries.clear();
        }
        registries.insert(tenant.clone(), Arc::clone(&registry));
        Ok(registry)
    }

    /// Notes a committed change, so that claims from before it start no attempt in this process.
    pub(super) fn changed(&self, tenant: &TenantId, change: &RegistryChange) {
        self.registries().remove(tenant);
        let (hook_id, version) = match change {
            RegistryChange::Create(_) => return self.new_work.notify(),
            RegistryChange::Delete(hook_id) => (*hook_id, Version::new(u64::MAX)),
            RegistryChange::Update(new, _) => (new.hook_id(), new.version),
        };
        self.note(|changes, until| {
            Change::note(&mut changes.webhooks, (tenant.clone(), hook_id), Change { to: version, until });
        });
    }

    /// Notes that the tenant's webhooks of smaller ids are gone, so that claims from before start no attempt.
    pub(super) fn erased(&self, tenant: &TenantId, below: HookId) {
        self.registries().remove(tenant);
        self.note(|changes, until| {
            Change::note(&mut changes.erased, tenant.clone(), Change { to: below, until });
        });
    }

    fn note(&self, note: impl FnOnce(&mut Changes, Timestamp)) {
        let now = self.now();
        let mut changes = self.changes();
        changes.forget(now);
        note(&mut changes, now.plus(self.policy().lease()));
        drop(changes);
        self.new_work.notify();
    }

    pub(super) fn handoff(&self) -> Option<Arc<dyn Handoff>> {
        self.handoff.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A map and an option are whole at every point, so poisoned locks are as good.
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn registries(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Registry>>> {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "dispatcher")]
impl Core {
    /// Makes `handoff` the one that takes deliveries as they are published, unless there is one.
    pub(crate) fn set_handoff(&self, handoff: Arc<dyn Handoff>) -> bool {
        let mut present = self.handoff.write().unwrap_or_else(PoisonError::into_inner);
        let free = present.is_none();
        if free {
            *present = Some(handoff);
        }
        free
    }

    /// Whether the webhook was changed in this process after the claim was made.
    pub(crate) fn is_outdated(&self, claim: &Claim) -> bool {
        let (tenant, hook_id) = (&claim.tenant, claim.hook.hook_id());
        let changes = self.changes();
        let change = changes.webhooks.get(&(tenant.clone(), hook_id));
        change.is_some_and(|change| claim.hook.version < change.to)
            || changes.erased.get(tenant).is_some_and(|change| hook_id < change.to)
    }

    pub(crate) fn clear_handoff(&self) {
        *self.handoff.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Random bytes for a new key, or for the nonce of what is sealed.
pub(super) fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(Error::no_entropy)?;
    Ok(bytes)
}
