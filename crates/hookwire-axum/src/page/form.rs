//! Forms: what was typed, kept when it is refused, and the draft that it means.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hookwire::plain::{Draft, Violation};
use hookwire::{Catalog, Webhook, WebhookDraft, plain};
use serde_json::{Map, Value, json};

/// The fields of a form, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Self::parse(&body).ok_or_else(|| StatusCode::BAD_REQUEST.into_response())
    }
}

impl Fields {
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        serde_urlencoded::from_bytes(body).ok().map(Self)
    }

    /// Returns the first value of a field, without white space around it; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.trim())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a box is ticked.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|it| it == value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    /// Returns the form of a webhook as it is. What the form cannot say, a filter, stays by itself.
    pub(super) fn of(webhook: &plain::Webhook) -> Self {
        let mut fields = vec![
            ("name".to_owned(), webhook.name.clone()),
            ("description".to_owned(), webhook.description.clone().unwrap_or_default()),
            ("url".to_owned(), webhook.url.as_str().to_owned()),
            ("ignore_source".to_owned(), webhook.ignore_source.clone().unwrap_or_default()),
        ];
        for subscription in &webhook.events {
            match subscription {
                plain::Subscription::Event(key) => fields.push(("event".to_owned(), key.clone())),
                plain::Subscription::Narrowed { event, departments, .. } => {
                    fields.push(("event".to_owned(), event.clone()));
                    let ids = json!(departments);
                    for id in ids.as_array().into_iter().flatten() {
                        fields.push((format!("departments.{event}"), id.to_string()));
                    }
                }
            }
        }
        Self(fields)
    }

    /// Returns the draft that the form means. What `present` has and the form cannot say stays.
    pub(super) fn draft(&self, catalog: &Catalog, present: Option<&Webhook>) -> WebhookDraft {
        let mut object = Map::new();
        for name in ["name", "description", "url", "ignore_source"] {
            let value = self.get(name);
            if !value.is_empty() {
                object.insert(name.to_owned(), Value::from(value));
            }
        }
        let kept = present.map(|it| narrowed(&catalog.show(it))).unwrap_or_default();
        let template = template(self.get("template"));
        let events = self.all("event").map(|key| self.subscription(key, kept.get(key), template.as_ref()));
        object.insert("events".to_owned(), events.collect());
        // Every object is a draft.
        let draft: Draft = serde_json::from_value(Value::Object(object)).unwrap_or_default();
        catalog.draft(&draft)
    }

    fn subscription(&self, key: &str, kept: Option<&Value>, template: Option<&Value>) -> Value {
        let ids: Vec<Value> = self.all(&format!("departments.{key}")).map(Value::from).collect();
        let mut object = kept.cloned().unwrap_or_else(|| json!({ "event": key }));
        object["departments"] = if ids.is_empty() { Value::Null } else { Value::from(ids) };
        if let Some(template) = template {
            object["template"] = template.clone();
        }
        object
    }

    /// Sets the one value of a field.
    pub(super) fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(key, _)| key != name);
        self.0.push((name.to_owned(), value));
    }
}

/// Returns the template that was typed; none if it is no JSON, which the caller has refused.
fn template(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Returns the key or the pattern of a subscription.
pub(super) fn key(subscription: &plain::Subscription) -> &str {
    match subscription {
        plain::Subscription::Event(key) => key,
        plain::Subscription::Narrowed { event, .. } => event,
    }
}

/// The subscriptions of a webhook that are more than the name of an event, by that.
fn narrowed(webhook: &plain::Webhook) -> BTreeMap<String, Value> {
    let narrowed = webhook.events.iter().filter_map(|it| match it {
        plain::Subscription::Narrowed { event, .. } => Some((event.clone(), json!(it))),
        plain::Subscription::Event(_) => None,
    });
    narrowed.collect()
}

/// What is wrong with a form, by its fields.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    pub(super) fn new(violations: Vec<Violation>) -> Self {
        Self(violations)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what is wrong with a field, or with something within it but the template.
    pub(super) fn of<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a str> {
        let is_its = move |it: &&Violation| {
            let rest = it.path.strip_prefix(field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.'])) && !is_of_template(it)
        };
        self.0.iter().filter(is_its).map(|it| it.message.as_str())
    }

    /// Returns what is wrong with the template, which each of the events has, with its place in it.
    pub(super) fn of_template(&self) -> BTreeSet<String> {
        let within = |it: &Violation| it.path.split("template").nth(1).unwrap_or_default().to_owned();
        self.0
            .iter()
            .filter(|it| is_of_template(it))
            .map(|it| format!("{} {}", within(it), it.message))
            .collect()
    }

    /// Returns everything that is wrong, with its place.
    pub(super) fn all(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Returns what is wrong and belongs to none of these fields.
    pub(super) fn besides<'a>(&'a self, fields: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
        let head = |it: &Violation| it.path.split(['[', '.']).next().unwrap_or_default().to_owned();
        self.0.iter().filter(move |it| !fields.contains(&head(it).as_str())).map(ToString::to_string)
    }
}

fn is_of_template(violation: &Violation) -> bool {
    violation.path.split(['[', '.']).any(|it| it == "template")
}
