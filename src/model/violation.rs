//! The names of the rules that input can break, and the report of one that is broken. `registry` applies the rules.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// A field of a request, the rule that it breaks, and a message that says how to correct it.
///
/// An error contains every violation at once, so that a form can show them all. [`plain`](crate::plain) has its form for
/// hosts with attribute names of their own.
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
    #[serde(skip)]
    params: BTreeMap<&'static str, String>,
}

impl Violation {
    /// Creates a violation of `rule` by `field`, with a message that says how to correct it.
    pub fn new(field: impl Into<String>, rule: Rule, message: impl Into<String>) -> Self {
        Self { field: field.into(), rule, message: message.into(), params: BTreeMap::new() }
    }

    /// Adds a parameter: a value that the message mentions.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.params.insert(name, value.to_string());
        self
    }

    /// Returns the path of the attribute, for example `name` or `subscriptions[1].dept_ids`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Returns the rule, for code to branch on.
    pub const fn rule(&self) -> Rule {
        self.rule
    }

    /// Returns a value that the message mentions, for a host that has texts of its own. They are not part of the JSON.
    ///
    /// | rule | parameters |
    /// |---|---|
    /// | [`TooLong`](Rule::TooLong) | `count` and `max`, in characters, or in bytes for a filter or a template |
    /// | [`TooDeep`](Rule::TooDeep), [`TooMany`](Rule::TooMany) | `count` and `max` |
    /// | [`Format`](Rule::Format) | `line` and `column` of a template's text that is no JSON, from 1; `parameter` as below |
    /// | [`UnknownParameter`](Rule::UnknownParameter) | `parameter`: what stands between `${` and `}` |
    /// | [`Limit`](Rule::Limit) | `count` and `max`; for an event also `event`, its id, and `full`, how many are full |
    /// | [`DuplicateEvent`](Rule::DuplicateEvent), [`UnknownEvent`](Rule::UnknownEvent) | `event`: the id, or the text in its place |
    /// | [`WrongType`](Rule::WrongType) | `given`: `null`, `boolean`, `number`, `string`, `array` or `object` |
    ///
    /// Violations of headers, URLs, secrets and actors have none.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// Returns every [parameter](Self::param) by its name.
    pub const fn params(&self) -> &BTreeMap<&'static str, String> {
        &self.params
    }

    /// Returns a message for people that says what is wrong and how to correct it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The rules for webhooks, their options and the texts of events.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// The URL resolves to an address that the transport's policy refuses.
    AddressRefused,
    /// Attributes are given that exclude each other.
    Conflict,
    /// The webhook subscribes to the same event twice.
    DuplicateEvent,
    /// The value is empty.
    Empty,
    /// The text contains a forbidden character, or does not have the form that it must have.
    Format,
    /// Another webhook would exceed a limit of the tenant or of the event.
    Limit,
    /// The URL has a `#fragment`.
    NoFragment,
    /// The URL carries a user name or a password.
    NoUserInfo,
    /// The URL does not use `https`.
    NotHttps,
    /// The host does not offer what the attribute asks for.
    NotOffered,
    /// The text is not an absolute URL with a host.
    NotUrl,
    /// The number is not one of the allowed ones.
    OutOfRange,
    /// The URL names port 0, at which nothing can listen.
    PortZero,
    /// The attribute is missing.
    Required,
    /// hookwire or the HTTP layer sets the header, or a metadata service requires it.
    Reserved,
    /// Objects and arrays are nested deeper than allowed.
    TooDeep,
    /// The text is longer than allowed.
    TooLong,
    /// The list has more entries than allowed.
    TooMany,
    /// The text has less than it must have.
    TooShort,
    /// The event is not in the catalog.
    UnknownEvent,
    /// The condition of a filter has an operator that there is not.
    UnknownOperator,
    /// A template has a parameter that there is not.
    UnknownParameter,
    /// The receiver did not allow this service to send to it: see [`handshake`](crate::handshake).
    Unwanted,
    /// The attribute has the wrong JSON type.
    WrongType,
}

impl Rule {
    /// Every rule.
    const ALL: [Self; 24] = [
        Self::AddressRefused,
        Self::Conflict,
        Self::DuplicateEvent,
        Self::Empty,
        Self::Format,
        Self::Limit,
        Self::NoFragment,
        Self::NoUserInfo,
        Self::NotHttps,
        Self::NotOffered,
        Self::NotUrl,
        Self::OutOfRange,
        Self::PortZero,
        Self::Required,
        Self::Reserved,
        Self::TooDeep,
        Self::TooLong,
        Self::TooMany,
        Self::TooShort,
        Self::UnknownEvent,
        Self::UnknownOperator,
        Self::UnknownParameter,
        Self::Unwanted,
        Self::WrongType,
    ];

    /// Returns the name of the rule, as it is in JSON.
    ///
    /// ```
    /// use hookwire::model::Rule;
    ///
    /// assert_eq!(Rule::NotHttps.as_str(), "not_https");
    /// assert_eq!("not_https".parse(), Ok(Rule::NotHttps));
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressRefused => "address_refused",
            Self::Conflict => "conflict",
            Self::DuplicateEvent => "duplicate_event",
            Self::Empty => "empty",
            Self::Format => "format",
            Self::Limit => "limit",
            Self::NoFragment => "no_fragment",
            Self::NoUserInfo => "no_user_info",
            Self::NotHttps => "not_https",
            Self::NotOffered => "not_offered",
            Self::NotUrl => "not_url",
            Self::OutOfRange => "out_of_range",
            Self::PortZero => "port_zero",
            Self::Required => "required",
            Self::Reserved => "reserved",
            Self::TooDeep => "too_deep",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::TooShort => "too_short",
            Self::UnknownEvent => "unknown_event",
            Self::UnknownOperator => "unknown_operator",
            Self::UnknownParameter => "unknown_parameter",
            Self::Unwanted => "unwanted",
            Self::WrongType => "wrong_type",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(name: &str) -> Result<Self, InvalidRule> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name).ok_or(InvalidRule(()))
    }
}

/// The error for a text that names no [`Rule`].
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("there is no rule of this name")]
pub struct InvalidRule(());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_as_in_json_and_read_back() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).expect("JSON"), rule.to_string());
            assert_eq!(rule.as_str().parse(), Ok(rule));
        }
        assert_eq!("NotHttps".parse::<Rule>(), Err(InvalidRule(())));
    }
}
