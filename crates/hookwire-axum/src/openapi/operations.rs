//! The operations of the API as documented, with path, scope, body and answers. They are the same in both views.

use utoipa::openapi::{HttpMethod, RefOr, Schema};

use super::forms::{integer, moment, one_of, text, webhook_id};
use crate::read::MAX_LIMIT;

/// A method of a path.
pub(super) struct Operation {
    pub(super) method: HttpMethod,
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
    /// Its success.
    pub(super) answer: Answer,
    /// Its other successes.
    pub(super) other_answers: &'static [Answer],
}

/// A status, and the schema of the body, if it has one.
pub(super) type Answer = (u16, Option<&'static str>);

/// A parameter of a query.
pub(super) struct Query {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
}

impl Query {
    const fn new(name: &'static str, description: &'static str) -> Self {
        Self { name, description }
    }

    pub(super) fn schema(&self) -> RefOr<Schema> {
        match self.name {
            "limit" => {
                let limit = integer().minimum(Some(1)).maximum(Some(MAX_LIMIT));
                limit.default(Some(MAX_LIMIT.into())).into()
            }
            "since" | "until" => moment().into(),
            "webhook" => webhook_id().into(),
            "state" => one_of(["pending", "cancelled", "delivered", "erased", "exhausted", "expired"]).into(),
            _ => text().into(),
        }
    }
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

    /// An operation that needs the scope UPDATE, and answers without a body.
    const fn new(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            scope: "UPDATE",
            query: &[],
            takes_version: false,
            takes_key: false,
            body: None,
            answer: (204, None),
            other_answers: &[],
        }
    }

    const fn get(path: &'static str, id: &'static str, summary: &'static str, answer: &'static str) -> Self {
        Self::new(HttpMethod::Get, path, id, summary).scope("READ").answer(200, answer)
    }

    const fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Post, path, id, summary)
    }

    const fn put(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Put, path, id, summary)
    }

    const fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Patch, path, id, summary)
    }

    const fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(HttpMethod::Delete, path, id, summary).scope("DELETE")
    }

    /// Answers with the webhook that it has changed.
    const fn change(self) -> Self {
        Self { other_answers: &[(204, None)], ..self.answer(200, "Details").takes_version() }
    }

    const fn scope(self, scope: &'static str) -> Self {
        Self { scope, ..self }
    }

    const fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    const fn takes_version(self) -> Self {
        Self { takes_version: true, ..self }
    }

    const fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    const fn answer(self, status: u16, schema: &'static str) -> Self {
        Self { answer: (status, Some(schema)), ..self }
    }
}

