//! The customers' API, in memory: nothing leaves the process, and time passes when a test says so.

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use hookwire::clock::ManualClock;
use hookwire::store::MemoryStore;
use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, Webhooks};
use invoices::events::{CATALOG, InvoiceOverdue, InvoicePaid};
use invoices::{App, router};
use serde_json::{Value, json};
use support::call;

/// A service in memory, with the customers acme and globex.
struct Service {
    hooks: Webhooks,
    router: Router,
    clock: ManualClock,
    transport: RecordingTransport,
}

impl Service {
    fn new(transport: RecordingTransport) -> Self {
        let clock = ManualClock::default();
        let builder = Webhooks::builder(CATALOG.clone()).store(MemoryStore::with_clock(clock.clone()));
        let hooks = builder.clock(clock.clone()).transport(transport.clone()).build().expect("sound");
        let keys = ["acme", "globex"].map(|name| (format!("{name}-key"), tenant(name)));
        let app = App { hooks: hooks.clone(), keys: Arc::new(keys.into()) };
        Self { hooks, router: router(app, Router::new()), clock, transport }
    }

    /// Calls the API as acme, and returns the status and the JSON of the answer.
    async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        call(&self.router, "acme-key", method, path, &body.to_string()).await
    }

    /// Publishes a payment of acme's, sends what is due, and returns the message id.
    async fn pay(&self, currency: &str) -> String {
        let paid = InvoicePaid { invoice: 7, cents: 100, currency: currency.to_owned() };
        let sent = self.hooks.tenant(tenant("acme")).publish(Event::of(&paid).expect("JSON")).await;
        self.hooks.deliver_due().await.expect("delivered");
        sent.expect("published").message_id().to_string()
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("valid")
}

fn books() -> Value {
    json!({"name": "Books", "url": "https://books.example.com/hook", "events": [
        {"event": "invoice.paid", "filter": [{"pointer": "/currency", "equals": "EUR"}]}]})
}

