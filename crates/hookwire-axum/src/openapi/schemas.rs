//! The schemas of bodies and answers, in the names of each view.

use super::operations::moment;
use serde_json::{Map, Value, json};

/// Returns the schemas in the attribute names of Zoho Assist.
pub(super) fn assist() -> Value {
    with_common(json!({
        "Webhook": object(
            json!({
                "hook_id": id(), "name": text(), "desc": text(), "url": text(), "ignore_src": text(),
                "status": {"enum": [0, 1]}, "subscriptions": array(reference("Subscription")),
            }),
            &["hook_id", "name", "url", "status", "subscriptions"],
        ),
        "Subscription": object(
            json!({
                "event_id": integer(), "events": text(), "dept_ids": array(integer()), "filter": array(json!({"type": "object"})),
                "template": {},
            }),
            &[],
        ),
        "Draft": object(
            json!({
                "name": text(), "desc": nullable(text()), "url": text(), "ignore_src": nullable(text()),
                "status": {"enum": [0, 1, null]}, "subscriptions": some(reference("Subscription")),
            }),
            &["name", "url", "subscriptions"],
        ),
        "Patch": object(
            json!({
                "name": text(), "desc": nullable(text()), "url": text(), "ignore_src": nullable(text()),
                "status": {"enum": [0, 1, null]}, "subscriptions": some(reference("Subscription")),
            }),
            &[],
        ),
        "EventType": object(
            json!({"event_id": integer(), "key": text(), "name": text(), "module": text(), "sample": {}, "schema": {}, "deprecated": flag()}),
            &["event_id", "key", "name", "module", "sample"],
        ),
        "Time": integer(),
        "Disabled": object(json!({"reason": {}, "at": nullable(reference("Time"))}), &["at", "reason"]),
        "Delivery": object(
            json!({
                "id": id(), "message_id": text(), "event_id": integer(), "hook_id": id(), "state": {},
                "attempts": integer(), "created_at": reference("Time"), "due_at": nullable(reference("Time")),
                "ended_at": nullable(reference("Time")), "origin": nullable(id()),
            }),
            &["id", "message_id", "event_id", "hook_id", "state", "attempts", "created_at"],
        ),
        "Logged": object(
            json!({"delivery": reference("Delivery"), "attempts": array(reference("Attempt"))}),
            &["delivery", "attempts"],
        ),
        "Attempt": object(
            json!({"number": integer(), "at": reference("Time"), "took_ms": integer(), "uncounted": integer(), "outcome": reference("Outcome")}),
            &["number", "at", "took_ms", "outcome"],
        ),
        "Message": object(
            json!({
                "message_id": text(), "event_id": integer(), "time": reference("Time"), "published_at": reference("Time"),
                "targets": integer(), "skipped": integer(), "is_waiting": flag(),
            }),
            &["message_id", "event_id", "time", "published_at", "targets", "skipped", "is_waiting"],
        ),
        "Explanation": object(
            json!({
                "message_id": text(), "event": text(), "time": reference("Time"), "published_at": reference("Time"),
                "routing": {}, "has_payload": flag(), "webhooks": array(json!({"type": "object", "required": ["hook_id", "fate"]})),
            }),
            &["message_id", "event", "time", "published_at", "routing", "has_payload", "webhooks"],
        ),
        "EventName": integer(),
    }))
}

