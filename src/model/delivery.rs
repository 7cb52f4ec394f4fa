use serde::{Deserialize, Serialize};

use super::id::MessageId;
use super::number::{DeliveryId, EventId, HookId};
use super::page::PageRequest;
use super::time::Timestamp;

/// One event for one webhook: the durable unit of work, as the log shows it. As JSON it has these names; times
/// are milliseconds since 1970.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The message that it carries.
    pub message_id: MessageId,
    /// The kind of event.
    pub event_id: EventId,
    /// The webhook that it is for.
    pub hook_id: HookId,
    /// Where it stands.
    pub state: DeliveryState,
    /// How many attempts were made.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the next attempt is due; `None` once it has ended. While an attempt is under way, which is what a
    /// delivery shows that has just been published, this is when its lease ends and another may be made.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The delivery that this one repeats, when it was redelivered.
    pub origin: Option<DeliveryId>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a delivery waits or has ended")]
pub enum DeliveryState {
    /// It has ended, and stays so.
    Ended(End),
    /// It waits for its next attempt, or an attempt is being made.
    Pending,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// The webhook was deleted, or its backlog dropped.
    Cancelled,
    /// The receiver answered with a 2xx status.
    Delivered,
    /// The last attempt of the schedule failed.
    Exhausted,
    /// It waited longer than deliveries are kept waiting.
    Expired,
}

/// Which deliveries a listing shows; newest first.
///
/// ```
/// use hookwire::model::{DeliveryState, End, HookId, PageRequest};
/// use hookwire::DeliveryQuery;
///
/// let failed = DeliveryQuery::new()
///     .webhook(HookId::new(1))
///     .state(DeliveryState::Ended(End::Exhausted))
///     .page(PageRequest::first().with_limit(20));
/// # let _ = failed;
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeliveryQuery {
    /// Only deliveries for this webhook.
    pub webhook: Option<HookId>,
    /// Only deliveries of this message.
    pub message: Option<MessageId>,
    /// Only deliveries that stand here.
    pub state: Option<DeliveryState>,
    /// Only deliveries made at or after this time.
    pub since: Option<Timestamp>,
    /// Which page.
    pub page: PageRequest,
}

impl DeliveryQuery {
    /// Every delivery of the tenant.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only deliveries for this webhook.
    #[must_use]
    pub fn webhook(self, hook_id: HookId) -> Self {
        Self { webhook: Some(hook_id), ..self }
    }

    /// Only deliveries of this message.
    #[must_use]
    pub fn message(self, message_id: MessageId) -> Self {
        Self { message: Some(message_id), ..self }
    }

    /// Only deliveries that stand here.
    #[must_use]
    pub fn state(self, state: DeliveryState) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Only deliveries made at or after this time.
    #[must_use]
    pub fn since(self, since: impl Into<Timestamp>) -> Self {
        Self { since: Some(since.into()), ..self }
    }

    /// Which page of them.
    #[must_use]
    pub fn page(self, page: PageRequest) -> Self {
        Self { page, ..self }
    }

    /// Whether `delivery` is one of those asked for, apart from the page.
    pub fn matches(&self, delivery: &Delivery) -> bool {
        self.webhook.is_none_or(|id| id == delivery.hook_id)
            && self.message.as_ref().is_none_or(|id| *id == delivery.message_id)
            && self.state.is_none_or(|state| state == delivery.state)
            && self.since.is_none_or(|since| delivery.created_at >= since)
    }
}
