//! A webhook as a user asks for it, unchecked. `registry` checks it.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::events::Events;
use super::integer_id::{DeptId, EventId, LenientInteger};
use super::status::Status;
use super::subscription::{Departments, Subscription};
use super::template::BodyTemplate;
use super::webhook::Webhook;

/// An unchecked request for a webhook, from code or from JSON.
///
/// Every JSON object deserialises into a draft. Values of a wrong type are kept, so that the check of the draft
/// reports them together with all other violations. `hook_id` and unknown keys are ignored, so that a client can
/// read a webhook, edit it and send it back.
///
/// | attribute in JSON | value | |
/// |---|---|---|
/// | `name` | text | required |
/// | `url` | text | required |
/// | `subscriptions` | an array of objects, one at least | required |
/// | `subscriptions[].event_id` | the number of an event of the [catalog](super::Catalog::iter), not its key | required, or `events` |
/// | `subscriptions[].events` | a [pattern](super::EventPattern) of keys: `*`, `invoice.*` | in place of `event_id`, where the catalog allows it |
/// | `subscriptions[].dept_ids` | an array of numbers | left out: every department |
/// | `subscriptions[].filter` | an array of conditions: see [`Filter`](super::Filter) | left out: every payload |
/// | `subscriptions[].template` | any JSON but `null`: see [`BodyTemplate`](super::BodyTemplate) | left out: the webhook's, or an envelope |
/// | `desc` | text | optional |
/// | `ignore_src` | text: the source whose events it does not get | optional |
/// | `status` | 1: enabled, 0: disabled | left out: 1 |
///
/// [`plain::Draft`](crate::plain::Draft) names events by their keys instead.
///
/// [`Tenant::create`](crate::service::Tenant::create) checks a draft, and
/// [`Error::violations`](crate::Error::violations) returns everything that is wrong with it.
///
/// ```
/// use hookwire::{assist, DeptId, WebhookDraft};
///
/// let draft = WebhookDraft::new("Device log", "https://hooks.example.com/assist")
///     .describe("Unattended devices, to the CRM")
///     .ignore_source("crm-sync")
///     .subscribe(assist::UNATTENDED_SESSION_START)
///     .subscribe_in(assist::DEVICE_ONLINE, [DeptId::new(7), DeptId::new(9)]);
/// assert_eq!(draft.url(), "https://hooks.example.com/assist");
///
/// let from_json: WebhookDraft = serde_json::from_str(r#"{"name": 5, "status": "on"}"#)?;
/// assert_eq!(from_json.url(), "");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Default, Deserialize, PartialEq)]
#[serde(from = "Map<String, Value>")]
pub struct WebhookDraft {
    pub(crate) name: Option<Given<String>>,
    pub(crate) desc: Option<Given<String>>,
    pub(crate) url: Option<Given<String>>,
    pub(crate) ignore_src: Option<Given<String>>,
    pub(crate) status: Option<Given<i64>>,
    pub(crate) subscriptions: Option<Given<Vec<Given<SubscriptionDraft>>>>,
    pub(crate) secret: Option<Zeroizing<String>>,
}

/// An unchecked request for a subscription. Its JSON is part of what a `CreationRecord` hashes, and so never changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SubscriptionDraft {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event_id: Option<Given<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Given<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dept_ids: Option<Given<Vec<Given<i64>>>>,
    /// The JSON of a filter, valid or not.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "sorted")]
    pub(crate) filter: Option<Value>,
    /// A template, or the JSON that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<Given<BodyTemplate>>,
}

/// Writes the keys of objects in their order, whatever order `serde_json` keeps them in.
fn sorted<S: Serializer>(json: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut json = json.clone();
    json.iter_mut().for_each(Value::sort_all_objects);
    json.serialize(serializer)
}

/// A value of the right type, or the JSON that came in its place.
#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Given<T> {
    Right(T),
    Wrong(Value),
}

