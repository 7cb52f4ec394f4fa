//! Calls of the API, as its tests make them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

/// Calls the API with a key, and returns the status and the JSON of the answer.
pub async fn call(router: &Router, key: &str, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("infallible");
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    let json = if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body) };
    (status, json.expect("every answer is JSON"))
}
