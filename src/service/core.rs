//! `Core`: store, transport, policy and caches, which the handles of a service and its dispatcher share.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::changes::Changes;
use super::clock_check::{ClockCheck, ClockOffset};
use super::error::Error;
use super::handoff::{Handoff, HandoffSlot};
use super::notice::Observer;
use super::registries::Registries;
use super::room::Room;
use super::templates::Templates;
use super::visibility::Visibility;
use crate::clock::Clock;
use crate::handshake::Handshake;
use crate::model::{Catalog, EventId, HookId, TenantId, Timestamp};
use crate::notify::Notify;
use crate::policy::Policy;
use crate::registry::{Limits, Registry, RegistryChange, Terms, UrlRule};
use crate::request::RequestStyle;
use crate::sealing::SealingKeys;
use crate::signer::Signer;
use crate::store::Store;
#[cfg(feature = "dispatcher")]
use crate::store::{Claim, HolderId};
use crate::timer::Timer;
use crate::transport::Transport;

pub(super) type LimitsOf = Arc<dyn Fn(&TenantId) -> Option<Limits> + Send + Sync>;

/// The parts that a service is built from.
pub(super) struct Parts {
    pub(super) catalog: Catalog,
    pub(super) limits: LimitsOf,
    pub(super) policy: Policy,
    pub(super) urls: UrlRule,
    pub(super) store: Arc<dyn Store>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) visibility: Visibility,
    pub(super) signer: Option<Arc<dyn Signer>>,
    pub(super) handshake: Option<Handshake>,
    pub(super) sealing: Option<SealingKeys>,
    pub(super) observers: Vec<Observer>,
    pub(super) short_secrets: bool,
    pub(super) requests: RequestStyle,
    pub(super) timer: Timer,
}