impl WebhookDraft {
    /// Creates a draft of an enabled webhook with this name and callback URL, without subscriptions.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> Self {
        Self { name: Some(Given::Right(name.into())), url: Some(Given::Right(url.into())), ..Self::default() }
    }

    /// Sets the description.
    #[must_use]
    pub fn describe(self, desc: impl Into<String>) -> Self {
        Self { desc: Some(Given::Right(desc.into())), ..self }
    }

    /// Sets the source whose events the webhook does not get.
    #[must_use]
    pub fn ignore_source(self, source: impl Into<String>) -> Self {
        Self { ignore_src: Some(Given::Right(source.into())), ..self }
    }

    /// Sets the status. Default [`Status::Enabled`].
    #[must_use]
    pub fn status(self, status: Status) -> Self {
        Self { status: Some(Given::Right(status.into())), ..self }
    }

    /// Sets the secret that the receiver has already, as its text: `whsec_` and 24 to 64 bytes in base64. Default: a new
    /// one.
    ///
    /// Use it to move webhooks here from another sender without a change at their receivers. It is no attribute in JSON:
    /// the host decides whether its users may bring secrets.
    #[must_use]
    pub fn secret(self, secret: impl Into<String>) -> Self {
        Self { secret: Some(Zeroizing::new(secret.into())), ..self }
    }

    /// Adds a subscription to `event` for every department.
    #[must_use]
    pub fn subscribe(self, event: EventId) -> Self {
        self.subscribe_to(&Subscription::new(event, Departments::All))
    }

    /// Adds a subscription to `event` for these departments only.
    #[must_use]
    pub fn subscribe_in(self, event: EventId, departments: impl IntoIterator<Item = DeptId>) -> Self {
        let ids = departments.into_iter().map(|id| Given::Right(id.get())).collect();
        self.push(SubscriptionDraft {
            event_id: Some(Given::Right(event.get().into())),
            dept_ids: Some(Given::Right(ids)),
            ..SubscriptionDraft::default()
        })
    }

    /// Adds a subscription to all events whose keys match a [pattern](super::EventPattern), for every department.
    ///
    /// ```
    /// use hookwire::WebhookDraft;
    ///
    /// let draft = WebhookDraft::new("Bookkeeping", "https://hooks.example.com/").subscribe_matching("invoice.*");
    /// # let _ = draft;
    /// ```
    #[must_use]
    pub fn subscribe_matching(self, pattern: impl Into<String>) -> Self {
        let events = Some(Given::Right(pattern.into()));
        self.push(SubscriptionDraft { events, ..SubscriptionDraft::default() })
    }

    /// Adds a subscription, which may have a filter and a template.
    ///
    /// ```
    /// use hookwire::model::{Departments, Filter, Subscription};
    /// use hookwire::{EventId, WebhookDraft};
    /// use serde_json::json;
    ///
    /// let in_euros = Filter::new(&json!([{"pointer": "/amount/currency", "equals": "EUR"}]))?;
    /// let paid = Subscription::new(EventId::new(1), Departments::All).with_filter(in_euros);
    /// let draft = WebhookDraft::new("Bookkeeping", "https://hooks.example.com/").subscribe_to(&paid);
    /// # let _ = draft;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn subscribe_to(self, subscription: &Subscription) -> Self {
        self.push(subscription.into())
    }

    /// Returns the callback URL as it was given; empty if there is none.
    pub fn url(&self) -> &str {
        match &self.url {
            Some(Given::Right(url)) => url,
            Some(Given::Wrong(_)) | None => "",
        }
    }

    fn push(mut self, subscription: SubscriptionDraft) -> Self {
        let mut subscriptions = match self.subscriptions.take() {
            Some(Given::Right(subscriptions)) => subscriptions,
            Some(Given::Wrong(_)) | None => Vec::new(),
        };
        subscriptions.push(Given::Right(subscription));
        self.subscriptions = Some(Given::Right(subscriptions));
        self
    }
}

/// Omits the secret and the URL, whose path and query may be secrets.
impl fmt::Debug for WebhookDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookDraft")
            .field("name", &self.name)
            .field("subscriptions", &self.subscriptions)
            .finish_non_exhaustive()
    }
}

