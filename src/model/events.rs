//! The kinds of event that a subscription is for: one, or all whose keys match a pattern.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::catalog::{Catalog, EventType};
use super::integer_id::EventId;

/// The kinds of event that a subscription is for.
///
/// In JSON it is the key `event_id` with a number, or the key `events` with a pattern.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[expect(clippy::exhaustive_enums, reason = "a subscription names its event or it does not")]
pub enum Events {
    /// The event with this id.
    #[serde(rename = "event_id")]
    One(EventId),
    /// Every event whose key matches, those of later releases of the host too.
    #[serde(rename = "events")]
    Matching(EventPattern),
}

impl Events {
    /// Returns whether the event `event_id` is one of them. A pattern matches events of the catalog alone.
    pub fn include(&self, event_id: EventId, catalog: &Catalog) -> bool {
        match self {
            Self::One(id) => *id == event_id,
            Self::Matching(pattern) => catalog.get(event_id).is_some_and(|event| pattern.matches(event)),
        }
    }

    /// Returns how closely the events are named. A subscription that names them more closely decides.
    pub(crate) const fn closeness(&self) -> usize {
        match self {
            Self::One(_) => usize::MAX,
            Self::Matching(pattern) => pattern.0.len(),
        }
    }
}

impl fmt::Display for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(id) => write!(f, "event {id}"),
            Self::Matching(pattern) => write!(f, "`{pattern}`"),
        }
    }
}

/// A pattern of event keys: a beginning and `*`. `invoice.*` matches `invoice.paid`, and `*` matches every key.
///
/// Keys are compared as they are written. [Hidden](EventType::hidden) events match no pattern: they reach only those who
/// subscribe to them by id. [Deprecated](EventType::deprecated) ones match.
///
/// There are no patterns of modules: a [module](EventType::module) is a heading for people and may change, while the key
/// of an event stays. A host that has modules begins the keys of a module alike.
///
/// ```
/// use hookwire::model::EventPattern;
///
/// let pattern = EventPattern::new("invoice.*")?;
/// assert_eq!(pattern.to_string(), "invoice.*");
/// assert!(EventPattern::new("invoice.paid").is_err() && EventPattern::new("*.paid").is_err());
/// # Ok::<_, hookwire::model::InvalidEventPattern>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern(String);

/// An error for a text that is no [`EventPattern`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("is no pattern; write `*`, or the beginning of keys and `*`, such as `invoice.*`")]
#[non_exhaustive]
pub struct InvalidEventPattern {}

impl EventPattern {
    /// Creates a pattern from its text.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidEventPattern`] if the text does not end with `*`, or has another `*` before.
    pub fn new(text: &str) -> Result<Self, InvalidEventPattern> {
        let beginning = text.strip_suffix('*').filter(|beginning| !beginning.contains('*'));
        beginning.map(|it| Self(it.to_owned())).ok_or(InvalidEventPattern {})
    }

    /// Returns whether the key of `event` matches, and the event is not hidden.
    pub fn matches(&self, event: &EventType) -> bool {
        !event.is_hidden() && event.key().starts_with(&self.0)
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*", self.0)
    }
}

impl TryFrom<String> for EventPattern {
    type Error = InvalidEventPattern;

    fn try_from(text: String) -> Result<Self, InvalidEventPattern> {
        Self::new(&text)
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(key: &str) -> EventType {
        EventType::new(EventId::new(1), key, "name", &json!({}))
    }

    fn matches(pattern: &str, key: &str) -> bool {
        EventPattern::new(pattern).expect(pattern).matches(&event(key))
    }

    #[test]
    fn a_pattern_matches_keys_that_begin_alike() {
        assert!(matches("*", "invoice.paid") && matches("*", "a"));
        assert!(matches("invoice.*", "invoice.paid") && matches("invoice.*", "invoice.item.added"));
        assert!(matches("invoice.*", "invoice."));
        for other in ["invoice", "invoices.paid", "Invoice.paid", "an.invoice.paid"] {
            assert!(!matches("invoice.*", other), "{other}");
        }
    }

    #[test]
    fn hidden_events_match_no_pattern() {
        let hidden = event("invoice.paid").hidden();
        for pattern in ["*", "invoice.*"] {
            assert!(!EventPattern::new(pattern).expect(pattern).matches(&hidden));
        }
    }

    #[test]
    fn a_pattern_has_its_only_star_at_its_end() {
        for text in ["", "invoice.paid", "**", "*.paid", "a*b", "a.**", "* "] {
            assert_eq!(EventPattern::new(text), Err(InvalidEventPattern {}), "{text}");
            assert!(serde_json::from_value::<EventPattern>(json!(text)).is_err(), "{text}");
        }
    }
}
