//! The API in the attribute names of Zoho Assist: `hook_id`, `desc`, `ignore_src`, `status`, `subscriptions`, `dept_ids`.
//!
//! The attributes are Zoho's. Its endpoints are not documented, so the paths are our own, as are the attributes of what
//! Zoho does not show, such as the log of deliveries. Times are milliseconds since the Unix epoch.

use axum::Router;
use hookwire::model::{EventType, MessageRecord, Violation, WebhookPatch};
use hookwire::service::{Details, Explanation, LoggedDelivery};
use hookwire::store::HourCount;
use hookwire::{Catalog, EventId, Webhook, WebhookDraft, Webhooks};
use serde_json::Value;

use crate::access::Access;
use crate::openapi;
use crate::problem::{Fault, pointer};
use crate::routes;
use crate::view::{View, json};

/// Returns the API, to be nested under any path. [The front page](crate) says what it has.
///
/// ```
/// # async fn access(_: axum::http::request::Parts) -> Result<hookwire_axum::Caller, axum::response::Response> {
/// #     unimplemented!("not called")
/// # }
/// # fn host(hooks: hookwire::Webhooks) -> axum::Router {
/// axum::Router::new().nest("/webhooks", hookwire_axum::assist::router(hooks, access))
/// # }
/// ```
pub fn router(hooks: Webhooks, access: impl Access) -> Router {
    routes::router::<Assist>(hooks, access)
}

/// Returns the OpenAPI 3.1 document of the API, which it also serves itself, at `/v1/openapi.json`.
///
/// ```
/// assert_eq!(hookwire_axum::assist::openapi()["openapi"], "3.1.0");
/// ```
pub fn openapi() -> Value {
    Assist::openapi()
}

pub(crate) struct Assist;

impl View for Assist {
    type Draft = WebhookDraft;
    type Patch = WebhookPatch;

    fn draft(_: &Catalog, draft: WebhookDraft) -> WebhookDraft {
        draft
    }

    fn patch(_: &Catalog, patch: WebhookPatch) -> WebhookPatch {
        patch
    }

    fn webhook(_: &Catalog, webhook: &Webhook) -> Value {
        json(webhook)
    }

    fn details(_: &Catalog, details: &Details) -> Value {
        json(details)
    }

    fn event_type(event: &EventType) -> Value {
        json(event)
    }

    fn event(_: &Catalog, name: &str) -> Option<EventId> {
        name.parse().ok().map(EventId::new)
    }

    fn fault(_: &Catalog, violation: &Violation) -> Fault {
        Fault {
            pointer: pointer(violation.field()),
            code: violation.rule().to_string(),
            params: violation.params().clone(),
            message: violation.message().to_owned(),
        }
    }

    fn delivery(_: &Catalog, delivery: &LoggedDelivery) -> Value {
        json(delivery)
    }

    fn hour(count: &HourCount) -> Value {
        json(count)
    }

    fn message(_: &Catalog, message: &MessageRecord) -> Value {
        json(message)
    }

    fn explanation(_: &Catalog, explanation: &Explanation) -> Value {
        json(explanation)
    }

    fn openapi() -> Value {
        openapi::document(&openapi::ASSIST)
    }
}
