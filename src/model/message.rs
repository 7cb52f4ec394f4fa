//! [`MessageRecord`]: a published event as a listing shows it, and the query for such listings.

use serde::{Deserialize, Serialize};

use super::integer_id::EventId;
use super::page::{self, PageRequest};
use super::text_id::MessageId;
use super::time::{self, Timestamp};

/// A published event as a listing shows it: without its payload.
///
/// The JSON form has the names of the fields. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(clippy::exhaustive_structs, reason = "stores build it; a new field must not be forgotten")]
pub struct MessageRecord {
    /// Its id.
    pub message_id: MessageId,
    /// The kind of event.
    pub event_id: EventId,
    /// When it happened.
    pub time: Timestamp,
    /// When it was published.
    pub published_at: Timestamp,
    /// The number of webhooks that it was routed to. Zero if it went to nobody, and as long as it waits for routing.
    pub targets: usize,
    /// The number of webhooks that routing skipped.
    pub skipped: usize,
    /// Whether it waits for routing.
    pub is_waiting: bool,
}

/// A filter for a listing of messages, which shows the newest first.
///
/// ```
/// use hookwire::assist;
/// use hookwire::model::{MessageQuery, PageRequest};
///
/// let query = MessageQuery::new().event(assist::DEVICE_ONLINE).page(PageRequest::first().with_limit(20));
/// # let _ = query;
/// ```
///
/// In JSON, and in the query of a URL, it is `event`, `since`, `until`, `after` and `limit`, under the rules of
/// [`DeliveryQuery`](super::DeliveryQuery).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "QueryParts", into = "QueryParts")]
#[non_exhaustive]
pub struct MessageQuery {
    /// Only messages of this event.
    pub event: Option<EventId>,
    /// Only messages published at or after this time.
    pub since: Option<Timestamp>,
    /// Only messages published before this time.
    pub until: Option<Timestamp>,
    /// The page of the listing.
    pub page: PageRequest,
}

impl MessageQuery {
    /// Creates a query for every message of the tenant.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the listing to messages of this event.
    #[must_use]
    pub fn event(self, event_id: EventId) -> Self {
        Self { event: Some(event_id), ..self }
    }

    /// Limits the listing to messages published at or after this time.
    #[must_use]
    pub fn since(self, since: impl Into<Timestamp>) -> Self {
        Self { since: Some(since.into()), ..self }
    }

    /// Limits the listing to messages published before this time.
    #[must_use]
    pub fn until(self, until: impl Into<Timestamp>) -> Self {
        Self { until: Some(until.into()), ..self }
    }

    /// Sets the page of the listing.
    #[must_use]
    pub fn page(self, page: PageRequest) -> Self {
        Self { page, ..self }
    }

    /// Returns whether `message` passes the filter, on whichever page.
    pub fn matches(&self, message: &MessageRecord) -> bool {
        self.event.is_none_or(|id| id == message.event_id)
            && self.since.is_none_or(|since| message.published_at >= since)
            && self.until.is_none_or(|until| message.published_at < until)
    }
}

/// The JSON form of a query.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct QueryParts {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventId>,
    #[serde(deserialize_with = "time::of_query", skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(deserialize_with = "time::of_query", skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(deserialize_with = "page::saturated", skip_serializing_if = "Option::is_none")]
    limit: Option<u16>,
}

impl From<QueryParts> for MessageQuery {
    fn from(QueryParts { event, since, until, after, limit }: QueryParts) -> Self {
        Self { event, since, until, page: PageRequest::from_parts(after, limit) }
    }
}

impl From<MessageQuery> for QueryParts {
    fn from(MessageQuery { event, since, until, page }: MessageQuery) -> Self {
        let (after, limit) = page.into_parts();
        Self { event, since, until, after, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_written_and_any_other_is_refused() {
        let page = PageRequest::after("9").with_limit(20);
        let full = MessageQuery::new()
            .event(EventId::new(13))
            .since(Timestamp::from_millis(3))
            .until(Timestamp::from_millis(5))
            .page(page);
        let json = serde_json::to_string(&full).expect("JSON");
        assert_eq!(json, r#"{"event":13,"since":3,"until":5,"after":"9","limit":20}"#);
        assert_eq!(serde_json::from_str::<MessageQuery>(&json).expect("its own form"), full);
        let texts =
            r#"{"event":"13","since":"1970-01-01T00:00:00.003Z","until":"5","after":"9","limit":"20"}"#;
        assert_eq!(serde_json::from_str::<MessageQuery>(texts).expect("texts"), full);
        for json in [r#"{"webhook":1}"#, r#"{"since":""}"#, r#"{"since":[]}"#] {
            assert!(serde_json::from_str::<MessageQuery>(json).is_err(), "{json}");
        }
    }
}
