//! [`Notice`]: what a service tells its observers.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Attempt, DeliveryId, Disabled, End, EventId, HookId, MessageId, TenantId, Timestamp};
#[cfg(feature = "dispatcher")]
use crate::store::Claim;

/// What has happened, as an [observer](super::WebhooksBuilder::observe) is told of it.
///
/// A notice comes after the store has recorded the fact, at most once. It is lost if the process ends in between, or if
/// the store's answer is lost. If you must not miss a webhook that hookwire disables, ask
/// [`Webhooks::disabled_since`](super::Webhooks::disabled_since) too.
///
/// An observer sees what only the operator may see: details of failures may name addresses inside the host's network.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// An attempt was made.
    #[non_exhaustive]
    Attempted {
        /// The delivery.
        delivery: DeliveryRef<'a>,
        /// The attempt.
        attempt: &'a Attempt,
    },
    /// A webhook was disabled, by hookwire or by a call.
    #[non_exhaustive]
    Disabled {
        /// The webhook.
        webhook: WebhookRef<'a>,
        /// Since when and why.
        disabled: Disabled,
    },
    /// A webhook was enabled.
    #[non_exhaustive]
    Enabled {
        /// The webhook.
        webhook: WebhookRef<'a>,
    },
    /// A delivery has ended by an attempt, or because its webhook's backlog was dropped meanwhile. What ends while it waits
    /// is told as [`Swept`](Self::Swept).
    #[non_exhaustive]
    Ended {
        /// The delivery.
        delivery: DeliveryRef<'a>,
        /// Its end.
        end: End,
    },
    /// Every attempt at a webhook has failed for half of the time, and of the number, that
    /// [disables](crate::delivery::DisablePolicy) it. This ends when it has [`Recovered`](Self::Recovered), and,
    /// without a notice, when it is enabled anew, has another URL, or fails again after a long silence.
    #[non_exhaustive]
    Failing {
        /// The webhook.
        webhook: WebhookRef<'a>,
        /// The time since which every attempt has failed.
        since: Timestamp,
    },
    /// A webhook was [paused](super::Tenant::pause).
    #[non_exhaustive]
    Paused {
        /// The webhook.
        webhook: WebhookRef<'a>,
        /// When it was paused.
        since: Timestamp,
    },
    /// An event was published: by a call of [`publish`](super::Tenant::publish), when it is stored; by SQL, when a dispatcher
    /// has routed it. An event that was published before is not told again.
    #[non_exhaustive]
    Published {
        /// The tenant.
        tenant: &'a TenantId,
        /// The message id of the event.
        message_id: &'a MessageId,
        /// The kind of event.
        event_id: EventId,
        /// The number of webhooks that get it.
        webhooks: usize,
    },
    /// A webhook that was [`Failing`](Self::Failing) has answered with a success.
    #[non_exhaustive]
    Recovered {
        /// The webhook.
        webhook: WebhookRef<'a>,
    },
    /// An attempt was refused by its address. It is told as [`Attempted`](Self::Attempted) too.
    #[non_exhaustive]
    Refused {
        /// The delivery.
        delivery: DeliveryRef<'a>,
        /// The reason.
        detail: &'a str,
    },
    /// A webhook that was [`Paused`](Self::Paused) was resumed.
    #[non_exhaustive]
    Resumed {
        /// The webhook.
        webhook: WebhookRef<'a>,
    },
    /// A webhook's secret was shown to somebody.
    #[non_exhaustive]
    SecretRevealed {
        /// The webhook.
        webhook: WebhookRef<'a>,
    },
    /// A webhook's secret was replaced.
    #[non_exhaustive]
    SecretRotated {
        /// The webhook.
        webhook: WebhookRef<'a>,
    },
    /// A dispatcher has recorded the outcomes of deliveries, by one call of the store.
    #[non_exhaustive]
    Settled {
        /// The number of outcomes, those included that came too late to be recorded.
        deliveries: usize,
        /// The time that the store took.
        took: Duration,
    },
    /// A call of [`publish`](super::Tenant::publish) or of another method that publishes has had its events stored, by one
    /// call of the store. The events that are new are told as [`Published`](Self::Published) too.
    #[non_exhaustive]
    Stored {
        /// The number of events, those included that the store had before or refused.
        events: usize,
        /// The time that the store took, its commit included. [`Clock::monotonic`](crate::clock::Clock::monotonic) is read
        /// for it.
        took: Duration,
    },
    /// Deliveries that waited have ended: upkeep came upon them, or a claim did. Those of an erased payload are told by no
    /// notice, nor are those of an erased tenant.
    #[non_exhaustive]
    Swept {
        /// Those that expired.
        expired: usize,
        /// Those of dropped backlogs.
        cancelled: usize,
    },
}

/// The webhook of a [`Notice`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WebhookRef<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The webhook.
    pub hook_id: HookId,
}

/// The delivery of a [`Notice`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeliveryRef<'a> {
    /// The delivery.
    pub id: DeliveryId,
    /// Its webhook.
    pub webhook: WebhookRef<'a>,
    /// The message that it delivers.
    pub message_id: &'a MessageId,
    /// The event of the message.
    pub event_id: EventId,
}

/// A function of the host that is told of each notice.
pub(super) type Observer = Arc<dyn Fn(&Notice<'_>) + Send + Sync>;

#[cfg(feature = "dispatcher")]
impl<'a> DeliveryRef<'a> {
    pub(super) fn of(claim: &'a Claim) -> Self {
        Self {
            id: claim.id,
            webhook: WebhookRef { tenant: &claim.tenant, hook_id: claim.hook.hook_id() },
            message_id: &claim.event.message_id,
            event_id: claim.event.event_id,
        }
    }
}
