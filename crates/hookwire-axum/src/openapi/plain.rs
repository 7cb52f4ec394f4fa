//! The schemas in plain names.

use utoipa::openapi::{ComponentsBuilder, ObjectBuilder};

use super::forms::{
    Attributes, anything, array, date_time, either, flag, integer, nullable, object, one_of, text, the,
};
use super::schemas::{event_type, with_changes};

pub(super) fn schemas(common: ComponentsBuilder) -> ComponentsBuilder {
    with_changes(common, draft())
        .schema("Webhook", webhook())
        .schema("Event", either(text(), narrowed()))
        .schema("EventType", event_type())
        .schema("EventName", text())
        .schema("Time", date_time())
        .schema("Logged", logged())
        .schema("Attempt", attempt())
        .schema("Message", message())
        .schema("Explanation", explanation())
        .schema("Fate", fate())
}

fn webhook() -> ObjectBuilder {
    object()
        .has(&["id", "name", "url"], text())
        .has(&["events"], array(the("Event")))
        .has(&["enabled"], flag())
        .may_have(&["description", "ignore_source"], text())
        .may_have(&["paused"], flag())
}

fn draft() -> ObjectBuilder {
    object()
        .has(&["name", "url"], text())
        .has(&["events"], array(the("Event")).min_items(Some(1)))
        .may_have(&["description", "ignore_source"], nullable(text()))
        .may_have(&["enabled"], nullable(flag()))
}

fn narrowed() -> ObjectBuilder {
    object()
        .has(&["event"], text())
        .may_have(&["departments"], array(integer()))
        .may_have(&["filter"], array(object()))
        .may_have(&["template"], anything())
}

fn logged() -> ObjectBuilder {
    object()
        .has(&["id", "message", "event", "webhook", "state"], text())
        .has(&["created_at"], the("Time"))
        .has(&["due_at", "ended_at"], nullable(the("Time")))
        .has(&["origin"], nullable(text()))
        .has(&["attempts"], array(the("Attempt")))
}

fn attempt() -> ObjectBuilder {
    object()
        .has(&["number", "took_ms"], integer())
        .has(&["at"], the("Time"))
        .has(&["is_success"], flag())
        .has(&["status"], nullable(integer()))
        .has(&["failure", "answer"], nullable(text()))
        .has(&["told"], text())
}

fn message() -> ObjectBuilder {
    object()
        .has(&["id", "event"], text())
        .has(&["happened_at", "published_at"], the("Time"))
        .has(&["webhooks", "skipped"], integer())
        .has(&["is_waiting"], flag())
}

fn explanation() -> ObjectBuilder {
    object()
        .has(&["id", "event"], text())
        .has(&["happened_at", "published_at"], the("Time"))
        .has(&["note"], nullable(text()))
        .has(&["has_payload"], flag())
        .has(&["webhooks"], array(the("Fate")))
}

fn fate() -> ObjectBuilder {
    object()
        .has(&["webhook", "told"], text())
        .has(&["fate"], one_of(["delivery", "waiting", "skipped"]))
        .has(&["delivery"], nullable(the("Logged")))
}
