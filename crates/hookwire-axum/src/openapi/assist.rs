//! The schemas in the attribute names of Zoho Assist.

use utoipa::openapi::{ComponentsBuilder, ObjectBuilder};

use super::forms::{Attributes, anything, array, flag, integer, nullable, object, one_of, text, the};
use super::schemas::{event_type, with_changes};

pub(super) fn schemas(common: ComponentsBuilder) -> ComponentsBuilder {
    with_changes(common, draft())
        .schema("Webhook", webhook())
        .schema("Subscription", subscription())
        .schema("EventType", event_type().has(&["event_id"], integer()))
        .schema("EventName", integer())
        .schema("Time", integer())
        .schema("Delivery", delivery())
        .schema(
            "Logged",
            object().has(&["delivery"], the("Delivery")).has(&["attempts"], array(the("Attempt"))),
        )
        .schema("Attempt", attempt())
        .schema("Message", message())
        .schema("Explanation", explanation())
}

fn webhook() -> ObjectBuilder {
    object()
        .has(&["hook_id"], integer())
        .has(&["name", "url"], text())
        .has(&["status"], one_of([0, 1]))
        .has(&["subscriptions"], array(the("Subscription")))
        .may_have(&["desc", "ignore_src"], text())
}

fn draft() -> ObjectBuilder {
    object()
        .has(&["name", "url"], text())
        .has(&["subscriptions"], array(the("Subscription")).min_items(Some(1)))
        .may_have(&["desc", "ignore_src"], nullable(text()))
        .may_have(&["status"], nullable(one_of([0, 1])))
}

fn subscription() -> ObjectBuilder {
    object()
        .may_have(&["event_id"], integer())
        .may_have(&["events"], text())
        .may_have(&["dept_ids"], array(integer()))
        .may_have(&["filter"], array(object()))
        .may_have(&["template"], anything())
}

fn delivery() -> ObjectBuilder {
    object()
        .has(&["id", "event_id", "hook_id", "attempts"], integer())
        .has(&["message_id"], text())
        .has(&["state"], anything())
        .has(&["created_at"], the("Time"))
        .may_have(&["due_at", "ended_at"], nullable(the("Time")))
        .may_have(&["origin"], nullable(integer()))
}

fn attempt() -> ObjectBuilder {
    object()
        .has(&["number", "took_ms"], integer())
        .has(&["at"], the("Time"))
        .has(&["outcome"], the("Outcome"))
        .may_have(&["uncounted"], integer())
}

fn message() -> ObjectBuilder {
    object()
        .has(&["message_id"], text())
        .has(&["event_id", "targets", "skipped"], integer())
        .has(&["time", "published_at"], the("Time"))
        .has(&["is_waiting"], flag())
}

fn explanation() -> ObjectBuilder {
    object()
        .has(&["message_id", "event"], text())
        .has(&["time", "published_at"], the("Time"))
        .has(&["routing"], anything())
        .has(&["has_payload"], flag())
        .has(&["webhooks"], array(object().required("hook_id").required("fate")))
}