/// Returns the schemas in plain names.
pub(super) fn plain() -> Value {
    with_common(json!({
        "Webhook": object(
            json!({
                "id": text(), "name": text(), "description": text(), "url": text(), "ignore_source": text(),
                "events": array(reference("Event")), "enabled": flag(), "paused": flag(),
            }),
            &["id", "name", "url", "events", "enabled"],
        ),
        "Event": {"anyOf": [
            text(),
            object(json!({"event": text(), "departments": array(integer()), "filter": array(json!({"type": "object"})), "template": {}}), &["event"]),
        ]},
        "Draft": object(
            json!({
                "name": text(), "description": nullable(text()), "url": text(), "ignore_source": nullable(text()),
                "enabled": nullable(flag()), "events": some(reference("Event")),
            }),
            &["name", "url", "events"],
        ),
        "Patch": object(
            json!({
                "name": text(), "description": nullable(text()), "url": text(), "ignore_source": nullable(text()),
                "enabled": nullable(flag()), "events": some(reference("Event")),
            }),
            &[],
        ),
        "EventType": object(
            json!({"key": text(), "name": text(), "module": text(), "sample": {}, "schema": {}, "deprecated": flag()}),
            &["key", "name", "module", "sample"],
        ),
        "Time": {"type": "string", "format": "date-time"},
        "Disabled": object(json!({"reason": {}, "at": nullable(reference("Time"))}), &["at", "reason"]),
        "Logged": object(
            json!({
                "id": text(), "message": text(), "event": text(), "webhook": text(), "state": text(),
                "created_at": reference("Time"), "due_at": nullable(reference("Time")), "ended_at": nullable(reference("Time")),
                "origin": nullable(text()), "attempts": array(reference("Attempt")),
            }),
            &["id", "message", "event", "webhook", "state", "created_at", "due_at", "ended_at", "origin", "attempts"],
        ),
        "Attempt": object(
            json!({
                "number": integer(), "at": reference("Time"), "took_ms": integer(), "is_success": flag(),
                "status": nullable(integer()), "failure": nullable(text()), "told": text(), "answer": nullable(text()),
            }),
            &["number", "at", "took_ms", "is_success", "status", "failure", "told", "answer"],
        ),
        "Message": object(
            json!({
                "id": text(), "event": text(), "happened_at": reference("Time"), "published_at": reference("Time"),
                "webhooks": integer(), "skipped": integer(), "is_waiting": flag(),
            }),
            &["id", "event", "happened_at", "published_at", "webhooks", "skipped", "is_waiting"],
        ),
        "Explanation": object(
            json!({
                "id": text(), "event": text(), "happened_at": reference("Time"), "published_at": reference("Time"),
                "note": nullable(text()), "has_payload": flag(), "webhooks": array(reference("Fate")),
            }),
            &["id", "event", "happened_at", "published_at", "note", "has_payload", "webhooks"],
        ),
        "Fate": object(
            json!({
                "webhook": text(), "fate": {"enum": ["delivery", "waiting", "skipped"]}, "told": text(),
                "delivery": nullable(reference("Logged")),
            }),
            &["webhook", "fate", "told", "delivery"],
        ),
        "EventName": text(),
    }))
}

