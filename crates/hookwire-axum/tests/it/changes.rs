//! Webhooks from their creation to their end, in the names of both views.

use serde_json::json;

use crate::support::Host;

#[tokio::test]
async fn a_webhook_lives_in_the_attribute_names_of_assist() {
    let host = Host::assist();
    let acme = host.acme();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "ignore_src": "crm",
        "subscriptions": [{"event_id": 13, "dept_ids": [7]}]});
    let created = acme.post("/webhooks", draft).await;
    assert_eq!((created.status, created.header("location")), (201, "webhooks/1"), "{}", created.text);
    assert!(created.body["secret"].as_str().expect("text").starts_with("whsec_"));
    let shown = acme.get("/webhooks/1").await;
    let expected = json!({"hook_id": 1, "name": "Log", "url": "https://hooks.example.com/in", "ignore_src": "crm",
        "status": 1, "subscriptions": [{"event_id": 13, "dept_ids": [7]}]});
    assert_eq!(shown.body["webhook"], expected);
    assert_eq!(acme.get("/webhooks").await.body["items"], json!([expected]));

    let patched = acme.send("PATCH", "/webhooks/1", json!({"ignore_src": null, "desc": "d"})).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(patched.body["webhook"].get("ignore_src"), None);
    assert_eq!(patched.body["webhook"]["desc"], "d");
    let replaced = json!({"name": "Journal", "url": "https://hooks.example.com/in", "subscriptions": [{"event_id": 13}]});
    let replaced = acme.send("PUT", "/webhooks/1", replaced).await;
    assert_eq!(replaced.body["webhook"].get("desc"), None, "{}", replaced.text);
    assert_eq!(replaced.body["webhook"]["name"], "Journal");

    assert_eq!(acme.post("/webhooks/1/disable", json!({})).await.body["webhook"]["status"], 0);
    let enabled = acme.post("/webhooks/1/enable", json!({"waiting": "drop"})).await;
    assert_eq!(enabled.body["webhook"]["status"], 1);
    assert!(acme.post("/webhooks/1/pause", json!({})).await.body["paused"].is_i64());
    assert!(acme.post("/webhooks/1/resume", json!({})).await.body["paused"].is_null());
    assert_eq!(acme.send("DELETE", "/webhooks/1", json!({})).await.status, 204);
    assert_eq!(acme.get("/webhooks/1").await.status, 404);
}

#[tokio::test]
async fn a_webhook_lives_in_plain_names() {
    let host = Host::plain();
    let acme = host.acme();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "description": "d",
        "events": ["DEVICE_ONLINE", {"event": "DEVICE_OFFLINE", "departments": [7]}]});
    let created = acme.post("/webhooks", draft).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let expected = json!({"id": "1", "name": "Log", "url": "https://hooks.example.com/in", "description": "d",
        "events": ["DEVICE_ONLINE", {"event": "DEVICE_OFFLINE", "departments": [7]}], "enabled": true});
    assert_eq!(created.body["webhook"], expected);
    let patched = acme.send("PATCH", "/webhooks/1", json!({"enabled": false, "description": null})).await;
    assert_eq!(patched.body["webhook"]["enabled"], false, "{}", patched.text);
    assert_eq!(patched.body["webhook"].get("description"), None);
    assert_eq!(patched.body["webhook"]["events"], expected["events"], "what is not named stays");
    assert!(patched.body["disabled"]["at"].as_str().expect("a time").contains('T'));
    let paused = acme.post("/webhooks/1/pause", json!({})).await;
    assert_eq!(paused.body["webhook"]["paused"], true);
}

#[tokio::test]
async fn secrets_are_shown_to_those_who_may_change_the_webhook_and_the_options_without_their_values() {
    let host = Host::plain();
    let acme = host.acme();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
    let first = acme.post("/webhooks", draft).await.body["secret"].clone();
    assert_eq!(acme.post("/webhooks/1/reveal-secret", json!({})).await.body["secret"], first);
    let second =
        acme.post("/webhooks/1/rotate-secret", json!({"overlap_seconds": 0})).await.body["secret"].clone();
    assert_ne!(second, first);
    assert_eq!(acme.post("/webhooks/1/reveal-secret", json!({})).await.body["secret"], second);
    let options =
        json!({"headers": {"authorization": "Bearer hidden"}, "rate": 5, "envelope": "standard_webhooks"});
    let set = acme.send("PUT", "/webhooks/1/options", options).await;
    assert_eq!(set.body["options"]["headers"], json!(["authorization"]), "{}", set.text);
    assert_eq!(set.body["options"]["rate"], 5);
    assert!(!set.text.contains("hidden"));
}

#[tokio::test]
async fn a_change_is_made_to_the_version_that_it_expects_or_to_none() {
    let host = Host::plain();
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
    host.acme().post("/webhooks", draft).await;
    let seen = host.acme().get("/webhooks/1").await.header("etag").to_owned();
    let rename = |name: &str| json!({ "name": name });
    let first = host.acme().with("if-match", &seen).send("PATCH", "/webhooks/1", rename("a")).await;
    assert_eq!(first.status, 200, "{}", first.text);
    assert_ne!(first.header("etag"), seen);
    let second = host.acme().with("if-match", &seen).send("PATCH", "/webhooks/1", rename("b")).await;
    assert_eq!((second.status, second.problem()), (412, "outdated"), "{}", second.text);
    let changes = [
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/disable"),
        ("POST", "/pause"),
        ("POST", "/rotate-secret"),
        ("PUT", "/options"),
    ];
    for (method, path) in changes {
        let body = if method == "PUT" && path.is_empty() {
            json!({"name": "c", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]})
        } else {
            json!({})
        };
        let client = host.acme().with("if-match", &seen);
        let outdated = client.send(method, &format!("/webhooks/1{path}"), body).await;
        assert_eq!(outdated.status, 412, "{method} {path}: {}", outdated.text);
    }
    let any = host.acme().with("if-match", "*").send("PATCH", "/webhooks/1", rename("d")).await;
    assert_eq!(any.body["webhook"]["name"], "d");
    for (tag, status) in [("W/\"1\"", 412), ("\"x\"", 412), ("\"+1\"", 412), ("\"1\", \"2\"", 400)] {
        let refused = host.acme().with("if-match", tag).send("PATCH", "/webhooks/1", rename("e")).await;
        assert_eq!(refused.status, status, "{tag}");
    }
}

#[tokio::test]
async fn names_are_shown_as_they_were_given() {
    let host = Host::plain();
    let acme = host.acme();
    for name in ["<script>alert(1)</script>", "\"quoted\" & 'so'", "\u{202e}abc", "\u{1f980}\u{1d11e}"] {
        let draft = json!({"name": name, "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
        let created = acme.post("/webhooks", draft).await;
        if created.status == 201 {
            assert_eq!(created.body["webhook"]["name"], name);
        } else {
            assert_eq!(created.body["errors"][0]["pointer"], "/name", "{}", created.text);
        }
    }
}
