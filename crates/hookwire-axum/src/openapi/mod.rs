//! The OpenAPI 3.1 document of each view: the operations of both, with the schemas of the one.

mod operations;
mod schemas;

use axum::http::Method;
use operations::{OPERATIONS, Operation, Query};
use serde_json::{Map, Value, json};

/// What the documents of the views differ in.
pub(crate) struct Names {
    title: &'static str,
    schemas: fn() -> Value,
    /// How the name of an event is described where a query or a body has one.
    event: &'static str,
}

pub(crate) const ASSIST: Names = Names {
    title: "Webhooks, in the attribute names of Zoho Assist",
    schemas: schemas::assist,
    event: "The id of an event",
};

pub(crate) const PLAIN: Names =
    Names { title: "Webhooks", schemas: schemas::plain, event: "The key of an event" };

/// Returns whether an operation has this parameter in its query. `path` is that of the route, below whatever the host nests
/// the API under.
pub(crate) fn has_parameter(method: &Method, path: &str, name: &str) -> bool {
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let path = path.rsplit_once("/v1/").map_or("", |(_, rest)| rest);
    let its = OPERATIONS.iter().find(|it| it.method == method && it.path.strip_prefix('/') == Some(path));
    its.is_some_and(|it| it.query.iter().any(|query| query.name == name))
}

/// Returns the document of a view.
pub(crate) fn document(names: &Names) -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let item = paths.entry(operation.path).or_insert_with(|| json!({}));
        item[operation.method] = described(operation, names);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": names.title, "version": "1"},
        // The document is served beside the paths.
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": (names.schemas)(), "responses": {"Problem": problem()}},
    })
}

fn described(operation: &Operation, names: &Names) -> Value {
    let scope = match operation.scope {
        "" => "Needs no scope.".to_owned(),
        scope => format!("Needs the scope {scope}."),
    };
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": scope,
        "parameters": parameters(operation, names),
        "responses": responses(operation),
    });
    if let Some(schema) = operation.body {
        described["requestBody"] = json!({
            "required": operation.needs_body(),
            "content": {"application/json": {"schema": reference(schema)}},
        });
    }
    described
}

fn parameters(operation: &Operation, names: &Names) -> Vec<Value> {
    let path = operation.path.contains("{id}").then(|| {
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}})
    });
    let query = operation.query.iter().map(|it| parameter(it, names));
    let version = operation.takes_version.then(|| {
        json!({
            "name": "If-Match", "in": "header", "description": "The `ETag` of the webhook that is to be changed, or `*`.",
            "schema": {"type": "string"},
        })
    });
    let key = operation.takes_key.then(|| {
        json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "A key of the client's own. A repeated request with it answers with the webhook, without its secret.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        })
    });
    path.into_iter().chain(query).chain(version).chain(key).collect()
}

fn parameter(query: &Query, names: &Names) -> Value {
    let description = if query.name == "event" { names.event } else { query.description };
    json!({"name": query.name, "in": "query", "description": description, "schema": query.schema()})
}

fn responses(operation: &Operation) -> Value {
    let mut responses = Map::new();
    for (status, schema) in operation.answers {
        let mut answer = json!({"description": "Done."});
        if let Some(schema) = schema {
            answer["content"] = json!({"application/json": {"schema": reference(schema)}});
        }
        responses.insert(status.to_string(), answer);
    }
    responses.insert("4XX".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
    responses.insert("5XX".to_owned(), json!({"$ref": "#/components/responses/Problem"}));
    Value::Object(responses)
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn problem() -> Value {
    json!({
        "description": "Refused, or failed. What the host itself refuses, it answers in its own form.",
        "content": {"application/problem+json": {"schema": reference("Problem")}},
    })
}
