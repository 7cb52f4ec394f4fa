//! The API in plain names: `id`, `description`, `ignore_source`, `enabled`, and events by their keys.
//!
//! The names are those of [`hookwire::plain`]. Ids are strings, and times are in RFC 3339.

mod log;

use axum::Router;
use hookwire::model::{EventType, MessageRecord, Timestamp, Violation, WebhookPatch};
use hookwire::plain::{Draft, Patch};
use hookwire::service::{Details, Explanation, LoggedDelivery};
use hookwire::store::HourCount;
use hookwire::{Catalog, EventId, Webhook, WebhookDraft, Webhooks};
use serde_json::{Value, json};

use crate::access::Access;
use crate::openapi;
use crate::problem::{Fault, pointer};
use crate::routes;
use crate::view::{self, View};

/// Returns the API, to be nested under any path. [The front page](crate) says what it has.
pub fn router(hooks: Webhooks, access: impl Access) -> Router {
    routes::router::<Plain>(hooks, access)
}

/// Returns the OpenAPI 3.1 document of the API, which it also serves itself, at `/v1/openapi.json`.
///
/// ```
/// assert_eq!(hookwire_axum::plain::openapi()["openapi"], "3.1.0");
/// ```
pub fn openapi() -> Value {
    Plain::openapi()
}

pub(crate) struct Plain;

impl View for Plain {
    type Draft = Draft;
    type Patch = Patch;

    fn draft(catalog: &Catalog, draft: Draft) -> WebhookDraft {
        catalog.draft(&draft)
    }

    fn patch(catalog: &Catalog, patch: Patch) -> WebhookPatch {
        catalog.patch(&patch)
    }

    fn webhook(catalog: &Catalog, webhook: &Webhook) -> Value {
        view::json(&catalog.show(webhook))
    }

    fn details(catalog: &Catalog, details: &Details) -> Value {
        let time = |at: Option<Timestamp>| at.map(|it| it.to_string());
        let disabled = details.disabled.map(|it| json!({"reason": it.reason, "at": time(it.at)}));
        let mut shown = view::json(details);
        shown["webhook"] = view::json(&catalog.show(&details.webhook).with_paused(details.paused.is_some()));
        shown["disabled"] = json!(disabled);
        shown["paused"] = json!(time(details.paused));
        shown["failing_since"] = json!(time(details.failing_since));
        shown["last_success_at"] = json!(time(details.last_success_at));
        shown
    }

    fn event_type(event: &EventType) -> Value {
        let mut shown = view::json(event);
        if let Some(attributes) = shown.as_object_mut() {
            attributes.remove("event_id");
        }
        shown
    }

    fn event(catalog: &Catalog, name: &str) -> Option<EventId> {
        catalog.by_key(name).map(EventType::id)
    }

    fn fault(catalog: &Catalog, violation: &Violation) -> Fault {
        let shown = catalog.show_violations(std::slice::from_ref(violation)).pop();
        let (path, message) = shown.map_or_else(Default::default, |it| (it.path, it.message));
        Fault {
            pointer: pointer(&path),
            code: violation.rule().to_string(),
            params: violation.params().clone(),
            message,
        }
    }

    fn delivery(catalog: &Catalog, delivery: &LoggedDelivery) -> Value {
        view::json(&log::Logged::new(catalog, delivery))
    }

    fn hour(count: &HourCount) -> Value {
        json!({"hour": count.hour.start().to_string(), "attempts": count.attempts, "successes": count.successes})
    }

    fn message(catalog: &Catalog, message: &MessageRecord) -> Value {
        view::json(&log::Message::new(catalog, message))
    }

    fn explanation(catalog: &Catalog, explanation: &Explanation) -> Value {
        view::json(&log::Explained::new(catalog, explanation))
    }

    fn openapi() -> Value {
        openapi::document(&openapi::PLAIN)
    }
}