/// Adds the schemas that both views have.
fn with_common(mut of_view: Value) -> Value {
    let common = [bodies(), answers(), records()];
    let (Some(schemas), common) = (of_view.as_object_mut(), common.into_iter().filter_map(into_object))
    else {
        return of_view;
    };
    schemas.extend(common.flatten());
    of_view
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn bodies() -> Value {
    json!({
        "Enable": closed(json!({"waiting": {"enum": ["resume", "drop"]}}), &[]),
        "Options": closed(
            json!({
                "envelope": {"enum": ["assist", "cloud_events", "standard_webhooks", null]}, "template": {},
                "signature": {"enum": ["v1", "v1a", "github", "stripe", null]},
                "headers": {"type": ["object", "null"], "additionalProperties": text()},
                "rate": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000},
                "max_in_flight": {"type": ["integer", "null"], "minimum": 1, "maximum": 10000},
            }),
            &[],
        ),
        "Rotate": closed(json!({"overlap_seconds": {"type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX}}), &[]),
        "PingUrl": closed(json!({"url": text(), "event": nullable(reference("EventName"))}), &["url"]),
        "PingWebhook": closed(json!({"event": nullable(reference("EventName"))}), &[]),
        "Since": closed(json!({"since": moment()}), &["since"]),
        "AsNew": closed(json!({"webhook": {"type": "string", "pattern": "^[0-9]{1,18}$"}}), &["webhook"]),
    })
}

fn answers() -> Value {
    json!({
        "EventTypes": items("EventType"),
        "Departments": items("Department"),
        "Webhooks": items("Webhook"),
        "Messages": page("Message"),
        "Deliveries": page("Logged"),
        "Created": object(
            json!({"webhook": reference("Webhook"), "secret": text(), "warnings": array(text())}),
            &["webhook", "secret", "warnings"],
        ),
        "Found": object(json!({"webhook": reference("Webhook")}), &["webhook"]),
        "Details": object(
            json!({
                "webhook": reference("Webhook"), "version": integer(), "options": {"type": "object"},
                "disabled": nullable(reference("Disabled")), "paused": nullable(reference("Time")),
                "failing_since": nullable(reference("Time")), "last_success_at": nullable(reference("Time")), "warnings": array(text()),
            }),
            &["webhook", "version", "options", "disabled", "paused", "failing_since"],
        ),
        "Secret": object(json!({"secret": text()}), &["secret"]),
        "Ping": object(
            json!({
                "is_success": flag(), "took_ms": integer(), "outcome": nullable(reference("Outcome")), "told": text(),
                "errors": array(reference("Fault")),
            }),
            &["is_success", "took_ms", "outcome", "told", "errors"],
        ),
        "ReceiverCheck": object(
            json!({"is_passed": flag(), "told": text(), "probes": array(json!({"type": "object", "required": ["kind", "verdict"]}))}),
            &["is_passed", "told", "probes"],
        ),
        "Statistics": object(json!({"deliveries": reference("Stats")}), &["deliveries"]),
        "WebhookStatistics": object(
            json!({"deliveries": reference("Stats"), "recent": reference("Recent"), "hours": array(reference("Hour"))}),
            &["deliveries", "recent", "hours"],
        ),
        "NewDelivery": object(json!({"delivery": text()}), &["delivery"]),
        "NewMessage": object(json!({"message": text()}), &["message"]),
        "Document": {"type": "object", "required": ["openapi"]},
    })
}

fn records() -> Value {
    json!({
        "Department": object(json!({"id": integer(), "name": text()}), &["id", "name"]),
        "Operation": object(
            json!({"id": text(), "state": {"enum": ["running", "done", "cancelled", "failed"]}, "made": integer()}),
            &["id", "state", "made"],
        ),
        "Outcome": {"type": "object", "description": "`answered` with a status, or `failed` with a kind"},
        "Hour": object(
            json!({"hour": reference("Time"), "attempts": integer(), "successes": integer()}),
            &["hour", "attempts", "successes"],
        ),
        "Recent": object(
            json!({
                "attempts": integer(), "successes": integer(),
                "took": nullable(object(json!({"p50": integer(), "p95": integer(), "p99": integer()}), &["p50", "p95", "p99"])),
            }),
            &["attempts", "successes"],
        ),
        "Stats": object(
            json!({"due": integer(), "scheduled": integer(), "stopped": integer(), "held": integer(), "unrouted": integer(), "oldest_due": {}}),
            &["due", "scheduled", "stopped", "held", "unrouted"],
        ),
        "Problem": object(
            json!({
                "type": text(), "title": text(), "status": integer(), "detail": text(), "errors": array(reference("Fault")),
            }),
            &["type", "title", "status", "detail"],
        ),
        "Fault": object(
            json!({"pointer": text(), "code": text(), "params": {"type": "object", "additionalProperties": text()}, "message": text()}),
            &["pointer", "code", "params", "message"],
        ),
    })
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

/// An object that has no other attributes.
fn closed(properties: Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn items(of: &str) -> Value {
    object(json!({"items": array(reference(of))}), &["items"])
}

fn page(of: &str) -> Value {
    object(json!({"items": array(reference(of)), "next": nullable(text())}), &["items", "next"])
}

fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

/// An array of one item at least.
fn some(items: Value) -> Value {
    json!({"type": "array", "items": items, "minItems": 1})
}

fn nullable(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn integer() -> Value {
    json!({"type": "integer"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

/// An id, which Assist's attributes have as a number.
fn id() -> Value {
    json!({"type": "integer"})
}