/// The state that the handles of a service and its dispatcher share.
pub(crate) struct Core {
    parts: Parts,
    /// Notified of work that the store may not notify of.
    pub(crate) new_work: Notify,
    registries: Registries,
    changes: Changes,
    handoff: HandoffSlot,
    publishing: Room,
    templates: Templates,
    clock_check: Mutex<ClockCheck>,
    /// Who counts attempts: all dispatchers of the service together, however many there were.
    #[cfg(feature = "dispatcher")]
    counter: HolderId,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            publishing: Room::new(parts.policy.in_flight_bytes()),
            parts,
            new_work: Notify::default(),
            registries: Registries::default(),
            changes: Changes::default(),
            handoff: HandoffSlot::default(),
            templates: Templates::default(),
            clock_check: Mutex::default(),
            #[cfg(feature = "dispatcher")]
            counter: HolderId::new(uuid::Uuid::new_v4().as_u128()),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.parts.transport
    }

    /// Returns the signer that replaces the webhooks' own keys.
    pub(super) fn signer(&self) -> Option<&dyn Signer> {
        self.parts.signer.as_deref()
    }

    /// Returns what receivers are asked before they are registered.
    pub(super) fn handshake(&self) -> Option<&Handshake> {
        self.parts.handshake.as_ref()
    }

    /// Returns the keys that seal webhooks' secrets.
    pub(super) fn sealing(&self) -> Option<&SealingKeys> {
        self.parts.sealing.as_ref()
    }

    /// Returns whether secrets that somebody brings may have fewer bytes than Standard Webhooks asks for.
    pub(super) const fn takes_short_secrets(&self) -> bool {
        self.parts.short_secrets
    }

    /// Returns what all requests have in common.
    pub(super) const fn requests(&self) -> &RequestStyle {
        &self.parts.requests
    }

    /// Returns the observers, in the order in which they were set.
    pub(super) fn observers(&self) -> &[Observer] {
        &self.parts.observers
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.parts.policy
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.parts.catalog
    }

    /// Returns the key of an event, or the number of one that is no longer in the catalog.
    pub(super) fn event_key(&self, id: EventId) -> Cow<'_, str> {
        let known = self.catalog().get(id);
        known.map_or_else(|| id.to_string().into(), |it| Cow::Borrowed(it.key()))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Returns the reading of the clock by which durations are measured.
    pub(super) fn monotonic(&self) -> Duration {
        self.parts.clock.monotonic()
    }

    /// Returns the date at zero of the monotonic reading, by our own clock as it is set now.
    fn date_of_zero(&self) -> Timestamp {
        self.now().minus(self.monotonic())
    }

    /// Notes the date of a host's answer. Returns the offset of our clock the first time that it is found to be off.
    pub(super) fn check_clock(&self, host: &str, date: Timestamp) -> Option<ClockOffset> {
        let (ours, theirs) = (self.date_of_zero(), date.minus(self.monotonic()));
        self.with_clock_check(|check| check.note(host, ours, theirs))
    }

    /// The check is whole whenever the lock is free, so a poisoned lock is usable.
    fn with_clock_check<T>(&self, with: impl FnOnce(&mut ClockCheck) -> T) -> T {
        with(&mut self.clock_check.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what tenants see of attempts and pings.
    pub(super) const fn visibility(&self) -> Visibility {
        self.parts.visibility
    }

    pub(super) fn terms(&self, tenant: &TenantId) -> Terms<'_> {
        let limits = (self.parts.limits)(tenant);
        Terms { catalog: &self.parts.catalog, limits, urls: self.parts.urls, now: self.now() }
    }

    /// Returns a registry that may be outdated: see [`Registries::cached`].
    pub(super) async fn cached_registry(&self, tenant: &TenantId) -> Result<Arc<Registry>, Error> {
        Ok(self.registries.cached(self.store(), tenant).await?)
    }

    pub(crate) async fn fresh_registry(&self, tenant: &TenantId) -> Result<Arc<Registry>, Error> {
        Ok(self.registries.fresh(self.store(), tenant).await?)
    }

    /// Notes a committed change, so that no earlier claim starts an attempt in this process.
    pub(super) fn changed(&self, tenant: &TenantId, before: &Registry, change: &RegistryChange) {
        self.registries.forget(tenant);
        self.templates.forget(tenant, change);
        self.changes.note(tenant, (before, change), self.monotonic(), self.policy().lease());
        self.new_work.notify();
    }

    /// Notes that the tenant's webhooks with ids smaller than `below` are gone, so that no earlier claim starts an
    /// attempt in this process.
    pub(super) fn erased(&self, tenant: &TenantId, below: HookId) {
        self.registries.forget(tenant);
        self.templates.forget_all(tenant);
        self.changes.note_erased(tenant, below, self.monotonic(), self.policy().lease());
        self.new_work.notify();
    }

    /// Returns the room for payloads that are being published.
    pub(super) const fn publishing(&self) -> &Room {
        &self.publishing
    }

    /// Returns what is kept of the requests to each webhook.
    pub(super) const fn templates(&self) -> &Templates {
        &self.templates
    }

    pub(super) const fn timer(&self) -> &Timer {
        &self.parts.timer
    }

    pub(super) fn handoff(&self) -> Option<Arc<dyn Handoff>> {
        self.handoff.get()
    }
}

#[cfg(feature = "dispatcher")]
impl Core {
    /// Lets publishers hand deliveries to `handoff`, and returns whether they had nobody to hand them to before.
    pub(crate) fn set_handoff(&self, handoff: Arc<dyn Handoff>) -> bool {
        self.handoff.fill(handoff)
    }

    pub(crate) fn clear_handoff(&self) {
        self.handoff.clear();
    }

    /// Returns the name in which attempts are counted.
    pub(crate) const fn counter(&self) -> HolderId {
        self.counter
    }

    /// Forgets what was kept for requests and not used since the last call.
    pub(crate) fn forget_unused(&self) {
        self.templates.forget_unused();
    }

    /// Returns the offset of our clock, while the dates of receivers' answers agree that it is off.
    pub(crate) fn clock_off(&self) -> Option<ClockOffset> {
        self.with_clock_check(|check| check.found(self.date_of_zero()))
    }

    /// Returns whether the webhook was changed in this process after the claim was made.
    pub(crate) fn is_outdated(&self, claim: &Claim) -> bool {
        self.changes.is_outdated(claim)
    }
}
