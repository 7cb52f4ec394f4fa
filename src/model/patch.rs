//! A change to some attributes of a webhook, unchecked.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::draft::{FromJson, Given, SubscriptionDraft, WebhookDraft};
use super::status::Status;
use super::subscription::Subscription;
use super::webhook::Webhook;

/// An unchecked change to some attributes of a webhook. Attributes that it does not name stay.
///
/// An attribute that it names is replaced as a whole, `subscriptions` too. In JSON, `null` removes an attribute, as
/// in RFC 7396; `null` as the status changes nothing.
///
/// ```
/// use hookwire::model::WebhookPatch;
///
/// let rename = WebhookPatch::new().name("Device journal").clear_description();
/// let from_json: WebhookPatch = serde_json::from_str(r#"{"status": 0, "desc": null}"#)?;
/// # let _ = (rename, from_json);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(from = "Map<String, Value>")]
pub struct WebhookPatch {
    pub(crate) name: Change<String>,
    pub(crate) desc: Change<String>,
    pub(crate) url: Change<String>,
    pub(crate) ignore_src: Change<String>,
    pub(crate) status: Change<i64>,
    pub(crate) subscriptions: Change<Vec<Given<SubscriptionDraft>>>,
}

/// An attribute that is not named, named as `null`, or named with a value.
type Change<T> = Option<Option<Given<T>>>;

impl WebhookPatch {
    /// Creates a patch that changes nothing yet.
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

    /// Removes the ignored source, so that the webhook gets events of every source.
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

    /// Returns the draft of the webhook as this patch changes it.
    pub fn apply(&self, webhook: &Webhook) -> WebhookDraft {
        let now = WebhookDraft::from(webhook);
        WebhookDraft {
            name: self.name.clone().unwrap_or(now.name),
            desc: self.desc.clone().unwrap_or(now.desc),
            url: self.url.clone().unwrap_or(now.url),
            ignore_src: self.ignore_src.clone().unwrap_or(now.ignore_src),
            status: self.status.clone().unwrap_or(now.status),
            subscriptions: self.subscriptions.clone().unwrap_or(now.subscriptions),
            secret: None,
        }
    }
}

fn to<T>(value: T) -> Change<T> {
    Some(Some(Given::Right(value)))
}

/// Omits the URL, whose path and query may be secrets.
impl fmt::Debug for WebhookPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookPatch")
            .field("name", &self.name)
            .field("status", &self.status)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// Takes the attributes of an object by their names.
impl From<Map<String, Value>> for WebhookPatch {
    fn from(mut object: Map<String, Value>) -> Self {
        Self {
            name: take(&mut object, "name"),
            desc: take(&mut object, "desc"),
            url: take(&mut object, "url"),
            ignore_src: take(&mut object, "ignore_src"),
            status: take(&mut object, "status"),
            subscriptions: take(&mut object, "subscriptions"),
        }
    }
}

fn take<T: FromJson>(object: &mut Map<String, Value>, key: &str) -> Change<T> {
    object.remove(key).map(|value| (!value.is_null()).then(|| Given::read(value)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn webhook() -> Webhook {
        let json = json!({"hook_id": 1, "name": "a", "desc": "d", "url": "https://a.example/",
            "ignore_src": "crm", "status": 0, "subscriptions": [{"event_id": 13, "dept_ids": [7]}]});
        serde_json::from_value(json).expect("sound")
    }

    fn parse(json: Value) -> WebhookPatch {
        serde_json::from_value(json).expect("every object is a patch")
    }

    fn asked(patch: &WebhookPatch) -> WebhookDraft {
        patch.apply(&webhook())
    }

    #[test]
    fn a_patch_of_nothing_asks_for_the_webhook_as_it_is() {
        let present = WebhookDraft::from(&webhook());
        for nothing in [WebhookPatch::new(), parse(json!({})), parse(json!({"hook_id": 9, "x": null}))] {
            assert_eq!(asked(&nothing), present);
        }
    }

    #[test]
    fn setters_and_json_ask_for_the_same() {
        let other = webhook();
        let pairs = [
            (WebhookPatch::new().name("b"), json!({"name": "b"})),
            (WebhookPatch::new().describe("e"), json!({"desc": "e"})),
            (WebhookPatch::new().clear_description(), json!({"desc": null})),
            (WebhookPatch::new().url("https://b.example/"), json!({"url": "https://b.example/"})),
            (WebhookPatch::new().ignore_source("x"), json!({"ignore_src": "x"})),
            (WebhookPatch::new().clear_ignored_source(), json!({"ignore_src": null})),
            (WebhookPatch::new().status(Status::Enabled), json!({"status": 1})),
            (
                WebhookPatch::new().subscriptions(other.subscriptions()),
                json!({"subscriptions": [{"event_id": 13, "dept_ids": [7]}]}),
            ),
        ];
        for (built, json) in pairs {
            assert_eq!(asked(&built), asked(&parse(json.clone())), "{json}");
        }
    }

    #[test]
    fn each_attribute_that_is_named_changes_and_no_other() {
        let changes = [
            ("name", json!("b")),
            ("desc", json!("e")),
            ("url", json!("https://b.example/")),
            ("ignore_src", json!("x")),
            ("status", json!(1)),
            ("subscriptions", json!([{"event_id": 1}])),
        ];
        for (attribute, value) in changes {
            let mut expected = serde_json::to_value(webhook()).expect("serialises");
            expected[attribute] = value.clone();
            let expected: WebhookDraft = serde_json::from_value(expected).expect("a draft");
            assert_eq!(asked(&parse(json!({ attribute: value }))), expected);
        }
    }

    #[test]
    fn what_has_the_wrong_type_is_kept_to_be_reported() {
        let patch = parse(json!({"name": 5, "status": "on", "subscriptions": {}}));
        let draft = patch.apply(&webhook());
        assert!(matches!(draft.name, Some(Given::Wrong(_))));
        assert!(matches!(draft.status, Some(Given::Wrong(_))));
        assert!(matches!(draft.subscriptions, Some(Given::Wrong(_))));
    }
}
