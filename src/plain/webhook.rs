//! A registered webhook in plain words.

use serde::Serialize;

use crate::model::{self, BodyTemplate, CallbackUrl, Catalog, Departments, EventId, Events, Filter};

/// A registered webhook in plain words, which [`Catalog::show`] makes. Its JSON has the names of the fields.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Webhook {
    /// The id, unique within the tenant. It is a string, because numbers of JavaScript are not exact beyond 53 bits.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The URL to which its events are sent.
    pub url: CallbackUrl,
    /// The source whose events it ignores, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_source: Option<String>,
    /// The events that it wants.
    pub events: Vec<Subscription>,
    /// Whether it is enabled.
    pub enabled: bool,
    /// Whether it is [paused](crate::Tenant::pause). [`Catalog::show`] leaves it out, because only
    /// [`Tenant::details`](crate::Tenant::details) tells: see [`with_paused`](Self::with_paused).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// An event or a pattern that a webhook wants: its key alone, or an object if departments, payloads or bodies are chosen.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(clippy::exhaustive_enums, reason = "a subscription is narrowed or it is not")]
pub enum Subscription {
    /// The key of an event, or a pattern of keys.
    Event(String),
    /// The same for some departments or some payloads, or with bodies of its own.
    Narrowed {
        /// The key of the event, or the pattern of keys.
        event: String,
        /// The departments.
        #[serde(skip_serializing_if = "Departments::is_all")]
        departments: Departments,
        /// The filter on the payload, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        filter: Option<Filter>,
        /// The template of the bodies, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        template: Option<BodyTemplate>,
    },
}

impl Webhook {
    /// Says whether it is paused, as [`Details::paused`](crate::service::Details::paused) tells.
    #[must_use]
    pub fn with_paused(self, is_paused: bool) -> Self {
        Self { paused: Some(is_paused), ..self }
    }
}

impl Catalog {
    /// Returns a webhook in plain words.
    pub fn show(&self, webhook: &model::Webhook) -> Webhook {
        Webhook {
            id: webhook.hook_id().to_string(),
            name: webhook.name().to_owned(),
            description: webhook.desc().map(ToOwned::to_owned),
            url: webhook.url().clone(),
            ignore_source: webhook.ignore_src().map(ToString::to_string),
            events: webhook.subscriptions().iter().map(|it| self.show_subscription(it)).collect(),
            enabled: webhook.status().is_enabled(),
            paused: None,
        }
    }

    fn show_subscription(&self, subscription: &model::Subscription) -> Subscription {
        let event = match subscription.events() {
            Events::One(id) => self.key_of(*id),
            Events::Matching(pattern) => pattern.to_string(),
        };
        let (departments, filter) = (subscription.departments().clone(), subscription.filter().cloned());
        let template = subscription.template().cloned();
        if departments.is_all() && filter.is_none() && template.is_none() {
            Subscription::Event(event)
        } else {
            Subscription::Narrowed { event, departments, filter, template }
        }
    }

    /// Returns the key of an event, or the number of one that has left the catalog.
    fn key_of(&self, id: EventId) -> String {
        self.get(id).map_or_else(|| id.to_string(), |event| event.key().to_owned())
    }
}
