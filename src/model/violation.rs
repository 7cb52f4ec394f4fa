use std::fmt;

use serde::Serialize;

/// One rule that a request breaks: which field, which rule, and what to do about it.
///
/// Bad input is answered with every violation at once, so that a form can show them all.
///
/// ```
/// use hookwire::model::{Rule, Violation};
///
/// let violation = Violation::new("name", Rule::Required, "give the webhook a name");
/// assert_eq!(violation.to_string(), "name: give the webhook a name");
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    field: String,
    rule: Rule,
    message: String,
}

impl Violation {
    /// The violation of `rule` by `field`, with a message that says what to do.
    pub fn new(field: impl Into<String>, rule: Rule, message: impl Into<String>) -> Self {
        Self { field: field.into(), rule, message: message.into() }
    }

    /// The attribute, as a path: `name`, `subscriptions[1].dept_ids`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The rule, for code to branch on.
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// What is wrong and what to do, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The rules that a webhook, its options and the texts of an event are checked against.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The URL leads to an address that the transport's policy refuses.
    AddressRefused,
    /// The same event is subscribed to twice in one webhook.
    DuplicateEvent,
    /// A list that must hold something is empty.
    Empty,
    /// The text holds a character that has no place there.
    Format,
    /// Another webhook would exceed what the tenant, or the event, may have.
    Limit,
    /// The URL has a `#fragment`.
    NoFragment,
    /// The URL carries a user name or a password.
    NoUserInfo,
    /// The URL does not use `https`.
    NotHttps,
    /// The text is no absolute URL with a host.
    NotUrl,
    /// The number has no meaning here.
    OutOfRange,
    /// The attribute is missing.
    Required,
    /// The header is set by hookwire or the HTTP layer, or a metadata service listens for it.
    Reserved,
    /// The text is longer than allowed.
    TooLong,
    /// The list holds more than allowed.
    TooMany,
    /// The event is not in the catalog.
    UnknownEvent,
    /// The receiver did not allow that this service sends to it: see [`handshake`](crate::handshake).
    Unwanted,
    /// The attribute has another JSON type than the one it needs.
    WrongType,
}