const EITHER: &str = "CREATE or UPDATE";

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::get("/event-types", "listEventTypes", "Lists the events that there are", "EventTypes")
        .query(&[Query::new("module", "The module to list")]),
    Operation::get("/departments", "listDepartments", "Lists the departments to choose from", "Departments"),
    Operation::get("/webhooks", "listWebhooks", "Lists the webhooks", "Webhooks"),
    Operation {
        takes_key: true,
        other_answers: &[(200, Some("Found")), (204, None)],
        ..Operation::post("/webhooks", "createWebhook", "Creates a webhook, and shows its secret this once")
            .scope("CREATE")
            .body("Draft")
            .answer(201, "Created")
    },
    Operation::get("/webhooks/{id}", "showWebhook", "Shows a webhook with its state", "Details"),
    Operation::put("/webhooks/{id}", "replaceWebhook", "Replaces the attributes of a webhook")
        .change()
        .body("Draft"),
    Operation::patch("/webhooks/{id}", "patchWebhook", "Changes some attributes of a webhook")
        .change()
        .body("Patch"),
    Operation::delete("/webhooks/{id}", "deleteWebhook", "Deletes a webhook, and cancels what waits for it")
        .takes_version(),
    Operation::post("/webhooks/{id}/enable", "enableWebhook", "Enables a webhook").change().body("Enable"),
    Operation::post("/webhooks/{id}/disable", "disableWebhook", "Disables a webhook: new events skip it")
        .change(),
    Operation::post("/webhooks/{id}/pause", "pauseWebhook", "Lets deliveries wait").change(),
    Operation::post("/webhooks/{id}/resume", "resumeWebhook", "Makes the deliveries that have waited")
        .change(),
    Operation::put("/webhooks/{id}/options", "setOptions", "Replaces the delivery options of a webhook")
        .change()
        .body("Options"),
    Operation::post(
        "/webhooks/{id}/rotate-secret",
        "rotateSecret",
        "Replaces the secret; the old one signs along for a while",
    )
    .takes_version()
    .body("Rotate")
    .answer(200, "Secret"),
    Operation::post("/webhooks/{id}/reveal-secret", "revealSecret", "Shows the secret").answer(200, "Secret"),
    Operation::post("/ping", "pingUrl", "Sends a test to a URL, unsigned")
        .scope(EITHER)
        .body("PingUrl")
        .answer(200, "Ping"),
    Operation::post("/webhooks/{id}/ping", "pingWebhook", "Sends a signed test to a webhook")
        .scope(EITHER)
        .body("PingWebhook")
        .answer(200, "Ping"),
    Operation::post(
        "/webhooks/{id}/check-receiver",
        "checkReceiver",
        "Finds out whether the receiver verifies what it gets",
    )
    .scope(EITHER)
    .answer(200, "ReceiverCheck"),
    Operation::get(
        "/webhooks/{id}/statistics",
        "showWebhookStatistics",
        "Shows how a webhook has answered of late, and by the hour",
        "WebhookStatistics",
    )
    .query(&[Query::new("since", "The earliest hour; left out: those of the last week")]),
    Operation::post("/webhooks/{id}/recover", "recover", "Makes deliveries anew that were given up")
        .body("Since")
        .answer(202, "Operation"),
    Operation::post(
        "/webhooks/{id}/recover-skipped",
        "recoverSkipped",
        "Delivers what the webhook was not sent while it was disabled, or before it was registered",
    )
    .scope("RECOVER")
    .body("Since")
    .answer(202, "Operation"),
    Operation::get("/operations/{id}", "showOperation", "Shows how far an operation is", "Operation"),
    Operation::delete("/operations/{id}", "cancelOperation", "Cancels an operation; what it has made stays")
        .scope("UPDATE")
        .answer(200, "Operation"),
    Operation::get("/messages", "listMessages", "Lists the published events, newest first", "Messages")
        .query(&[EVENT, SINCE, UNTIL, AFTER, LIMIT]),
    Operation::get(
        "/messages/{id}",
        "explainMessage",
        "Says what became of an event at each webhook, and why",
        "Explanation",
    ),
    Operation::delete("/messages/{id}/payload", "erasePayload", "Erases a payload"),
    Operation::post(
        "/messages/{id}/redeliver",
        "redeliverAsNew",
        "Sends the payload of a message to a webhook again, under a new id",
    )
    .body("AsNew")
    .answer(201, "NewMessage"),
    Operation::get(
        "/deliveries",
        "listDeliveries",
        "Lists deliveries with their attempts, newest first",
        "Deliveries",
    )
    .query(&[
        Query::new("webhook", "The id of a webhook"),
        Query::new("message", "The id of a message"),
        EVENT,
        Query::new("state", "The state"),
        SINCE,
        UNTIL,
        AFTER,
        LIMIT,
    ]),
    Operation::post(
        "/deliveries/{id}/redeliver",
        "redeliver",
        "Makes a delivery again, under the same message id",
    )
    .answer(201, "NewDelivery"),
    Operation::get(
        "/statistics",
        "showStatistics",
        "Counts the deliveries that have not ended",
        "Statistics",
    ),
    Operation::get("/openapi.json", "showOpenapi", "Shows this document", "Document").scope(""),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_operation_stands_twice() {
        let methods: BTreeSet<_> = OPERATIONS.iter().map(|it| (&it.method, it.path)).collect();
        let ids: BTreeSet<_> = OPERATIONS.iter().map(|it| it.id).collect();
        assert_eq!((methods.len(), ids.len()), (OPERATIONS.len(), OPERATIONS.len()));
    }
}
