//! [`View`]: the names in which an API speaks, Assist's or plain ones.

use hookwire::model::{EventType, MessageRecord, Violation, WebhookPatch};
use hookwire::service::{Details, Explanation, LoggedDelivery};
use hookwire::store::HourCount;
use hookwire::{Catalog, EventId, Webhook, WebhookDraft};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::Fault;

/// The names of attributes. An API is in one of them, and its handlers are the same in each.
pub(crate) trait View: Send + Sync + 'static {
    /// A webhook as it is asked for.
    type Draft: DeserializeOwned + Send;
    /// A change to some attributes of a webhook.
    type Patch: DeserializeOwned + Send;

    fn draft(catalog: &Catalog, draft: Self::Draft) -> WebhookDraft;

    fn patch(catalog: &Catalog, patch: Self::Patch) -> WebhookPatch;

    fn webhook(catalog: &Catalog, webhook: &Webhook) -> Value;

    fn details(catalog: &Catalog, details: &Details) -> Value;

    fn event_type(event: &EventType) -> Value;

    /// Finds an event by the name that the view has for it.
    fn event(catalog: &Catalog, name: &str) -> Option<EventId>;

    fn fault(catalog: &Catalog, violation: &Violation) -> Fault;

    fn delivery(catalog: &Catalog, delivery: &LoggedDelivery) -> Value;

    fn hour(count: &HourCount) -> Value;

    fn message(catalog: &Catalog, message: &MessageRecord) -> Value;

    fn explanation(catalog: &Catalog, explanation: &Explanation) -> Value;

    /// The OpenAPI document.
    fn openapi() -> Value;
}

/// Returns the JSON of something whose keys are texts and whose leaves are texts and numbers.
pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
