//! One event for one webhook as the log shows it, and the query that lists them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::integer_id::{DeliveryId, EventId, HookId};
use super::page::PageRequest;
use super::text_id::MessageId;
use super::time::Timestamp;

/// One event for one webhook, as the log shows it.
///
/// The JSON form has the names of the fields. Times are milliseconds since the Unix epoch.
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
    /// Its state.
    pub state: DeliveryState,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The time at which it was created.
    pub created_at: Timestamp,
    /// The time at which the next attempt is due; `None` once the delivery has ended, and in a listing of
    /// [`Tenant`](crate::Tenant) also while its webhook is disabled.
    ///
    /// During an attempt: the time at which its lease ends. A delivery just published is normally in that state.
    pub due_at: Option<Timestamp>,
    /// The time at which it ended.
    pub ended_at: Option<Timestamp>,
    /// The delivery that this one repeats, if it is a redelivery.
    pub origin: Option<DeliveryId>,
}

/// The state of a delivery.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "a delivery waits or has ended")]
pub enum DeliveryState {
    /// It has ended, for good.
    Ended(End),
    /// It waits for its next attempt, or an attempt is under way.
    Pending,
}

/// The way in which a delivery ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// The webhook was deleted, or its backlog dropped.
    Cancelled,
    /// The receiver answered with a 2xx status.
    Delivered,
    /// The payload of the message was [erased](crate::Tenant::erase_payload).
    Erased,
    /// The last attempt of the schedule failed.
    Exhausted,
    /// It waited for longer than [`Policy::expires`](crate::policy::Policy::expires) allows.
    Expired,
}

/// Writes the name of the state, such as `pending` or `delivered`.
///
/// ```
/// use hookwire::model::{DeliveryState, End};
///
/// let state: DeliveryState = "exhausted".parse()?;
/// assert_eq!(state, DeliveryState::Ended(End::Exhausted));
/// assert_eq!(state.to_string(), "exhausted");
/// assert_eq!(End::Expired.to_string(), "expired");
/// # Ok::<_, hookwire::model::InvalidDeliveryState>(())
/// ```
impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(end) => end.fmt(f),
            Self::Pending => f.pad("pending"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cancelled => "cancelled",
            Self::Delivered => "delivered",
            Self::Erased => "erased",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
        })
    }
}

impl FromStr for End {
    type Err = InvalidDeliveryState;

    fn from_str(name: &str) -> Result<Self, InvalidDeliveryState> {
        match name.parse()? {
            DeliveryState::Ended(end) => Ok(end),
            DeliveryState::Pending => Err(InvalidDeliveryState(())),
        }
    }
}

impl FromStr for DeliveryState {
    type Err = InvalidDeliveryState;

    fn from_str(name: &str) -> Result<Self, InvalidDeliveryState> {
        Ok(match name {
            "pending" => Self::Pending,
            "cancelled" => Self::Ended(End::Cancelled),
            "delivered" => Self::Ended(End::Delivered),
            "erased" => Self::Ended(End::Erased),
            "exhausted" => Self::Ended(End::Exhausted),
            "expired" => Self::Ended(End::Expired),
            _ => return Err(InvalidDeliveryState(())),
        })
    }
}

/// The error for a text that names no [`DeliveryState`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("a delivery is pending, cancelled, delivered, erased, exhausted or expired")]
pub struct InvalidDeliveryState(());

/// A filter for a listing of deliveries, which shows the newest first.
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
    /// Only deliveries of this event.
    pub event: Option<EventId>,
    /// Only deliveries in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries created at or after this time.
    pub since: Option<Timestamp>,
    /// Only deliveries created before this time.
    pub until: Option<Timestamp>,
    /// The page of the listing.
    pub page: PageRequest,
}

impl DeliveryQuery {
    /// Creates a query for every delivery of the tenant.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the listing to deliveries for this webhook.
    #[must_use]
    pub fn webhook(self, hook_id: HookId) -> Self {
        Self { webhook: Some(hook_id), ..self }
    }

    /// Limits the listing to deliveries of this message.
    #[must_use]
    pub fn message(self, message_id: MessageId) -> Self {
        Self { message: Some(message_id), ..self }
    }

    /// Limits the listing to deliveries of this event.
    #[must_use]
    pub fn event(self, event_id: EventId) -> Self {
        Self { event: Some(event_id), ..self }
    }

    /// Limits the listing to deliveries in this state.
    #[must_use]
    pub fn state(self, state: DeliveryState) -> Self {
        Self { state: Some(state), ..self }
    }

    /// Limits the listing to deliveries created at or after this time.
    #[must_use]
    pub fn since(self, since: impl Into<Timestamp>) -> Self {
        Self { since: Some(since.into()), ..self }
    }

    /// Limits the listing to deliveries created before this time.
    #[must_use]
    pub fn until(self, until: impl Into<Timestamp>) -> Self {
        Self { until: Some(until.into()), ..self }
    }

    /// Sets the page of the listing.
    #[must_use]
    pub fn page(self, page: PageRequest) -> Self {
        Self { page, ..self }
    }

    /// Returns whether `delivery` passes the filter, on whichever page.
    pub fn matches(&self, delivery: &Delivery) -> bool {
        self.webhook.is_none_or(|id| id == delivery.hook_id)
            && self.message.as_ref().is_none_or(|id| *id == delivery.message_id)
            && self.event.is_none_or(|id| id == delivery.event_id)
            && self.state.is_none_or(|state| state == delivery.state)
            && self.since.is_none_or(|since| delivery.created_at >= since)
            && self.until.is_none_or(|until| delivery.created_at < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        let ends = [End::Cancelled, End::Delivered, End::Erased, End::Exhausted, End::Expired];
        let states = ends.into_iter().map(DeliveryState::Ended).chain([DeliveryState::Pending]);
        for state in states {
            assert_eq!(state.to_string().parse(), Ok(state));
            let end = match state {
                DeliveryState::Ended(end) => Some(end),
                DeliveryState::Pending => None,
            };
            assert_eq!(state.to_string().parse::<End>().ok(), end);
        }
        let error = "Pending".parse::<DeliveryState>().expect_err("names are compared as they are");
        assert!(error.to_string().contains("pending, cancelled"), "{error}");
    }
}
