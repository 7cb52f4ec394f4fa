//! The operations of the API as documented, with path, scope, body and answers. They are the same in both views.

use serde_json::{Value, json};

use crate::read::MAX_LIMIT;

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// The scope that it needs; empty if none.
    pub(super) scope: &'static str,
    pub(super) query: &'static [Query],
    /// Whether it heeds `If-Match`.
    pub(super) takes_version: bool,
    /// Whether it heeds `Idempotency-Key`.
    pub(super) takes_key: bool,
    /// The schema of its body, if it has one.
    pub(super) body: Option<&'static str>,
    /// Its successes, with the schemas of their bodies.
    pub(super) answers: &'static [(u16, Option<&'static str>)],
}

/// A parameter of a query.
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

impl Query {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description }
    }

    pub(super) fn schema(&self) -> Value {
        match self.name {
            "limit" => json!({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": MAX_LIMIT}),
            "since" | "until" => moment(),
            "webhook" => json!({"type": "string", "pattern": "^[0-9]{1,18}$"}),
            "state" => {
                json!({"enum": ["pending", "cancelled", "delivered", "erased", "exhausted", "expired"]})
            }
            _ => json!({"type": "string"}),
        }
    }
}

/// A time in either view's form.
pub(super) fn moment() -> Value {
    json!({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]})
}

const EVENT: Query = Query::new("event", "");
const SINCE: Query = Query::new("since", "The earliest time, inclusive");
const UNTIL: Query = Query::new("until", "The latest time, exclusive");
const AFTER: Query = Query::new("after", "The `next` of the page before");
const LIMIT: Query = Query::new("limit", "The most items of the page");

impl Operation {
    /// Whether a body that is left out, which is an empty object, is refused.
    pub(super) fn needs_body(&self) -> bool {
        matches!(self.body, Some("AsNew" | "Draft" | "Options" | "Patch" | "PingUrl" | "Since"))
    }

    const fn get(
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: &'static [(u16, Option<&'static str>)],
    ) -> Self {
        Self {
            method: "get",
            path,
            id,
            summary,
            scope: "READ",
            query: &[],
            takes_version: false,
            takes_key: false,
            body: None,
            answers: answer,
        }
    }

    /// A change of a webhook, which answers with it.
    const fn change(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        body: Option<&'static str>,
    ) -> Self {
        let answers = &[(200, Some("Details")), (204, None)];
        Self { method, takes_version: true, ..Self::act((path, id, summary), "UPDATE", body, answers) }
    }

    const fn act(
        (path, id, summary): (&'static str, &'static str, &'static str),
        scope: &'static str,
        body: Option<&'static str>,
        answers: &'static [(u16, Option<&'static str>)],
    ) -> Self {
        Self {
            method: "post",
            path,
            id,
            summary,
            scope,
            query: &[],
            takes_version: false,
            takes_key: false,
            body,
            answers,
        }
    }

    const fn delete(
        (path, id, summary): (&'static str, &'static str, &'static str),
        answers: &'static [(u16, Option<&'static str>)],
    ) -> Self {
        Self {
            method: "delete",
            path,
            id,
            summary,
            scope: "DELETE",
            query: &[],
            takes_version: false,
            takes_key: false,
            body: None,
            answers,
        }
    }
}

