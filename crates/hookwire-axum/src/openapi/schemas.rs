//! The schemas of bodies and answers that both views have.

use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ComponentsBuilder, ObjectBuilder};

use super::forms::{
    Attributes, anything, array, flag, integer, moment, nullable, object, one_of, text, texts, the,
    webhook_id,
};

pub(super) fn common() -> ComponentsBuilder {
    records(answers(bodies(ComponentsBuilder::new())))
}

/// Adds a webhook as it is asked for, and a change to it, which has some of the same attributes.
pub(super) fn with_changes(schemas: ComponentsBuilder, draft: ObjectBuilder) -> ComponentsBuilder {
    let draft = draft.build();
    let mut patch = draft.clone();
    patch.required.clear();
    schemas.schema("Draft", draft).schema("Patch", patch)
}

/// The attributes of an event type that both views have.
pub(super) fn event_type() -> ObjectBuilder {
    object()
        .has(&["key", "name", "module"], text())
        .has(&["sample"], anything())
        .may_have(&["schema"], anything())
        .may_have(&["deprecated"], flag())
}

fn bodies(schemas: ComponentsBuilder) -> ComponentsBuilder {
    let overlap = integer().minimum(Some(0)).maximum(Some(u32::MAX));
    let event = || nullable(the("EventName"));
    schemas
        .schema("Enable", closed().may_have(&["waiting"], one_of(["resume", "drop"])))
        .schema("Options", options())
        .schema("Rotate", closed().may_have(&["overlap_seconds"], nullable(overlap)))
        .schema("PingUrl", closed().has(&["url"], text()).may_have(&["event"], event()))
        .schema("PingWebhook", closed().may_have(&["event"], event()))
        .schema("Since", closed().has(&["since"], moment()))
        .schema("AsNew", closed().has(&["webhook"], webhook_id()))
}

fn options() -> ObjectBuilder {
    let number = |most| nullable(integer().minimum(Some(1)).maximum(Some(most)));
    closed()
        .may_have(&["envelope"], nullable(one_of(["assist", "cloud_events", "standard_webhooks"])))
        .may_have(&["template"], anything())
        .may_have(&["signature"], nullable(one_of(["v1", "v1a", "github", "stripe"])))
        .may_have(&["headers"], nullable(texts()))
        .may_have(&["rate"], number(1_000))
        .may_have(&["max_in_flight"], number(10_000))
}

fn answers(schemas: ComponentsBuilder) -> ComponentsBuilder {
    schemas
        .schema("EventTypes", items("EventType"))
        .schema("Departments", items("Department"))
        .schema("Webhooks", items("Webhook"))
        .schema("Messages", page("Message"))
        .schema("Deliveries", page("Logged"))
        .schema("Created", found().has(&["secret"], text()).has(&["warnings"], array(text())))
        .schema("Found", found())
        .schema("Details", details())
        .schema("Secret", object().has(&["secret"], text()))
        .schema("Ping", ping())
        .schema("ReceiverCheck", receiver_check())
        .schema("Statistics", statistics())
        .schema("WebhookStatistics", webhook_statistics())
        .schema("NewDelivery", object().has(&["delivery"], text()))
        .schema("NewMessage", object().has(&["message"], text()))
        .schema("Document", object().required("openapi"))
}

fn found() -> ObjectBuilder {
    object().has(&["webhook"], the("Webhook"))
}

fn details() -> ObjectBuilder {
    found()
        .has(&["version"], integer())
        .has(&["options"], object())
        .has(&["disabled"], nullable(the("Disabled")))
        .has(&["paused", "failing_since"], nullable(the("Time")))
        .may_have(&["last_success_at"], nullable(the("Time")))
        .may_have(&["warnings"], array(text()))
}

fn ping() -> ObjectBuilder {
    object()
        .has(&["is_success"], flag())
        .has(&["took_ms"], integer())
        .has(&["outcome"], nullable(the("Outcome")))
        .has(&["told"], text())
        .has(&["errors"], array(the("Fault")))
}

fn receiver_check() -> ObjectBuilder {
    object()
        .has(&["is_passed"], flag())
        .has(&["told"], text())
        .has(&["probes"], array(object().required("kind").required("verdict")))
}

fn statistics() -> ObjectBuilder {
    object().has(&["deliveries"], the("Stats"))
}

fn webhook_statistics() -> ObjectBuilder {
    statistics().has(&["recent"], the("Recent")).has(&["hours"], array(the("Hour")))
}

fn records(schemas: ComponentsBuilder) -> ComponentsBuilder {
    let outcome = object().description(Some("`answered` with a status, or `failed` with a kind"));
    let hour = object().has(&["hour"], the("Time")).has(&["attempts", "successes"], integer());
    schemas
        .schema("Department", object().has(&["id"], integer()).has(&["name"], text()))
        .schema("Disabled", object().has(&["at"], nullable(the("Time"))).has(&["reason"], anything()))
        .schema("Operation", operation())
        .schema("Outcome", outcome)
        .schema("Hour", hour)
        .schema("Recent", recent())
        .schema("Stats", stats())
        .schema("Problem", problem())
        .schema("Fault", fault())
}

fn operation() -> ObjectBuilder {
    object()
        .has(&["id"], text())
        .has(&["state"], one_of(["running", "done", "cancelled", "failed"]))
        .has(&["made"], integer())
}

fn recent() -> ObjectBuilder {
    object()
        .has(&["attempts", "successes"], integer())
        .may_have(&["took"], nullable(object().has(&["p50", "p95", "p99"], integer())))
}

fn stats() -> ObjectBuilder {
    object()
        .has(&["due", "scheduled", "stopped", "held", "unrouted"], integer())
        .may_have(&["oldest_due"], anything())
}

fn problem() -> ObjectBuilder {
    object()
        .has(&["type", "title", "detail"], text())
        .has(&["status"], integer())
        .may_have(&["errors"], array(the("Fault")))
}

fn fault() -> ObjectBuilder {
    object().has(&["pointer", "code", "message"], text()).has(&["params"], texts())
}

/// An object that has no other attributes.
fn closed() -> ObjectBuilder {
    object().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn items(of: &str) -> ObjectBuilder {
    object().has(&["items"], array(the(of)))
}

fn page(of: &str) -> ObjectBuilder {
    items(of).has(&["next"], nullable(text()))
}
