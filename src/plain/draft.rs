//! A webhook as a user asks for it in plain words, unchecked.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::{Catalog, EventId, FromJson, Given, Status, SubscriptionDraft, WebhookDraft};

/// An unchecked request for a webhook in plain words, from JSON.
///
/// Every JSON object deserialises into a draft. `id` and unknown keys are ignored, so that a client can read a
/// [webhook](super::Webhook), edit it and send it back.
///
/// | attribute in JSON | value | |
/// |---|---|---|
/// | `name` | text | required |
/// | `url` | text | required |
/// | `events` | an array, one entry at least | required |
/// | `events[]` | the key of an event, a [pattern](crate::model::EventPattern) where the catalog allows it, or an object | |
/// | `events[].event` | a key or a pattern | required in an object |
/// | `events[].departments` | an array of numbers | left out: every department |
/// | `events[].filter` | an array of conditions: see [`Filter`](crate::model::Filter) | left out: every payload |
/// | `events[].template` | any JSON but `null`: see [`BodyTemplate`](crate::model::BodyTemplate) | left out: the webhook's, or an envelope |
/// | `description` | text | optional |
/// | `ignore_source` | text: the source whose events it does not get | optional |
/// | `enabled` | true or false | left out: true |
///
/// [`Catalog::draft`] makes a [`WebhookDraft`] of it, which [`Tenant::create`](crate::Tenant::create) and
/// [`Tenant::replace`](crate::Tenant::replace) check.
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Draft(Map<String, Value>);

/// Omits the values: the path and the query of the URL may be secrets.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}

impl Draft {
    /// Returns the attribute `name`; `null` counts as absent.
    fn get<T: FromJson>(&self, name: &str) -> Option<Given<T>> {
        given(&self.0, name).cloned().map(Given::read)
    }

    /// Returns whether it names the attribute `name`, be it as `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn enabled(&self) -> Option<Given<i64>> {
        Some(match given(&self.0, "enabled")? {
            Value::Bool(enabled) => Given::Right(Status::from(*enabled).into()),
            other => Given::Wrong(other.clone()),
        })
    }

    fn events(&self, ids: &Ids<'_>) -> Option<Given<Vec<Given<SubscriptionDraft>>>> {
        Some(match given(&self.0, "events")? {
            Value::Array(events) => Given::Right(events.iter().map(|it| ids.subscription(it)).collect()),
            other => Given::Wrong(other.clone()),
        })
    }
}

fn given<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

impl Catalog {
    /// Returns the draft that a draft in plain words means.
    ///
    /// Whatever is wrong with it is kept, unknown keys of events too, so that the check of the draft reports every violation
    /// at once. [`show_violations`](Self::show_violations) says them in plain words.
    pub fn draft(&self, plain: &Draft) -> WebhookDraft {
        let by_key = self.iter().map(|event| (event.key(), event.id())).collect();
        let ids = Ids { catalog: self, by_key };
        WebhookDraft {
            name: plain.get("name"),
            desc: plain.get("description"),
            url: plain.get("url"),
            ignore_src: plain.get("ignore_source"),
            status: plain.enabled(),
            subscriptions: plain.events(&ids),
            ..WebhookDraft::default()
        }
    }
}

/// The ids of a catalog's events by their keys.
struct Ids<'a> {
    catalog: &'a Catalog,
    by_key: BTreeMap<&'a str, EventId>,
}

impl Ids<'_> {
    fn subscription(&self, entry: &Value) -> Given<SubscriptionDraft> {
        match entry {
            Value::String(_) => Given::Right(self.events(Some(entry))),
            Value::Object(object) => Given::Right(SubscriptionDraft {
                dept_ids: given(object, "departments").cloned().map(Given::read),
                filter: given(object, "filter").cloned(),
                template: given(object, "template").cloned().map(Given::read),
                ..self.events(given(object, "event"))
            }),
            other => Given::Wrong(other.clone()),
        }
    }

    /// Returns a draft that names the events. What is no key of an event may be a pattern.
    fn events(&self, name: Option<&Value>) -> SubscriptionDraft {
        let (event_id, events) = match name {
            None => (None, None),
            Some(Value::String(name)) => match self.find(name) {
                Some(id) => (Some(Given::Right(id.get().into())), None),
                None => (None, Some(Given::Right(name.clone()))),
            },
            Some(other) => (None, Some(Given::Wrong(other.clone()))),
        };
        SubscriptionDraft { event_id, events, ..SubscriptionDraft::default() }
    }

    /// Finds an event by its key, or one that has left the catalog by its number.
    fn find(&self, name: &str) -> Option<EventId> {
        let has_left = |id: &EventId| self.catalog.get(*id).is_none();
        let by_number = || name.parse().ok().map(EventId::new).filter(has_left);
        self.by_key.get(name).copied().or_else(by_number)
    }
}
