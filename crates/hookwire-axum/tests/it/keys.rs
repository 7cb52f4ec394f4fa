//! Creations with an `Idempotency-Key`.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Host};

/// The draft of a webhook in the names of either view.
fn drafts() -> [(Host, Value); 2] {
    let url = "https://hooks.example.com/in";
    let assist = json!({"name": "Log", "url": url, "subscriptions": [{"event_id": 13, "dept_ids": [7]}]});
    let plain =
        json!({"name": "Log", "url": url, "events": [{"event": "DEVICE_ONLINE", "departments": [7]}]});
    [(Host::assist(), assist), (Host::plain(), plain)]
}

fn renamed(draft: &Value, name: &str) -> Value {
    let mut draft = draft.clone();
    draft["name"] = name.into();
    draft
}

async fn post(client: Client<'_>, key: &str, draft: &Value) -> Answer {
    client.with("idempotency-key", key).post("/webhooks", draft.clone()).await
}

#[tokio::test]
async fn a_repeated_creation_is_answered_with_the_webhook_and_no_secret() {
    for (host, draft) in drafts() {
        let first = post(host.acme(), "0b6d2f5c", &draft).await;
        assert_eq!((first.status, first.header("location")), (201, "webhooks/1"), "{}", first.text);
        assert!(first.body["secret"].is_string());
        let again = post(host.acme(), "0b6d2f5c", &draft).await;
        assert_eq!((again.status, again.header("location")), (200, "webhooks/1"), "{}", again.text);
        assert_eq!(again.body, json!({"webhook": first.body["webhook"]}));
        host.acme().send("PATCH", "/webhooks/1", json!({"name": "Journal"})).await;
        let changed = post(host.acme(), "0b6d2f5c", &draft).await;
        assert_eq!(
            (changed.status, &changed.body["webhook"]["name"]),
            (200, &json!("Journal")),
            "as it is now"
        );
        for (key, draft) in [("other", draft.clone()), ("0B6D2F5C", draft.clone())] {
            assert_eq!(post(host.acme(), key, &draft).await.status, 201, "{key} is another key");
        }
        let globex = host.client("globex", "ZohoAssist.webhooks.ALL");
        assert_eq!(post(globex, "0b6d2f5c", &draft).await.status, 201, "another tenant's");
        assert_eq!(host.acme().post("/webhooks", draft.clone()).await.status, 201, "without a key");
        host.acme().send("DELETE", "/webhooks/1", json!({})).await;
        assert_eq!(post(host.acme(), "0b6d2f5c", &draft).await.status, 201, "its key may be used again");
    }
}

#[tokio::test]
async fn other_content_under_the_same_key_is_refused() {
    for (host, draft) in drafts() {
        post(host.acme(), "k", &draft).await;
        for other in [renamed(&draft, "Lag"), renamed(&draft, ""), json!({})] {
            let refused = post(host.acme(), "k", &other).await;
            assert_eq!((refused.status, refused.problem()), (422, "creation_key_reused"), "{}", refused.text);
        }
        assert_eq!(host.acme().get("/webhooks").await.body["items"].as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn a_creation_that_was_refused_does_not_use_up_its_key() {
    for (host, draft) in drafts() {
        assert_eq!(post(host.acme(), "k", &renamed(&draft, "")).await.problem(), "invalid");
        assert_eq!(post(host.acme(), "k", &draft).await.status, 201);
    }
}

#[tokio::test]
async fn a_malformed_key_is_refused_without_being_repeated() {
    for (host, draft) in drafts() {
        for key in ["", "two words", "tab\there", "k\u{e9}y", &"s3cret".repeat(50)] {
            let refused = post(host.acme(), key, &draft).await;
            assert_eq!((refused.status, refused.problem()), (400, "bad_request"), "{key}: {}", refused.text);
            assert!(
                refused.text.contains("Idempotency-Key") && !refused.text.contains("s3cret"),
                "{}",
                refused.text
            );
        }
        assert_eq!(post(host.acme(), &"k".repeat(255), &draft).await.status, 201);
        let twice = host.acme().with("idempotency-key", "a").and("idempotency-key", "b");
        assert_eq!(twice.post("/webhooks", draft.clone()).await.status, 400, "which of two keys is meant?");
    }
}

#[tokio::test]
async fn those_who_may_not_read_see_no_more_of_a_repeated_creation_than_its_id() {
    for (host, draft) in drafts() {
        let creator = || host.client("acme", "ZohoAssist.webhooks.CREATE");
        assert_eq!(post(creator(), "k", &draft).await.status, 201);
        let again = post(creator(), "k", &draft).await;
        assert_eq!((again.status, again.header("location")), (204, "webhooks/1"), "{}", again.text);
        assert_eq!(again.text, "");
        let reader = host.client("acme", "ZohoAssist.webhooks.READ");
        assert_eq!(post(reader, "k", &draft).await.status, 403);
    }
}
