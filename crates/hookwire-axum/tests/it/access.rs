//! Who may do what.

use serde_json::{Value, json};

use crate::support::Host;

/// A body that each operation takes.
fn body(schema: &str) -> Value {
    match schema {
        "Draft" => json!({"name": "b", "url": "https://hooks.example.com/b", "events": ["DEVICE_ONLINE"]}),
        "PingUrl" => json!({"url": "https://hooks.example.com/"}),
        "Since" => json!({"since": "2026-01-01T00:00:00Z"}),
        "AsNew" => json!({"webhook": "1"}),
        _ => json!({}),
    }
}

/// Calls each operation of the document with one scope, and returns those that were refused for a missing scope.
async fn refused_for(scope: &str) -> (Vec<String>, Vec<String>) {
    let document = hookwire_axum::plain::openapi();
    let (mut refused, mut needed) = (Vec::new(), Vec::new());
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let host = Host::plain();
            host.acme().post("/webhooks", body("Draft")).await;
            let name = operation["operationId"].as_str().expect("an id").to_owned();
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let body = body(schema.unwrap_or_default().rsplit('/').next().unwrap_or_default());
            let id = if path.contains("operations") { "8d8ac610-566d-4ef0-9c22-186b2a5ed793" } else { "1" };
            let client = host.client("acme", &format!("ZohoAssist.webhooks.{scope}"));
            let answer = client.send(&method.to_uppercase(), &path.replace("{id}", id), body).await;
            assert!(answer.status < 500 && answer.status != 405, "{name}: {} {}", answer.status, answer.text);
            let has_path = !answer.text.contains("no such path");
            assert!(has_path, "{name} is in the document, and not in the router");
            if answer.problem() == "missing_scope" {
                assert_eq!(answer.status, 403, "{name}");
                refused.push(name.clone());
            }
            let told = operation["description"].as_str().expect("text");
            let is_needed = told != "Needs no scope." && !told.contains(scope);
            needed.extend(is_needed.then_some(name));
        }
    }
    (refused, needed)
}

#[tokio::test]
async fn each_operation_asks_for_the_scope_that_the_document_says() {
    for scope in ["READ", "CREATE", "UPDATE", "DELETE"] {
        let (refused, needed) = refused_for(scope).await;
        assert_eq!(refused, needed, "with the scope {scope} alone");
    }
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let host = Host::assist();
    let refused = host.client("acme", "ZohoAssist.webhooks.READ").post("/webhooks", json!({})).await;
    assert_eq!((refused.status, refused.problem()), (403, "missing_scope"));
    assert!(refused.text.contains("ZohoAssist.webhooks.CREATE"), "{}", refused.text);
}

#[tokio::test]
async fn who_may_change_and_not_read_is_not_shown_the_webhook() {
    let host = Host::plain();
    host.acme().post("/webhooks", body("Draft")).await;
    let updater = host.client("acme", "ZohoAssist.webhooks.UPDATE");
    let changed = updater.send("PATCH", "/webhooks/1", json!({"name": "c"})).await;
    assert_eq!((changed.status, changed.text.as_str()), (204, ""));
    assert_eq!(updater.get("/webhooks/1").await.status, 403);
    assert_eq!(host.acme().get("/webhooks/1").await.body["webhook"]["name"], "c");
}

#[tokio::test]
async fn a_tenant_has_nothing_of_another() {
    let host = Host::plain();
    host.acme().post("/webhooks", body("Draft")).await;
    let other = host.client("other", "ZohoAssist.webhooks.ALL");
    assert_eq!(other.get("/webhooks").await.body["items"], json!([]));
    for (method, path) in
        [("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/pause"), ("POST", "/reveal-secret")]
    {
        let answer = other.send(method, &format!("/webhooks/1{path}"), json!({})).await;
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    assert_eq!(host.acme().get("/webhooks").await.body["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn what_the_host_refuses_is_answered_in_the_hosts_words() {
    let host = Host::plain();
    let nobody = host.client("acme", "nonsense").get("/webhooks").await;
    assert_eq!((nobody.status, nobody.text.as_str()), (401, ""));
    assert_eq!(host.client("acme", "nonsense").get("/openapi.json").await.status, 200);
}
