//! Errors as the API answers them: all of them are JSON.

use axum::Json;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::events::CATALOG;

/// What a handler answers.
pub type Answer<T> = Result<Json<T>, Refused>;

/// A refused call: a code for programs, a message for people, and each violation of what was posted.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    body: Value,
}

impl Refused {
    pub fn new(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, body: json!({"code": code, "message": message}) }
    }
}

/// Tells an error of hookwire in the names that customers know.
impl From<hookwire::Error> for Refused {
    fn from(error: hookwire::Error) -> Self {
        Self { status: error.kind().http_status(), body: json!(CATALOG.show_error(&error)) }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// Gives the refusals of axum itself, such as that of a body which is no JSON, the form of the others.
pub async fn as_json(response: Response) -> Response {
    let (status, headers) = (response.status(), response.headers());
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|it| it == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut head, text) = response.into_parts();
    head.headers.remove(header::CONTENT_TYPE);
    head.headers.remove(header::CONTENT_LENGTH);
    let reason = status.canonical_reason().unwrap_or("refused");
    // The text is in memory already, and short.
    let text = to_bytes(text, usize::MAX).await.unwrap_or_default();
    let message = if text.is_empty() { reason.into() } else { String::from_utf8_lossy(&text) };
    let refused = Refused::new(status, &reason.to_lowercase().replace(' ', "_"), &message);
    (head.headers, refused).into_response()
}
