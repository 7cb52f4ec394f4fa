//! Errors as the API answers them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hookwire::{Catalog, plain};
use serde::Serialize;

/// A refused call: a code for programs, a message for people, and each violation of what was posted.
#[derive(Debug, Serialize)]
pub struct Refused {
    #[serde(skip)]
    status: StatusCode,
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<plain::Violation>,
}

impl Refused {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), violations: Vec::new() }
    }

    /// Tells an error of hookwire in the names of the plain view.
    pub fn of(catalog: &Catalog) -> impl Fn(hookwire::Error) -> Self {
        move |error| {
            let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or_default();
            let violations = catalog.show_violations(error.violations());
            let message =
                if violations.is_empty() { error.to_string() } else { "the webhook is refused".to_owned() };
            Self { status, code: error.kind().as_str(), message, violations }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
