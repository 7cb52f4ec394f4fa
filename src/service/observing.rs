//! Telling observers what the store has recorded.

use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "dispatcher")]
use std::time::Duration;

#[cfg(feature = "dispatcher")]
use tracing::info;
use tracing::warn;

use super::core::Core;
#[cfg(feature = "dispatcher")]
use super::notice::DeliveryRef;
use super::notice::{Notice, WebhookRef};
#[cfg(feature = "dispatcher")]
use crate::model::{Disabled, FailureKind, Outcome};
use crate::model::{StampedEvent, TenantId};
use crate::registry::{Registry, RegistryChange};
#[cfg(feature = "dispatcher")]
use crate::store::{Claim, Effect, RouteAnswer, Routed, Settlement};
use crate::store::{Publication, PublishAnswer};

impl Core {
    /// Tells every observer. One that panics keeps nothing from the others.
    pub(super) fn tell(&self, notice: &Notice<'_>) {
        for observer in self.observers() {
            if catch_unwind(AssertUnwindSafe(|| observer(notice))).is_err() {
                warn!(target: "hookwire", "an observer panicked");
            }
        }
    }

    /// Tells of the events that the store has written, and did not have before.
    pub(super) fn tell_published(&self, publications: &[Publication], answers: &[PublishAnswer]) {
        for (publication, answer) in publications.iter().zip(answers) {
            if let PublishAnswer::Stored(receipt) = answer {
                self.tell_event(&publication.tenant, &publication.event, receipt.targets);
            }
        }
    }

    fn tell_event(&self, tenant: &TenantId, event: &StampedEvent, webhooks: usize) {
        let StampedEvent { message_id, event_id, .. } = event;
        self.tell(&Notice::Published { tenant, message_id, event_id: *event_id, webhooks });
    }

    /// Tells that a call has enabled or disabled, paused or resumed a webhook, if it has.
    pub(super) fn tell_changed(&self, tenant: &TenantId, before: &Registry, change: &RegistryChange) {
        let RegistryChange::Update(new, _) = change else { return };
        let Some(before) = before.get(new.hook_id()) else { return };
        let webhook = WebhookRef { tenant, hook_id: new.hook_id() };
        match (before.disabled, new.disabled) {
            (None, Some(disabled)) => self.tell(&Notice::Disabled { webhook, disabled }),
            (Some(_), None) => self.tell(&Notice::Enabled { webhook }),
            (None, None) | (Some(_), Some(_)) => {}
        }
        match (before.paused, new.paused) {
            (None, Some(since)) => self.tell(&Notice::Paused { webhook, since }),
            (Some(_), None) => self.tell(&Notice::Resumed { webhook }),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}

#[cfg(feature = "dispatcher")]
impl Core {
    /// Tells of the events, written by SQL, whose routing the store has written.
    pub(crate) fn tell_routed(&self, routed: &[Routed], answers: &[RouteAnswer]) {
        for (Routed { unrouted, routing, .. }, answer) in routed.iter().zip(answers) {
            if *answer == RouteAnswer::Routed {
                let webhooks = routing.as_ref().map_or(0, |routing| routing.targets.len());
                self.tell_event(&unrouted.tenant, &unrouted.event, webhooks);
            }
        }
    }

    /// Tells that the store has recorded this many settlements at once.
    pub(crate) fn tell_batch(&self, deliveries: usize, took: Duration) {
        self.tell(&Notice::Settled { deliveries, took });
    }

    /// Tells of a settlement that the store has recorded.
    pub(crate) fn tell_settled(&self, claim: &Claim, settlement: &Settlement, effect: &Effect) {
        if let Some(Disabled { reason: Some(reason), .. }) = effect.disabled {
            let (tenant, webhook) = (&claim.tenant, claim.hook.hook_id());
            info!(target: "hookwire", %tenant, %webhook, %reason, "the webhook was disabled");
        }
        if self.observers().is_empty() {
            return;
        }
        let delivery = DeliveryRef::of(claim);
        if let Some(attempt) = &settlement.attempt {
            self.tell(&Notice::Attempted { delivery, attempt });
            if let Outcome::Failed { kind: FailureKind::Refused, detail } = &attempt.outcome {
                self.tell(&Notice::Refused { delivery, detail });
            }
        }
        if let Some(end) = effect.end {
            self.tell(&Notice::Ended { delivery, end });
        }
        self.tell_health(delivery.webhook, effect);
    }

    fn tell_health(&self, webhook: WebhookRef<'_>, effect: &Effect) {
        let disabling = *self.policy().rules().disable;
        if let Some((before, after)) = effect.health {
            match (before.is_failing(disabling), after.failing_since()) {
                (false, Some(since)) if after.is_failing(disabling) => {
                    self.tell(&Notice::Failing { webhook, since });
                }
                (true, None) => self.tell(&Notice::Recovered { webhook }),
                _ => {}
            }
        }
        if let Some(disabled) = effect.disabled {
            self.tell(&Notice::Disabled { webhook, disabled });
        }
    }

    /// Tells of what upkeep or a claim has ended.
    pub(crate) fn tell_swept(&self, expired: usize, cancelled: usize) {
        if expired + cancelled > 0 {
            self.tell(&Notice::Swept { expired, cancelled });
        }
    }
}
