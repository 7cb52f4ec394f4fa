use std::sync::Arc;
use std::time::Duration;

use super::publication::Unrouted;
use super::quota::Quota;
use crate::delivery::{Health, Next, Report};
use crate::model::{Attempt, DeliveryId, DisableReason, StampedEvent, Status, TenantId, Timestamp};
use crate::registry::{RegisteredWebhook, Version};

/// Who claims: one running dispatcher.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HolderId(u128);

impl HolderId {
    /// The holder with this number, which nobody else may have.
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// The proof of holding a claim: a number that a store gives once and never again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fence(u64);

impl Fence {
    /// The fence with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A point in the sequence of a store's hints that work has come.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct WakeMark(u64);

impl WakeMark {
    /// The mark with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a dispatcher is ready to take.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct ClaimRequest {
    /// Who claims.
    pub holder: HolderId,
    /// For how long.
    pub lease: Duration,
    /// At most this many deliveries.
    pub limit: usize,
    /// At most this many bytes of payload.
    pub max_bytes: usize,
    /// How much the holder may have at once, of all and of each.
    pub quota: Quota,
}

impl ClaimRequest {
    /// What is still wanted once these were claimed: for a store that answers a request in parts.
    ///
    /// Even the first of a claim may be larger than all its bytes; once some are claimed, that is over.
    pub fn without(self, claims: &[Claim]) -> Option<Self> {
        let bytes = claims.iter().map(|claim| claim.event.payload.get().len()).sum();
        let limit = self.limit.saturating_sub(claims.len());
        let max_bytes = self.max_bytes.saturating_sub(bytes);
        (claims.is_empty() || (limit > 0 && max_bytes > 0)).then_some(Self { limit, max_bytes, ..self })
    }
}

/// What a claim gave.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Claimed {
    /// The deliveries.
    pub deliveries: Vec<Claim>,
    /// Events that want routing first.
    pub unrouted: Vec<Unrouted>,
    /// How long until the same request could get something more: zero when limit or bytes cut it short,
    /// otherwise until a retry is due, a backoff ends or anybody's lease does. It may be early, never late;
    /// what lies in saturated or disabled lanes does not count. `None` when only news can change it.
    pub next_in: Option<Duration>,
    /// What to hand to [`Store::wake`](super::Store::wake) to hear of work that came after this claim.
    pub mark: WakeMark,
}

/// A timed, exclusive hold on a delivery, with all that sending it needs.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Claim {
    /// The delivery.
    pub id: DeliveryId,
    /// The proof of holding it.
    pub fence: Fence,
    /// Whose delivery it is.
    pub tenant: TenantId,
    /// The webhook as it was when claimed.
    pub hook: Arc<RegisteredWebhook>,
    /// The event.
    pub event: Arc<StampedEvent>,
    /// How many attempts were made before.
    pub attempts: u32,
    /// What was known of the receiver when claimed.
    pub health: Health,
}

/// What came of a claim.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Settlement {
    /// The delivery.
    pub id: DeliveryId,
    /// The proof of holding it.
    pub fence: Fence,
    /// The attempt, if one was made.
    pub attempt: Option<Attempt>,
    /// What happens to the delivery.
    pub next: Next,
    /// What the lane's health learns.
    pub report: Report,
    /// For how long the lane gives nothing; of several backoffs the one that ends last holds.
    pub backoff: Option<Duration>,
    /// Disables the webhook: its status and its reason are set, its version and the registry's revision grow.
    /// Where it no longer holds, it is passed over, and the rest of the settlement applies.
    pub disable: Option<Disable>,
}

/// A disabling that holds only for the webhook as it was when claimed, and only while
/// [`Health::confirms`] it, this settlement's report included.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Disable {
    /// Why.
    pub reason: DisableReason,
    /// The version of the webhook that was claimed.
    pub version: Version,
}

impl Settlement {
    /// Creates a settlement without an attempt, which tells nothing about the receiver.
    ///
    /// Set the other fields by struct update: `Settlement { report, ..Settlement::new(&claim, next) }`.
    pub const fn new(claim: &Claim, next: Next) -> Self {
        Self {
            id: claim.id,
            fence: claim.fence,
            attempt: None,
            next,
            report: Report::NoAttempt,
            backoff: None,
            disable: None,
        }
    }

    /// What the settlement makes of its lane's health and of the time until which it backs off: for stores to
    /// build on.
    pub fn lane_after(
        &self,
        health: Health,
        backoff_until: Timestamp,
        now: Timestamp,
    ) -> (Health, Timestamp) {
        let backoff = self.backoff.map_or(backoff_until, |backoff| backoff_until.max(now.plus(backoff)));
        (health.after(self.report, now), backoff)
    }
}

impl Disable {
    /// The webhook, disabled, at another version; `None` where it is not the one that was judged any more, its
    /// health no longer confirms the reason, or it is disabled already. For stores to build on.
    pub fn applied_to(&self, hook: &RegisteredWebhook, health: &Health) -> Option<RegisteredWebhook> {
        let is_judged = hook.version == self.version && health.confirms(&self.reason);
        (is_judged && hook.webhook.status().is_enabled()).then(|| RegisteredWebhook {
            webhook: hook.webhook.clone().with_status(Status::Disabled),
            version: hook.version.next(),
            disabled: Some(self.reason),
            ..hook.clone()
        })
    }
}

/// What became of one [`Settlement`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it was applied or it was not")]
pub enum Settled {
    /// It is recorded.
    Applied,
    /// The claim was no longer held; nothing of it was recorded.
    Fenced,
}