#[tokio::test]
async fn a_customer_registers_a_webhook_and_gets_what_it_wants() {
    let service = Service::new(RecordingTransport::new());
    let (status, created) = service.call("POST", "/webhooks", books()).await;
    assert_eq!(status, StatusCode::CREATED, "{created}");
    assert!(created["secret"].as_str().expect("a secret").starts_with("whsec_"));
    let overdue = Event::of(&InvoiceOverdue { invoice: 7, days: 14 }).expect("JSON");
    service.hooks.tenant(tenant("acme")).publish(overdue).await.expect("published");
    service.pay("USD").await;
    service.pay("EUR").await;
    assert_eq!(service.transport.requests().len(), 1, "the one in euros");
    let (_, listed) = service.call("GET", "/deliveries?state=delivered", json!(null)).await;
    let attempts = &listed["items"][0]["attempts"];
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn what_is_wrong_is_told_all_at_once_in_the_names_of_the_api() {
    let service = Service::new(RecordingTransport::new());
    let posted = json!({"url": "http://10.0.0.1/", "events": ["invoice.lost"]});
    let (status, refused) = service.call("POST", "/webhooks", posted).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("invalid")));
    let violations = refused["violations"].as_array().expect("a list");
    let paths: Vec<_> = violations.iter().map(|it| it["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["name", "url", "events[0]"], "{refused}");
    assert!(refused["message"].as_str().expect("a text").starts_with("name: is missing"), "{refused}");
}

#[tokio::test]
async fn every_refusal_is_json_with_a_code() {
    let service = Service::new(RecordingTransport::new());
    let refusals = [
        ("no-key", "GET", "/webhooks", "", 401, "unknown_key"),
        ("acme-key", "GET", "/webhooks/99", "", 404, "not_found"),
        ("acme-key", "GET", "/webhooks/x", "", 400, "bad_request"),
        ("acme-key", "GET", "/deliveries?state=lost", "", 400, "bad_request"),
        ("acme-key", "POST", "/webhooks", "{", 400, "bad_request"),
        ("acme-key", "PATCH", "/webhooks", "", 405, "method_not_allowed"),
        ("acme-key", "GET", "/lost", "", 404, "not_found"),
    ];
    for (key, method, path, body, expected, code) in refusals {
        let (status, refused) = call(&service.router, key, method, path, body).await;
        assert_eq!((status.as_u16(), &refused["code"]), (expected, &json!(code)), "{path}: {refused}");
        assert!(refused["message"].as_str().is_some_and(|it| !it.is_empty()), "{refused}");
    }
}

#[tokio::test]
async fn customers_see_nothing_of_each_other() {
    let service = Service::new(RecordingTransport::new());
    service.call("POST", "/webhooks", books()).await;
    let message = service.pay("EUR").await;
    for path in ["/webhooks/1".to_owned(), format!("/messages/{message}")] {
        assert_eq!(service.call("GET", &path, json!(null)).await.0, StatusCode::OK, "{path}");
        assert_eq!(
            call(&service.router, "globex-key", "GET", &path, "").await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for path in ["/webhooks/1/secret", "/webhooks/1/pause", "/deliveries/1/again"] {
        assert_eq!(
            call(&service.router, "globex-key", "POST", path, "").await.0,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let (_, listed) = call(&service.router, "globex-key", "GET", "/deliveries", "").await;
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn a_paused_webhook_gets_what_came_meanwhile_and_a_failed_one_is_explained() {
    let service = Service::new(RecordingTransport::answering(|_, _| Answer::status(500)));
    service.call("POST", "/webhooks", books()).await;
    let (_, paused) = service.call("POST", "/webhooks/1/pause", json!(null)).await;
    assert_eq!(paused["webhook"]["paused"], json!(true), "{paused}");
    let message = service.pay("EUR").await;
    assert!(service.transport.requests().is_empty(), "it waits");
    service.call("DELETE", "/webhooks/1/pause", json!(null)).await;
    service.hooks.deliver_due().await.expect("delivered");
    let (_, told) = service.call("GET", &format!("/messages/{message}"), json!(null)).await;
    assert_eq!(told["webhooks"][0]["last_attempt"]["outcome"]["answered"]["status"], 500, "{told}");
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_and_a_delivery_is_sent_again() {
    let service = Service::new(RecordingTransport::new());
    let (_, created) = service.call("POST", "/webhooks", books()).await;
    let (_, rotated) = service.call("POST", "/webhooks/1/secret", json!(null)).await;
    assert!(rotated["secret"].is_string() && rotated["secret"] != created["secret"], "{rotated}");
    service.pay("EUR").await;
    let (status, again) = service.call("POST", "/deliveries/1/again", json!(null)).await;
    assert_eq!((status, again), (StatusCode::OK, json!({"delivery": 2})));
    service.hooks.deliver_due().await.expect("delivered");
    let requests = service.transport.requests();
    let [first, second] = &requests[..] else { panic!("two requests, not {}", requests.len()) };
    assert_eq!(first.headers()["webhook-id"], second.headers()["webhook-id"]);
    let signatures = first.headers()["webhook-signature"].to_str().expect("text");
    assert_eq!(signatures.split(' ').count(), 2, "{signatures}");
}

#[tokio::test]
async fn what_was_given_up_is_recovered_when_the_receiver_works_again() {
    let status = |path: &str| if path == "/hook" { 500 } else { 200 };
    let service =
        Service::new(RecordingTransport::answering(move |it, _| Answer::status(status(it.uri().path()))));
    service.call("POST", "/webhooks", books()).await;
    service.pay("EUR").await;
    for _ in 1..10 {
        service.clock.advance(Duration::from_secs(30 * 60 * 60));
        service.hooks.deliver_due().await.expect("delivered");
    }
    let mut mended = books();
    mended["url"] = json!("https://books.example.com/mended");
    let (_, shown) = service.call("PUT", "/webhooks/1", mended).await;
    assert_eq!(shown["webhook"]["enabled"], true, "{shown}");
    let (status, recovered) = service.call("POST", "/webhooks/1/recover", json!({"since": 0})).await;
    assert_eq!((status, &recovered["made"]), (StatusCode::OK, &json!(1)), "{recovered}");
    service.hooks.deliver_due().await.expect("delivered");
    let (_, listed) = service.call("GET", "/deliveries?state=delivered", json!(null)).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
}
