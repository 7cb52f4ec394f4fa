//! The OpenAPI 3.1 document of each view: the operations of both, with the schemas of the one.

mod assist;
mod forms;
mod operations;
mod plain;
mod schemas;

use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{
    ComponentsBuilder, Content, HttpMethod, Info, OpenApi, PathItem, PathsBuilder, Ref, RefOr, Required,
    Response, ResponseBuilder, Responses, ResponsesBuilder, Server,
};

use crate::view;
use forms::{text, the};
use operations::{OPERATIONS, Operation, Query};

/// What the documents of the views differ in.
pub(crate) struct Names {
    title: &'static str,
    /// Adds the schemas of the view to those of both.
    schemas: fn(ComponentsBuilder) -> ComponentsBuilder,
    /// How the name of an event is described where a query or a body has one.
    event: &'static str,
}

pub(crate) const ASSIST: Names = Names {
    title: "Webhooks, in the attribute names of Zoho Assist",
    schemas: assist::schemas,
    event: "The id of an event",
};

pub(crate) const PLAIN: Names =
    Names { title: "Webhooks", schemas: plain::schemas, event: "The key of an event" };

/// Returns whether an operation has this parameter in its query. `path` is that of the route, below whatever the host nests
/// the API under.
pub(crate) fn has_parameter(method: &Method, path: &str, name: &str) -> bool {
    let method = match *method {
        Method::GET | Method::HEAD => HttpMethod::Get,
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => return false,
    };
    let path = path.rsplit_once("/v1/").map_or("", |(_, rest)| rest);
    let its = OPERATIONS.iter().find(|it| it.method == method && it.path.strip_prefix('/') == Some(path));
    its.is_some_and(|it| it.query.iter().any(|query| query.name == name))
}

/// Returns the document of a view.
pub(crate) fn document(names: &Names) -> Value {
    let paths = OPERATIONS.iter().fold(PathsBuilder::new(), |paths, it| {
        paths.path(it.path, PathItem::new(it.method.clone(), described(it, names)))
    });
    let components = (names.schemas)(schemas::common()).response("Problem", problem());
    let document = OpenApi::builder()
        .info(Info::new(names.title, "1"))
        // The document is served beside the paths.
        .servers(Some([Server::new(".")]))
        .paths(paths)
        .components(Some(components.build()));
    view::json(&document.build())
}

fn described(operation: &Operation, names: &Names) -> OperationBuilder {
    let scope = match operation.scope {
        "" => "Needs no scope.".to_owned(),
        scope => format!("Needs the scope {scope}."),
    };
    OperationBuilder::new()
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .description(Some(scope))
        .parameters(Some(parameters(operation, names)))
        .request_body(operation.body.map(|schema| body(schema, operation.needs_body())))
        .responses(responses(operation))
}

fn body(schema: &str, is_needed: bool) -> RequestBody {
    let required = if is_needed { Required::True } else { Required::False };
    RequestBodyBuilder::new().required(Some(required)).content("application/json", content(schema)).build()
}

fn parameters(operation: &Operation, names: &Names) -> Vec<Parameter> {
    let path = operation.path.contains("{id}").then(|| {
        parameter("id", ParameterIn::Path).required(Required::True).schema(Some(text().min_length(Some(1))))
    });
    let query = operation.query.iter().map(|it| in_query(it, names));
    let version = operation.takes_version.then(|| {
        parameter("If-Match", ParameterIn::Header)
            .description(Some("The `ETag` of the webhook that is to be changed, or `*`."))
            .schema(Some(text()))
    });
    let key = operation.takes_key.then(|| {
        let description =
            "A key of the client's own. A repeated request with it answers with the webhook, without its secret.";
        parameter("Idempotency-Key", ParameterIn::Header)
            .description(Some(description))
            .schema(Some(text().pattern(Some("^[!-~]{1,255}$"))))
    });
    path.into_iter().chain(query).chain(version).chain(key).map(ParameterBuilder::build).collect()
}

fn in_query(query: &Query, names: &Names) -> ParameterBuilder {
    let description = if query.name == "event" { names.event } else { query.description };
    parameter(query.name, ParameterIn::Query).description(Some(description)).schema(Some(query.schema()))
}

fn parameter(name: &str, place: ParameterIn) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place)
}

fn responses(operation: &Operation) -> Responses {
    let answers = [operation.answer].into_iter().chain(operation.other_answers.iter().copied());
    let refused = || RefOr::Ref(Ref::from_response_name("Problem"));
    ResponsesBuilder::new()
        .responses_from_iter(answers.map(|(status, schema)| (status.to_string(), done(schema))))
        .response("4XX", refused())
        .response("5XX", refused())
        .build()
}

fn done(schema: Option<&str>) -> Response {
    let done = ResponseBuilder::new().description("Done.");
    match schema {
        Some(schema) => done.content("application/json", content(schema)).build(),
        None => done.build(),
    }
}

fn problem() -> ResponseBuilder {
    ResponseBuilder::new()
        .description("Refused, or failed. What the host itself refuses, it answers in its own form.")
        .content("application/problem+json", content("Problem"))
}

fn content(schema: &str) -> Content {
    Content::new(Some(the(schema)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_has_the_parameters_of_get() {
        for (method, has) in [(Method::GET, true), (Method::HEAD, true), (Method::POST, false)] {
            assert_eq!(has_parameter(&method, "/hooks/v1/messages", "event"), has, "{method}");
        }
    }
}
