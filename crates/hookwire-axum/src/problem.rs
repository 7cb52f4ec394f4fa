//! [`Problem`]: a refusal as RFC 9457 says it.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hookwire::ErrorKind;
use serde::Serialize;

const BREAKS_RULES: &str = "what was sent breaks rules; `errors` has all of them";
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A refused request. Neither a URL nor a secret that was sent is repeated in it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    /// A name that stays: `urn:hookwire:problem:not_found`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// What is wrong with the body, all at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// A fault of a body.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    /// Where: a JSON pointer into the body.
    pub(crate) pointer: String,
    /// The rule, for programs.
    pub(crate) code: String,
    /// What the message mentions.
    pub(crate) params: BTreeMap<&'static str, String>,
    /// What is wrong and what to do, for people.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: &str, status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:hookwire:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Tells an error of hookwire, whose violations are `errors`.
    pub(crate) fn of(error: &hookwire::Error, errors: Vec<Fault>) -> Self {
        let kind = error.kind();
        let detail = match kind {
            // What the store says is the operator's business, and is in the log.
            ErrorKind::Store => "the service cannot do this at the moment; try again".to_owned(),
            _ if errors.is_empty() => error.to_string(),
            _ => BREAKS_RULES.to_owned(),
        };
        Self { errors, ..Self::new(kind.as_str(), kind.http_status(), detail) }
    }

    /// Tells what is wrong with a body.
    pub(crate) fn invalid(errors: Vec<Fault>) -> Self {
        let kind = ErrorKind::Invalid(Vec::new());
        Self { errors, ..Self::new(kind.as_str(), StatusCode::UNPROCESSABLE_ENTITY, BREAKS_RULES) }
    }

    /// Says that a parameter or a header cannot be read.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new("bad_request", StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(ErrorKind::NotFound.as_str(), StatusCode::NOT_FOUND, format!("there is no {what}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and numbers always serialise.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
    }
}

/// Returns the JSON pointer of a path such as `subscriptions[0].dept_ids` or `headers.x-team`.
pub(crate) fn pointer(path: &str) -> String {
    let names = match path.split_once('.') {
        // What follows is the name of one header, dots and brackets included.
        Some((head @ "headers", name)) => vec![head.to_owned(), name.to_owned()],
        _ => path.split(['.', '[']).map(|part| part.trim_end_matches(']').to_owned()).collect(),
    };
    names.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_json_pointers() {
        let pairs = [
            ("name", "/name"),
            ("subscriptions[1].dept_ids[0]", "/subscriptions/1/dept_ids/0"),
            ("subscriptions[0].filter[2].pointer", "/subscriptions/0/filter/2/pointer"),
            ("headers.x-a/b.c", "/headers/x-a~1b.c"),
        ];
        for (path, expected) in pairs {
            assert_eq!(pointer(path), expected);
        }
    }
}
