//! One event for one webhook as the log shows it, and the query that lists them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::integer_id::{DeliveryId, EventId, HookId};
use super::page::{self, PageRequest};
use super::text_id::MessageId;
use super::time::{self, Timestamp};

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
///
/// In JSON, and in the query of a URL, it has the names of its fields, and `after` and `limit` of its [page](PageRequest).
/// Each may be missing, and any other name is refused. Ids and times may be numbers or strings of digits; times may be
/// RFC 3339 too.
///
/// ```
/// use hookwire::DeliveryQuery;
/// use hookwire::model::{DeliveryState, HookId, PageRequest};
///
/// let json = r#"{"webhook": 1, "state": "pending", "since": "1970-01-01T00:01:00Z", "limit": 20}"#;
/// let query: DeliveryQuery = serde_json::from_str(json)?;
/// let same = DeliveryQuery::new().webhook(HookId::new(1)).state(DeliveryState::Pending);
/// let same = same.since(hookwire::model::Timestamp::from_secs(60));
/// assert_eq!(query, same.page(PageRequest::first().with_limit(20)));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "QueryParts", into = "QueryParts")]
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

/// The JSON form of a query.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct QueryParts {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<HookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
    #[serde(with = "state_name", skip_serializing_if = "Option::is_none")]
    state: Option<DeliveryState>,
    #[serde(deserialize_with = "time::of_query", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(deserialize_with = "time::of_query", skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(deserialize_with = "page::saturated", skip_serializing_if = "Option::is_none")]
    limit: Option<u16>,
}

impl From<QueryParts> for DeliveryQuery {
    fn from(parts: QueryParts) -> Self {
        let QueryParts { webhook, message, event, state, since, until, after, limit } = parts;
        let page = PageRequest::from_parts(after, limit);
        Self { webhook, message, event, state, since, until, page }
    }
}

impl From<DeliveryQuery> for QueryParts {
    fn from(query: DeliveryQuery) -> Self {
        let DeliveryQuery { webhook, message, event, state, since, until, page } = query;
        let (after, limit) = page.into_parts();
        Self { webhook, message, event, state, since, until, after, limit }
    }
}

/// A state by its name, as the query of a URL can have it.
mod state_name {
    use super::{DeliveryState, Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        state: &Option<DeliveryState>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        state.map(|state| state.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<DeliveryState>, D::Error> {
        let name = Option::<String>::deserialize(deserializer)?;
        name.map(|name| name.parse()).transpose().map_err(serde::de::Error::custom)
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
    #[test]
    fn a_query_is_read_as_it_is_written() {
        assert_eq!(serde_json::to_string(&DeliveryQuery::new()).expect("JSON"), "{}");
        let full = DeliveryQuery::new()
            .webhook(HookId::new(1))
            .message(MessageId::new("msg_1").expect("valid"))
            .event(EventId::new(0))
            .state(DeliveryState::Ended(End::Exhausted))
            .since(Timestamp::from_millis(-1))
            .until(Timestamp::from_millis(5))
            .page(PageRequest::after("9").with_limit(20));
        let json = serde_json::to_string(&full).expect("JSON");
        let expected = r#"{"webhook":1,"message":"msg_1","event":0,"state":"exhausted","since":-1,"until":5,"after":"9","limit":20}"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<DeliveryQuery>(&json).expect("its own form"), full);
        for name in ["webhook", "message", "event", "state", "since", "until", "after", "limit"] {
            let null = format!(r#"{{"{name}":null}}"#);
            assert_eq!(serde_json::from_str::<DeliveryQuery>(&null).expect(name), DeliveryQuery::new());
        }
    }

    #[test]
    fn a_query_that_is_wrong_is_refused_with_what_it_may_be() {
        for (json, says) in [
            (r#"{"hook":1}"#, "unknown field `hook`, expected one of `webhook`"),
            (r#"{"page":{"limit":5}}"#, "unknown field `page`"),
            (r#"{"state":"done"}"#, "pending, cancelled, delivered"),
            (r#"{"since":"yesterday"}"#, "RFC 3339"),
            (r#"{"until":true}"#, "milliseconds since 1970"),
            (r#"{"webhook":"first"}"#, "invalid digit"),
        ] {
            let error = serde_json::from_str::<DeliveryQuery>(json).expect_err(json);
            assert!(error.to_string().contains(says), "{json}: {error}");
        }
    }
}
