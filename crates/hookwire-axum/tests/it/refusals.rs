//! What is refused, and how that is told.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Host;

fn pointers(body: &Value) -> Vec<(&str, &str)> {
    let errors = body["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|it| (it["pointer"].as_str().expect("text"), it["code"].as_str().expect("text")))
        .collect()
}

#[tokio::test]
async fn every_fault_of_a_body_is_told_at_once_in_the_names_of_the_view() {
    let (assist, plain) = (Host::assist(), Host::plain());
    let posted = json!({"url": "http://hooks.example.com/s3cret", "status": "on", "subscriptions": [{"event_id": 99}]});
    let refused = assist.acme().post("/webhooks", posted).await;
    assert_eq!((refused.status, refused.problem()), (422, "invalid"), "{}", refused.text);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let expected = [
        ("/name", "required"),
        ("/url", "not_https"),
        ("/status", "wrong_type"),
        ("/subscriptions/0/event_id", "unknown_event"),
    ];
    assert_eq!(pointers(&refused.body), expected);
    assert!(!refused.text.contains("s3cret"), "no URL is repeated");
    let posted = json!({"url": "http://hooks.example.com/s3cret", "enabled": "on", "events": ["A"]});
    let refused = plain.acme().post("/webhooks", posted).await;
    let expected = [
        ("/name", "required"),
        ("/url", "not_https"),
        ("/enabled", "wrong_type"),
        ("/events/0", "unknown_event"),
    ];
    assert_eq!(pointers(&refused.body), expected, "{}", refused.text);
    assert!(plain.acme().get("/webhooks").await.body["items"] == json!([]), "nothing was made");
}

#[tokio::test]
async fn every_fault_of_options_is_told_at_once() {
    let host = Host::plain();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
    host.acme().post("/webhooks", draft).await;
    let options =
        json!({"rate": 0, "max_in_flight": 0, "headers": {"host": "inside", "x.y": "s3cret\u{7f}"}});
    let refused = host.acme().send("PUT", "/webhooks/1/options", options).await;
    assert_eq!(refused.status, 422);
    let pointers: Vec<_> = pointers(&refused.body).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/rate", "/max_in_flight", "/headers/host", "/headers/x.y"], "{}", refused.text);
    assert!(!refused.text.contains("s3cret"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_without_being_repeated() {
    let host = Host::plain();
    let post = async |text: &str| host.acme().call(Method::POST, "/webhooks", Some(text.to_owned())).await;
    for text in [r#"{"name": "s3cret""#, "[]", "\"s3cret\"", "1"] {
        let refused = post(text).await;
        assert_eq!((refused.status, refused.problem()), (400, "malformed"), "{text}: {}", refused.text);
        assert!(!refused.text.contains("s3cret"), "{}", refused.text);
    }
    for (method, path) in [(Method::PUT, "/webhooks/1/options"), (Method::PATCH, "/webhooks/1")] {
        let refused = host.acme().call(method, path, None).await;
        assert_eq!(refused.status, 400, "nothing is no request to set everything back: {path}");
    }
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(300_000));
    let refused = post(&large).await;
    assert_eq!((refused.status, refused.problem()), (413, "body_too_large"));
    let refused =
        host.acme().with("content-type", "text/plain").post("/webhooks", json!({"name": "x"})).await;
    assert_eq!((refused.status, refused.problem()), (415, "not_json"));
    let refused = host.acme().post("/webhooks/1/enable", json!({"wating": "drop"})).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("wating"), "names of attributes are told: {}", refused.text);
}

#[tokio::test]
async fn queries_are_refused_for_what_they_do_not_know() {
    let host = Host::plain();
    for (path, told) in [
        ("/webhooks?page=2", "page"),
        ("/deliveries?limit=101", "limit"),
        ("/deliveries?limit=0", "limit"),
        ("/deliveries?webhok=1", "webhok"),
        ("/deliveries?state=lost", "state"),
        ("/deliveries?event=NO_SUCH", "event"),
        ("/deliveries?limit=5&limit=6", "limit"),
        ("/messages?since=yesterday", "since"),
        ("/messages?after=garbage", "page"),
        ("/event-types?modul=x", "modul"),
        ("/statistics?x=1", "x"),
    ] {
        let refused = host.acme().get(path).await;
        assert!([400, 422].contains(&refused.status), "{path}: {}", refused.text);
        assert!(refused.text.contains(told), "{path}: {}", refused.text);
    }
}

#[tokio::test]
async fn what_there_is_not_is_told_as_a_problem_too() {
    let host = Host::plain();
    let acme = host.acme();
    for path in ["/webhooks/7", "/webhooks/seven", "/messages/none", "/operations/x", "/no/such"] {
        let refused = acme.get(path).await;
        assert_eq!((refused.status, refused.problem()), (404, "not_found"), "{path}: {}", refused.text);
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let refused = acme.send("PUT", "/webhooks", json!({})).await;
    assert_eq!((refused.status, refused.problem()), (405, "method_not_allowed"));
    assert!(refused.header("allow").contains("POST"), "{}", refused.header("allow"));
}

#[tokio::test]
async fn a_limit_is_told_with_its_numbers() {
    let host = Host::assist();
    for n in 0..=20 {
        let draft = json!({"name": format!("{n}"), "url": "https://hooks.example.com/in",
            "subscriptions": [{"event_id": n % 10 + 1}]});
        let created = host.acme().post("/webhooks", draft).await;
        if n == 20 {
            assert_eq!((created.status, created.problem()), (409, "limit_reached"), "{}", created.text);
            assert_eq!(created.body["errors"][0]["params"], json!({"count": "20", "max": "20"}));
        } else {
            assert_eq!(created.status, 201, "{}", created.text);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_even_where_none_is_needed() {
    let host = Host::plain();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
    host.acme().post("/webhooks", draft).await;
    for path in ["enable", "rotate-secret", "recover", "ping"] {
        for body in [json!([]), json!([1]), json!("x"), json!(null), json!(7)] {
            let refused = host.acme().post(&format!("/webhooks/1/{path}"), body.clone()).await;
            assert_eq!(
                (refused.status, refused.problem()),
                (400, "malformed"),
                "{path}, {body}: {}",
                refused.text
            );
        }
    }
    assert_eq!(host.acme().send("PATCH", "/webhooks/1", json!([])).await.status, 400);
    assert_eq!(host.acme().post("/webhooks", json!([])).await.status, 400);
}