/// Omits what came in the place of a value: of a template that is none, it may hold credentials.
impl<T: fmt::Debug> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right(value) => f.debug_tuple("Right").field(value).finish(),
            Self::Wrong(_) => f.write_str("Wrong(..)"),
        }
    }
}

/// Takes the attributes of an object by their names; `null` counts as absent.
impl From<Map<String, Value>> for WebhookDraft {
    fn from(mut object: Map<String, Value>) -> Self {
        Self {
            name: take(&mut object, "name"),
            desc: take(&mut object, "desc"),
            url: take(&mut object, "url"),
            ignore_src: take(&mut object, "ignore_src"),
            status: take(&mut object, "status"),
            subscriptions: take(&mut object, "subscriptions"),
            secret: None,
        }
    }
}

fn take<T: FromJson>(object: &mut Map<String, Value>, key: &str) -> Option<Given<T>> {
    object.remove(key).filter(|value| !value.is_null()).map(Given::read)
}

/// Creates the draft of a webhook with the same attributes.
impl From<&Webhook> for WebhookDraft {
    fn from(webhook: &Webhook) -> Self {
        let subscriptions = webhook.subscriptions().iter().map(|it| Given::Right(it.into()));
        Self {
            name: Some(Given::Right(webhook.name().to_owned())),
            desc: webhook.desc().map(|desc| Given::Right(desc.to_owned())),
            url: Some(Given::Right(webhook.url().as_str().to_owned())),
            ignore_src: webhook.ignore_src().map(|source| Given::Right(source.to_string())),
            status: Some(Given::Right(webhook.status().into())),
            subscriptions: Some(Given::Right(subscriptions.collect())),
            secret: None,
        }
    }
}

impl From<&Subscription> for SubscriptionDraft {
    fn from(subscription: &Subscription) -> Self {
        let dept_ids = match subscription.departments() {
            Departments::All => None,
            Departments::Only(set) => {
                Some(Given::Right(set.iter().map(|id| Given::Right(id.get())).collect()))
            }
        };
        // Its strings and scalars serialise always.
        let filter = subscription.filter().map(|it| serde_json::to_value(it).expect("a filter is JSON"));
        let (event_id, events) = match subscription.events() {
            Events::One(id) => (Some(Given::Right(id.get().into())), None),
            Events::Matching(pattern) => (None, Some(Given::Right(pattern.to_string()))),
        };
        let template = subscription.template().cloned().map(Given::Right);
        Self { event_id, events, dept_ids, filter, template }
    }
}

/// Types that are read from a JSON value, which is returned unchanged if it has another type.
pub(crate) trait FromJson: Sized {
    fn from_json(value: Value) -> Result<Self, Value>;
}

impl FromJson for String {
    fn from_json(value: Value) -> Result<Self, Value> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        }
    }
}

impl FromJson for i64 {
    fn from_json(value: Value) -> Result<Self, Value> {
        LenientInteger::deserialize(&value).map(|LenientInteger(number)| number).map_err(|_| value)
    }
}

impl FromJson for BodyTemplate {
    fn from_json(value: Value) -> Result<Self, Value> {
        Self::new(&value).map_err(|_| value)
    }
}

impl<T: FromJson> FromJson for Vec<Given<T>> {
    fn from_json(value: Value) -> Result<Self, Value> {
        match value {
            Value::Array(items) => Ok(items.into_iter().map(Given::read).collect()),
            other => Err(other),
        }
    }
}

impl FromJson for SubscriptionDraft {
    fn from_json(value: Value) -> Result<Self, Value> {
        let Value::Object(mut object) = value else { return Err(value) };
        Ok(Self {
            event_id: take(&mut object, "event_id"),
            events: take(&mut object, "events"),
            dept_ids: take(&mut object, "dept_ids"),
            filter: object.remove("filter").filter(|filter| !filter.is_null()),
            template: take(&mut object, "template"),
        })
    }
}

impl<T: FromJson> Given<T> {
    pub(crate) fn read(value: Value) -> Self {
        T::from_json(value).map_or_else(Self::Wrong, Self::Right)
    }
}
