//! What is wrong with a draft, in plain words.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::model::{self, Catalog, EventId, Rule};

/// A violation in plain words, which [`Catalog::show_violations`] makes. Its JSON has the names of the fields.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Violation {
    /// The path of the attribute: `name`, `events[1]`, `events[1].filter[0].pointer`, `events[1].template.text`.
    pub path: String,
    /// The rule, for code to branch on.
    pub code: Rule,
    /// What the message mentions: see [`model::Violation::param`]. Events are named by their keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<&'static str, String>,
    /// What is wrong and how to correct it, in English or [as the host says it](Self::told_by).
    pub message: String,
}

impl Violation {
    /// Replaces the message where `texts` has one of its own, for example in the reader's language.
    ///
    /// ```
    /// use hookwire::model::{Rule, Violation};
    /// use hookwire::{assist, plain};
    ///
    /// fn german(violation: &plain::Violation) -> Option<String> {
    ///     match (violation.path.as_str(), violation.code) {
    ///         ("name", Rule::Required) => Some("fehlt".to_owned()),
    ///         (_, Rule::TooLong) => Some(format!("ist l\u{e4}nger als {} Zeichen", violation.params.get("max")?)),
    ///         _ => None,
    ///     }
    /// }
    ///
    /// let violations = [Violation::new("name", Rule::Required, "is missing; give the webhook a name")];
    /// let shown = assist::catalog().show_violations(&violations);
    /// let told: Vec<_> = shown.into_iter().map(|it| it.told_by(german).to_string()).collect();
    /// assert_eq!(told, ["name: fehlt"]);
    /// ```
    #[must_use]
    pub fn told_by(self, texts: impl FnOnce(&Self) -> Option<String>) -> Self {
        match texts(&self) {
            Some(message) => Self { message, ..self },
            None => self,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Catalog {
    /// Returns violations in plain words.
    pub fn show_violations(&self, violations: &[model::Violation]) -> Vec<Violation> {
        violations.iter().map(|it| self.show_violation(it)).collect()
    }

    fn show_violation(&self, violation: &model::Violation) -> Violation {
        let mut params = violation.params().clone();
        if let Some(event) = params.get_mut("event") {
            let known = event.parse().ok().and_then(|id| self.get(EventId::new(id)));
            *event = known.map_or_else(|| event.clone(), |known| known.key().to_owned());
        }
        let message = message(violation, &params).unwrap_or_else(|| violation.message().to_owned());
        Violation { path: path(violation.field()), code: violation.rule(), params, message }
    }
}

/// Returns the path in plain words. `subscriptions[0].event_id` is `events[0]`, because an entry may be the key itself.
fn path(field: &str) -> String {
    let (head, rest) = field.split_at(field.find(['[', '.']).unwrap_or(field.len()));
    match head {
        "desc" => format!("description{rest}"),
        "ignore_src" => format!("ignore_source{rest}"),
        "status" => format!("enabled{rest}"),
        "subscriptions" => {
            let (index, attribute) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
            match attribute {
                ".event_id" | ".events" => format!("events{index}"),
                _ => match attribute.strip_prefix(".dept_ids") {
                    Some(rest) => format!("events{index}.departments{rest}"),
                    None => format!("events{index}{attribute}"),
                },
            }
        }
        _ => field.to_owned(),
    }
}

/// Returns the message in plain words, where that of the violation has other names for the same things.
fn message(violation: &model::Violation, params: &BTreeMap<&'static str, String>) -> Option<String> {
    let param = |name: &str| params.get(name).map(String::as_str);
    let field = violation.field();
    match violation.rule() {
        Rule::WrongType => {
            let (_, given) = violation.message().rsplit_once(", not ")?;
            wanted(field).map(|wanted| format!("must be {wanted}, not {given}"))
        }
        Rule::DuplicateEvent => {
            Some(format!("`{}` stands in an earlier entry; join the two", param("event")?))
        }
        Rule::Limit => {
            let (event, count, max) = (param("event")?, param("count")?, param("max")?);
            let all = param("full").filter(|full| *full != "1");
            let all = all.map(|full| format!("; {full} of its events are full")).unwrap_or_default();
            Some(format!("{count} webhooks have `{event}`, and at most {max} may; take it from one{all}"))
        }
        Rule::Empty if field.ends_with(".dept_ids") => {
            Some("names no department; leave `departments` out to mean all departments".to_owned())
        }
        Rule::Required if field.ends_with(".event_id") => {
            Some("names no event; add `event` with a key of the catalog".to_owned())
        }
        _ => None,
    }
}

/// Returns the type that an attribute must have, if plain words call it otherwise.
fn wanted(field: &str) -> Option<&'static str> {
    match field {
        "status" => Some("true or false"),
        "subscriptions" => Some("an array of events"),
        _ if !field.starts_with("subscriptions[") => None,
        _ if field.ends_with(".events") => Some("the key of an event, or a pattern such as `invoice.*`"),
        _ if field.find(']') == Some(field.len() - 1) => {
            Some("the key of an event, a pattern such as `invoice.*`, or an object with `event`")
        }
        _ => None,
    }
}
