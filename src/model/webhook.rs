//! A registered webhook with the attributes of Zoho Assist.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::callback_url::CallbackUrl;
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

    /// Returns the subscriptions: at least one, and none to the same event as another.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.0.subscriptions
    }

    /// Returns the subscription to the event `event_id`, if there is one.
    pub fn subscription(&self, event_id: EventId) -> Option<&Subscription> {
        self.0.subscriptions.iter().find(|subscription| subscription.event_id() == event_id)
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
    /// Two subscriptions name the same event.
    #[error("`subscriptions` names event {0} twice")]
    DuplicateEvent(EventId),
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
        let twice = parts.subscriptions.iter().map(Subscription::event_id).find(|id| !seen.insert(*id));
        twice.map_or(Ok(Self(parts)), |event_id| Err(InvalidWebhook::DuplicateEvent(event_id)))
    }
}

impl From<Webhook> for WebhookParts {
    fn from(webhook: Webhook) -> Self {
        webhook.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(webhook.subscription(EventId::new(99)).is_some());
    }

    #[test]
    fn a_stored_webhook_that_breaks_a_rule_does_not_load() {
        let text = |name, subscriptions| parse(name, subscriptions).expect_err("broken").to_string();
        assert!(text("", r#"[{"event_id":1}]"#).contains("`name` is empty"));
        assert!(text("a", "[]").contains("`subscriptions` is empty"));
        assert!(text("a", r#"[{"event_id":1},{"event_id":1}]"#).contains("event 1 twice"));
    }
}
