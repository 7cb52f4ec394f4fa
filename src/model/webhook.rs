//! A registered webhook with the attributes of Zoho Assist.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::callback_url::CallbackUrl;
use super::catalog::Catalog;
use super::events::Events;
use super::integer_id::{EventId, HookId};
use super::status::Status;
use super::subscription::Subscription;
use super::text_id::SourceId;

/// A registered webhook. Its JSON has the attribute names of Zoho Assist, and never a secret.
///
/// ```
/// use hookwire::model::Webhook;
///
/// let json = r#"{"hook_id":1,"name":"Device log","desc":"To the CRM",
///     "url":"https://hooks.example.com/assist","ignore_src":"crm-sync","status":1,
///     "subscriptions":[{"event_id":13,"dept_ids":[7,9]}]}"#;
/// let webhook: Webhook = serde_json::from_str(json)?;
/// assert_eq!(webhook.name(), "Device log");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "WebhookParts", into = "WebhookParts")]
pub struct Webhook(WebhookParts);

/// The attributes of a webhook. Those of a [`Webhook`] are checked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct WebhookParts {
    pub(crate) hook_id: HookId,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) desc: Option<String>,
    pub(crate) url: CallbackUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ignore_src: Option<SourceId>,
    #[serde(default)]
    pub(crate) status: Status,
    pub(crate) subscriptions: Vec<Subscription>,
}

impl Webhook {
    /// Creates a webhook from attributes that the registry has checked by these rules and by more.
    pub(crate) fn from_checked(parts: WebhookParts) -> Self {
        Self(parts)
    }

    /// Returns the id, unique within the tenant.
    pub const fn hook_id(&self) -> HookId {
        self.0.hook_id
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the description, if it has one.
    pub fn desc(&self) -> Option<&str> {
        self.0.desc.as_deref()
    }

    /// Returns the URL to which its events are sent.
    pub const fn url(&self) -> &CallbackUrl {
        &self.0.url
    }

    /// Returns the source whose events it ignores, if there is one.
    pub const fn ignore_src(&self) -> Option<&SourceId> {
        self.0.ignore_src.as_ref()
    }

    /// Returns the status.
    pub const fn status(&self) -> Status {
        self.0.status
    }

    /// Returns the subscriptions: at least one, and none to the same event or pattern as another.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.0.subscriptions
    }

    /// Returns the subscription that decides about the event `event_id`, if there is one: the one that names it, or else the
    /// one with the longest pattern that matches its key in the catalog.
    ///
    /// ```
    /// use hookwire::model::Webhook;
    /// use hookwire::assist;
    ///
    /// let json = r#"{"hook_id": 1, "name": "Log", "url": "https://hooks.example.com/",
    ///     "subscriptions": [{"events": "*"}, {"event_id": 13, "dept_ids": [7]}]}"#;
    /// let webhook: Webhook = serde_json::from_str(json)?;
    /// let deciding = webhook.subscription(assist::DEVICE_ONLINE, &assist::catalog());
    /// assert_eq!(deciding, Some(&webhook.subscriptions()[1]));
    /// # Ok::<_, serde_json::Error>(())
    /// ```
    pub fn subscription(&self, event_id: EventId, catalog: &Catalog) -> Option<&Subscription> {
        let including = self.0.subscriptions.iter().filter(|it| it.events().include(event_id, catalog));
        including.max_by_key(|it| it.events().closeness())
    }

    /// Sets the status.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.0.status = status;
        self
    }
}

/// An error for attributes that do not make a [`Webhook`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// Two subscriptions name the same event or pattern.
    #[error("`subscriptions` names {0} twice")]
    DuplicateEvent(Events),
    /// The name is empty.
    #[error("`name` is empty")]
    EmptyName,
    /// There is no subscription.
    #[error("`subscriptions` is empty")]
    NoSubscription,
}

impl TryFrom<WebhookParts> for Webhook {
    type Error = InvalidWebhook;

    fn try_from(parts: WebhookParts) -> Result<Self, InvalidWebhook> {
        if parts.name.is_empty() {
            return Err(InvalidWebhook::EmptyName);
        }
        if parts.subscriptions.is_empty() {
            return Err(InvalidWebhook::NoSubscription);
        }
        let mut seen = BTreeSet::new();
        match parts.subscriptions.iter().map(Subscription::events).find(|events| !seen.insert(*events)) {
            Some(events) => Err(InvalidWebhook::DuplicateEvent(events.clone())),
            None => Ok(Self(parts)),
        }
    }
}

impl From<Webhook> for WebhookParts {
    fn from(webhook: Webhook) -> Self {
        webhook.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::EventType;

    fn parse(name: &str, subscriptions: &str) -> Result<Webhook, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"hook_id":"1","name":"{name}","url":"https://a.example/","subscriptions":{subscriptions}}}"#
        ))
    }

    #[test]
    fn left_out_attributes_take_their_defaults() {
        let webhook = parse("a", r#"[{"event_id":99}]"#).expect("valid");
        assert_eq!(webhook.status(), Status::Enabled);
        assert_eq!((webhook.desc(), webhook.ignore_src()), (None, None));
        assert_eq!(webhook.subscriptions()[0].events(), &Events::One(EventId::new(99)));
    }

    #[test]
    fn a_stored_webhook_that_breaks_a_rule_does_not_load() {
        let text = |name, subscriptions| parse(name, subscriptions).expect_err("broken").to_string();
        assert!(text("", r#"[{"event_id":1}]"#).contains("`name` is empty"));
        assert!(text("a", "[]").contains("`subscriptions` is empty"));
        assert!(text("a", r#"[{"event_id":1},{"event_id":1}]"#).contains("event 1 twice"));
        assert!(text("a", r#"[{"events":"*"},{"events":"*"}]"#).contains("`*` twice"));
        assert!(!text("a", r#"[{"events":"a.b"}]"#).is_empty());
    }

    #[test]
    fn the_subscription_that_names_an_event_most_closely_decides() {
        let event = |id, key| EventType::new(EventId::new(id), key, "name", &json!({}));
        let catalog = Catalog::builder().event(event(1, "a.b.c")).event(event(2, "a.x")).event(event(3, "b"));
        let catalog = catalog.build().expect("sound");
        let list = r#"[{"events":"a.*"},{"events":"*"},{"events":"a.b*"},{"event_id":2},{"event_id":4}]"#;
        let webhook = parse("a", list).expect("valid");
        let deciding =
            |id| webhook.subscription(EventId::new(id), &catalog).map(|it| it.events().to_string());
        assert_eq!(deciding(1).as_deref(), Some("`a.b*`"));
        assert_eq!(deciding(2).as_deref(), Some("event 2"));
        assert_eq!(deciding(3).as_deref(), Some("`*`"));
        assert_eq!(deciding(4).as_deref(), Some("event 4"), "by id, also what the catalog has not");
        assert_eq!(deciding(5), None);
    }
}
