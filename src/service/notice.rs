//! [`Notice`]: what a service tells its observers.

use std::sync::Arc;

use crate::model::{Attempt, DeliveryId, Disabled, End, EventId, HookId, MessageId, TenantId, Timestamp};
#[cfg(feature = "dispatcher")]
use crate::store::Claim;

/// What has happened, as an [observer](super::WebhooksBuilder::observe) is told of it.
///
/// A notice comes after the store has recorded what it tells, and not if the store refused to. It comes at most once: a
/// process that ends in between tells nothing. So watch the webhooks that hookwire disables by
/// [`Webhooks::disabled_since`](super::Webhooks::disabled_since), if none must be missed.
///
/// An observer sees what only the operator may see: details of failures may name addresses inside the host's network.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// An attempt was made.
    Attempted(DeliveryRef<'a>, &'a Attempt),
    /// A webhook was disabled, by hookwire or by a call.
    Disabled(WebhookRef<'a>, Disabled),
    /// A webhook was enabled.
    Enabled(WebhookRef<'a>),
    /// A delivery has ended, as the last attempt or the webhook's change makes it. What upkeep ends is told as
    /// [`Swept`](Self::Swept).
    Ended(DeliveryRef<'a>, End),
    /// A webhook has only failed, since this time, for half of what [disables](crate::delivery::DisablePolicy) it.
    Failing(WebhookRef<'a>, Timestamp),
    /// A webhook that was [`Failing`](Self::Failing) has answered with a success.
    Recovered(WebhookRef<'a>),
    /// An attempt was refused by its address, for this reason. It is told as [`Attempted`](Self::Attempted) too.
    Refused(DeliveryRef<'a>, &'a str),
    /// A webhook's secret was shown to somebody.
    SecretRevealed(WebhookRef<'a>),
    /// A webhook's secret was replaced.
    SecretRotated(WebhookRef<'a>),
    /// Upkeep has ended deliveries: those that expired while they waited, and those of dropped backlogs.
    Swept {
        /// The deliveries that ended [`Expired`](End::Expired).
        expired: usize,
        /// The deliveries that ended [`Cancelled`](End::Cancelled).
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
