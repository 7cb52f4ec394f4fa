use serde::{Deserialize, Deserializer};

use super::draft::{Given, SubscriptionDraft, WebhookDraft};
use super::status::Status;
use super::subscription::Subscription;
use super::webhook::Webhook;

/// A change to some attributes of a webhook; what it does not name stays.
///
/// Attributes that are named replace the present ones whole, `subscriptions` too. In JSON, `null`
/// removes an attribute, as in RFC 7396.
///
/// ```
/// use hookwire::model::WebhookPatch;
///
/// let rename = WebhookPatch::new().name("Device journal").clear_description();
/// let from_json: WebhookPatch = serde_json::from_str(r#"{"status": 0, "desc": null}"#)?;
/// # let _ = (rename, from_json);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WebhookPatch {
    #[serde(deserialize_with = "named")]
    name: Change<String>,
    #[serde(deserialize_with = "named")]
    desc: Change<String>,
    #[serde(deserialize_with = "named")]
    url: Change<String>,
    #[serde(deserialize_with = "named")]
    ignore_src: Change<String>,
    #[serde(deserialize_with = "named")]
    status: Change<i64>,
    #[serde(deserialize_with = "named")]
    subscriptions: Change<Vec<Given<SubscriptionDraft>>>,
}

/// Not named; named as `null`; named with a value.
type Change<T> = Option<Option<Given<T>>>;

impl WebhookPatch {
    /// A patch that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: to(name.into()), ..self }
    }

    /// Changes the description.
    #[must_use]
    pub fn describe(self, desc: impl Into<String>) -> Self {
        Self { desc: to(desc.into()), ..self }
    }

    /// Removes the description.
    #[must_use]
    pub fn clear_description(self) -> Self {
        Self { desc: Some(None), ..self }
    }

    /// Changes the callback URL.
    #[must_use]
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: to(url.into()), ..self }
    }

    /// Changes the source whose events the webhook does not get.
    #[must_use]
    pub fn ignore_source(self, source: impl Into<String>) -> Self {
        Self { ignore_src: to(source.into()), ..self }
    }

    /// Lets the webhook get events of every source.
    #[must_use]
    pub fn clear_ignored_source(self) -> Self {
        Self { ignore_src: Some(None), ..self }
    }

    /// Changes the status.
    #[must_use]
    pub fn status(self, status: Status) -> Self {
        Self { status: to(status.into()), ..self }
    }

    /// Replaces all subscriptions.
    #[must_use]
    pub fn subscriptions<'a>(self, all: impl IntoIterator<Item = &'a Subscription>) -> Self {
        let drafts = all.into_iter().map(|subscription| Given::Right(subscription.into()));
        Self { subscriptions: to(drafts.collect()), ..self }
    }

    /// What the webhook would be asked to be after this patch.
    pub fn apply(&self, webhook: &Webhook) -> WebhookDraft {
        let now = WebhookDraft::from(webhook);
        WebhookDraft {
            name: self.name.clone().unwrap_or(now.name),
            desc: self.desc.clone().unwrap_or(now.desc),
            url: self.url.clone().unwrap_or(now.url),
            ignore_src: self.ignore_src.clone().unwrap_or(now.ignore_src),
            status: self.status.clone().unwrap_or(now.status),
            subscriptions: self.subscriptions.clone().unwrap_or(now.subscriptions),
        }
    }
}

fn to<T>(value: T) -> Change<T> {
    Some(Some(Given::Right(value)))
}

/// Called only for keys that are present, so `null` stays apart from absent.
fn named<'de, D, T>(deserializer: D) -> Result<Change<T>, D::Error>
where
    D: Deserializer<'de>,
    Given<T>: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
