//! The customers' API, in memory: nothing leaves the process, and no time passes.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, Webhooks};
use invoices::events::{InvoiceOverdue, InvoicePaid, catalog};
use invoices::{App, router};
use serde_json::{Value, json};
use tower::ServiceExt;

/// A service in memory, with a customer whose key is `key`.
fn service(transport: RecordingTransport) -> (Webhooks, Router) {
    let builder = Webhooks::builder(catalog().expect("sound")).store(MemoryStore::new());
    let hooks = builder.transport(transport).build().expect("sound");
    let keys = [("key".to_owned(), acme())].into_iter().collect();
    (hooks.clone(), router(App { hooks, keys }))
}

fn acme() -> TenantId {
    TenantId::new("acme").expect("valid")
}

/// Calls the API, and returns the status and the JSON of the answer.
async fn call(router: &Router, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer key");
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
    let answer = router.clone().oneshot(request.expect("a request")).await.expect("infallible");
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn books() -> Value {
    json!({"name": "Books", "url": "https://books.example.com/hook", "events": [
        {"event": "invoice.paid", "filter": [{"pointer": "/currency", "equals": "EUR"}]}]})
}

fn paid(currency: &str) -> Event {
    Event::of(&InvoicePaid { invoice: 7, cents: 100, currency: currency.to_owned() }).expect("JSON")
}

#[tokio::test]
async fn a_customer_registers_a_webhook_and_gets_what_it_wants() {
    let transport = RecordingTransport::new();
    let (hooks, router) = service(transport.clone());
    let (status, created) = call(&router, "POST", "/webhooks", books()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert!(created["secret"].as_str().expect("a secret").starts_with("whsec_"));
    let tenant = hooks.tenant(acme());
    let overdue = Event::of(&InvoiceOverdue { invoice: 7, days: 14 }).expect("JSON");
    for event in [paid("EUR"), paid("USD"), overdue] {
        tenant.publish(event).await.expect("published");
    }
    hooks.deliver_due().await.expect("delivered");
    assert_eq!(transport.requests().len(), 1, "the one in euros");
    let (_, listed) = call(&router, "GET", "/deliveries?state=delivered", json!(null)).await;
    let attempts = &listed["items"][0]["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn what_is_wrong_is_told_all_at_once_in_the_names_of_the_api() {
    let (_, router) = service(RecordingTransport::new());
    let posted = json!({"url": "http://10.0.0.1/", "events": ["invoice.lost"]});
    let (status, refused) = call(&router, "POST", "/webhooks", posted).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid")));
    let violations = refused["violations"].as_array().expect("a list");
    let paths: Vec<_> = violations.iter().map(|it| it["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["name", "url", "events[0]"], "{refused}");
    let (status, _) = call(&router, "GET", "/webhooks/99", json!(null)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_paused_webhook_gets_what_came_meanwhile_and_a_failed_one_is_explained() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 500 } else { 200 }));
    let (hooks, router) = service(transport.clone());
    call(&router, "POST", "/webhooks", books()).await;
    let (_, paused) = call(&router, "POST", "/webhooks/1/pause", json!(null)).await;
    assert_eq!(paused["webhook"]["paused"], json!(true), "{paused}");
    let sent = hooks.tenant(acme()).publish(paid("EUR")).await.expect("published");
    hooks.deliver_due().await.expect("delivered");
    assert!(transport.requests().is_empty(), "it waits");
    call(&router, "DELETE", "/webhooks/1/pause", json!(null)).await;
    hooks.deliver_due().await.expect("delivered");
    let (_, told) = call(&router, "GET", &format!("/messages/{}", sent.message_id()), json!(null)).await;
    assert_eq!(told["webhooks"][0]["last_attempt"]["outcome"]["answered"]["status"], 500, "{told}");
}
