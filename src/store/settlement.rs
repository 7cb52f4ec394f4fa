//! Settling: the result of a claim, and its effect on the webhook's lane.

use std::time::Duration;

use super::claim::Claim;
use super::lease::Fence;
use crate::delivery::{Counting, Health, Next, Report};
use crate::model::{Attempt, DeliveryId, DisableReason, Disabled, End, Status, Timestamp};
use crate::registry::{RegisteredWebhook, Version};
use crate::retry::RetryState;

/// The result of a claim.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Settlement {
    /// The delivery.
    pub id: DeliveryId,
    /// The proof of holding it.
    pub fence: Fence,
    /// The attempt, if one was made.
    pub attempt: Option<Attempt>,
    /// The next state of the delivery.
    pub next: Next,
    /// The position of the delivery in its schedule.
    pub retry: RetryState,
    /// The finding about the receiver, for the health of the lane.
    pub report: Report,
    /// The times by which failures of the lane are counted.
    pub counting: Counting,
    /// The number of backoffs in a row that the lane had when the delivery was claimed.
    pub backoffs_seen: u32,
    /// How long no more deliveries are claimed from the lane. Of several backoffs, the one that ends last applies.
    pub backoff: Option<Duration>,
    /// Disables the webhook: sets its status and the reason, and increases its version and the registry's revision.
    ///
    /// If [`Disable::applied_to`] refuses, the webhook stays as it is and the rest of the settlement applies.
    pub disable: Option<Disable>,
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
            retry: claim.retry,
            report: Report::NoAttempt,
            counting: Counting::DEFAULT,
            backoffs_seen: claim.health.backoffs(),
            backoff: None,
            disable: None,
        }
    }

    /// Returns the lane's health after this settlement, which comes at this date. For stores to build on.
    pub fn health_after(&self, health: Health, date: Timestamp) -> Health {
        let health = health.after(self.report, self.counting, date);
        if self.backoff.is_some() { health.after_backoff(self.backoffs_seen) } else { health }
    }

    /// Returns the end of the lane's backoff after this settlement, if it has one. `now` and the ends are moments of the
    /// store's own time. For stores to build on.
    pub fn backoff_after(&self, until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        until.max(self.backoff.map(|backoff| now.plus(backoff)))
    }
}

/// An order to disable a webhook, which applies only to the version that was claimed and only while
/// [`Health::confirms`] the reason, this settlement's report included.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "stores take it apart")]
pub struct Disable {
    /// The reason.
    pub reason: DisableReason,
    /// The version of the webhook that was claimed.
    pub version: Version,
}

impl Disable {
    /// Returns the webhook as it is once it was disabled at this date, with a new version. For stores to build on.
    ///
    /// `None` if the webhook has another version by now, its health no longer confirms the reason, or it is disabled
    /// already.
    pub fn applied_to(
        &self,
        hook: &RegisteredWebhook,
        health: &Health,
        date: Timestamp,
    ) -> Option<RegisteredWebhook> {
        let is_judged = hook.version == self.version && health.confirms(&self.reason);
        (is_judged && hook.webhook.status().is_enabled()).then(|| RegisteredWebhook {
            webhook: hook.webhook.clone().with_status(Status::Disabled),
            version: hook.version.next(),
            disabled: Some(Disabled { reason: Some(self.reason), at: Some(date) }),
            ..hook.clone()
        })
    }
}

/// The answer to one [`Settlement`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "it was applied or it was not")]
pub enum Settled {
    /// The settlement is recorded, with this effect.
    Applied(Effect),
    /// The claim was no longer held; nothing of the settlement is recorded.
    Fenced,
}

impl Settled {
    /// Returns whether the settlement is recorded.
    pub const fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// What a settlement has changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Effect {
    /// The end of the delivery, if it has ended. It is [`Cancelled`](End::Cancelled) where the delivery was to wait again
    /// and its webhook's backlog was dropped.
    pub end: Option<End>,
    /// The health of the lane before and after, if it has changed.
    pub health: Option<(Health, Health)>,
    /// Since when and why the webhook is disabled, if the settlement has disabled it.
    pub disabled: Option<Disabled>,
}

impl Effect {
    /// Creates the effect on a lane with this health before and after.
    pub fn of_health(before: Health, after: Health) -> Self {
        Self { health: (before != after).then_some((before, after)), ..Self::default() }
    }
}