const EITHER: &str = "CREATE or UPDATE";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        query: &[Query::new("module", "The module to list")],
        ..Operation::get(
            "/event-types",
            "listEventTypes",
            "Lists the events that there are",
            &[(200, Some("EventTypes"))],
        )
    },
    Operation::get(
        "/departments",
        "listDepartments",
        "Lists the departments to choose from",
        &[(200, Some("Departments"))],
    ),
    Operation::get("/webhooks", "listWebhooks", "Lists the webhooks", &[(200, Some("Webhooks"))]),
    Operation {
        takes_key: true,
        ..Operation::act(
            ("/webhooks", "createWebhook", "Creates a webhook, and shows its secret this once"),
            "CREATE",
            Some("Draft"),
            &[(200, Some("Found")), (201, Some("Created")), (204, None)],
        )
    },
    Operation::get(
        "/webhooks/{id}",
        "showWebhook",
        "Shows a webhook with its state",
        &[(200, Some("Details"))],
    ),
    Operation::change(
        "put",
        "/webhooks/{id}",
        "replaceWebhook",
        "Replaces the attributes of a webhook",
        Some("Draft"),
    ),
    Operation::change(
        "patch",
        "/webhooks/{id}",
        "patchWebhook",
        "Changes some attributes of a webhook",
        Some("Patch"),
    ),
    Operation {
        takes_version: true,
        ..Operation::delete(
            ("/webhooks/{id}", "deleteWebhook", "Deletes a webhook, and cancels what waits for it"),
            &[(204, None)],
        )
    },
    Operation::change("post", "/webhooks/{id}/enable", "enableWebhook", "Enables a webhook", Some("Enable")),
    Operation::change(
        "post",
        "/webhooks/{id}/disable",
        "disableWebhook",
        "Disables a webhook: new events skip it",
        None,
    ),
    Operation::change("post", "/webhooks/{id}/pause", "pauseWebhook", "Lets deliveries wait", None),
    Operation::change(
        "post",
        "/webhooks/{id}/resume",
        "resumeWebhook",
        "Makes the deliveries that have waited",
        None,
    ),
    Operation::change(
        "put",
        "/webhooks/{id}/options",
        "setOptions",
        "Replaces the delivery options of a webhook",
        Some("Options"),
    ),
    Operation {
        takes_version: true,
        ..Operation::act(
            (
                "/webhooks/{id}/rotate-secret",
                "rotateSecret",
                "Replaces the secret; the old one signs along for a while",
            ),
            "UPDATE",
            Some("Rotate"),
            &[(200, Some("Secret"))],
        )
    },
    Operation::act(
        ("/webhooks/{id}/reveal-secret", "revealSecret", "Shows the secret"),
        "UPDATE",
        None,
        &[(200, Some("Secret"))],
    ),
    Operation::act(
        ("/ping", "pingUrl", "Sends a test to a URL, unsigned"),
        EITHER,
        Some("PingUrl"),
        &[(200, Some("Ping"))],
    ),
    Operation::act(
        ("/webhooks/{id}/ping", "pingWebhook", "Sends a signed test to a webhook"),
        EITHER,
        Some("PingWebhook"),
        &[(200, Some("Ping"))],
    ),
    Operation::act(
        (
            "/webhooks/{id}/check-receiver",
            "checkReceiver",
            "Finds out whether the receiver verifies what it gets",
        ),
        EITHER,
        None,
        &[(200, Some("ReceiverCheck"))],
    ),
    Operation {
        query: &[Query::new("since", "The earliest hour; left out: those of the last week")],
        ..Operation::get(
            "/webhooks/{id}/statistics",
            "showWebhookStatistics",
            "Shows how a webhook has answered of late, and by the hour",
            &[(200, Some("WebhookStatistics"))],
        )
    },
    Operation::act(
        ("/webhooks/{id}/recover", "recover", "Makes deliveries anew that were given up"),
        "UPDATE",
        Some("Since"),
        &[(202, Some("Operation"))],
    ),
    Operation::act(
        (
            "/webhooks/{id}/recover-skipped",
            "recoverSkipped",
            "Delivers what the webhook was not sent while it was disabled, or before it was registered",
        ),
        "RECOVER",
        Some("Since"),
        &[(202, Some("Operation"))],
    ),
    Operation::get(
        "/operations/{id}",
        "showOperation",
        "Shows how far an operation is",
        &[(200, Some("Operation"))],
    ),
    Operation {
        scope: "UPDATE",
        ..Operation::delete(
            ("/operations/{id}", "cancelOperation", "Cancels an operation; what it has made stays"),
            &[(200, Some("Operation"))],
        )
    },
    Operation {
        query: &[EVENT, SINCE, UNTIL, AFTER, LIMIT],
        ..Operation::get(
            "/messages",
            "listMessages",
            "Lists the published events, newest first",
            &[(200, Some("Messages"))],
        )
    },
    Operation::get(
        "/messages/{id}",
        "explainMessage",
        "Says what became of an event at each webhook, and why",
        &[(200, Some("Explanation"))],
    ),
    Operation::delete(("/messages/{id}/payload", "erasePayload", "Erases a payload"), &[(204, None)]),
    Operation::act(
        (
            "/messages/{id}/redeliver",
            "redeliverAsNew",
            "Sends the payload of a message to a webhook again, under a new id",
        ),
        "UPDATE",
        Some("AsNew"),
        &[(201, Some("NewMessage"))],
    ),
    Operation {
        query: &[
            Query::new("webhook", "The id of a webhook"),
            Query::new("message", "The id of a message"),
            EVENT,
            Query::new("state", "The state"),
            SINCE,
            UNTIL,
            AFTER,
            LIMIT,
        ],
        ..Operation::get(
            "/deliveries",
            "listDeliveries",
            "Lists deliveries with their attempts, newest first",
            &[(200, Some("Deliveries"))],
        )
    },
    Operation::act(
        ("/deliveries/{id}/redeliver", "redeliver", "Makes a delivery again, under the same message id"),
        "UPDATE",
        None,
        &[(201, Some("NewDelivery"))],
    ),
    Operation::get(
        "/statistics",
        "showStatistics",
        "Counts the deliveries that have not ended",
        &[(200, Some("Statistics"))],
    ),
    Operation {
        scope: "",
        ..Operation::get("/openapi.json", "showOpenapi", "Shows this document", &[(200, Some("Document"))])
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_operation_stands_twice() {
        let methods: BTreeSet<_> = OPERATIONS.iter().map(|it| (it.method, it.path)).collect();
        let ids: BTreeSet<_> = OPERATIONS.iter().map(|it| it.id).collect();
        assert_eq!((methods.len(), ids.len()), (OPERATIONS.len(), OPERATIONS.len()));
    }
}
