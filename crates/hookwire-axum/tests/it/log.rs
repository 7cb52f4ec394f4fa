//! What was sent: messages, deliveries, pings, recovery.

use hookwire::testing::{Answer, RecordingTransport};
use hookwire::{Event, TenantId, assist};
use serde_json::json;

use crate::support::Host;

async fn registered(host: &Host) {
    let draft = json!({"name": "Log", "url": "https://hooks.example.com/in", "events": ["DEVICE_ONLINE"]});
    assert_eq!(host.acme().post("/webhooks", draft).await.status, 201);
}

async fn publish(host: &Host) -> String {
    let event = Event::new(assist::DEVICE_ONLINE, &json!({"deviceName": "LAB-4"})).expect("JSON");
    let acme = host.hooks.tenant(TenantId::new("acme").expect("valid"));
    acme.publish(event).await.expect("published").message_id().to_string()
}

#[tokio::test]
async fn a_failure_is_listed_explained_and_made_again() {
    let transport = RecordingTransport::answering(|_, nth| Answer::status(if nth == 0 { 500 } else { 200 }));
    let host = Host::new(transport, hookwire_axum::plain::router);
    registered(&host).await;
    let id = publish(&host).await;
    host.hooks.deliver_due().await.expect("tried");
    let listed = host.acme().get("/deliveries?webhook=1&state=pending&event=DEVICE_ONLINE").await;
    let delivery = &listed.body["items"][0];
    assert_eq!(delivery["message"], json!(id), "{}", listed.text);
    assert_eq!((&delivery["event"], &delivery["webhook"]), (&json!("DEVICE_ONLINE"), &json!("1")));
    assert_eq!(delivery["attempts"][0]["status"], 500);
    let explained = host.acme().get(&format!("/messages/{id}")).await;
    assert_eq!(explained.body["webhooks"][0]["fate"], "delivery", "{}", explained.text);
    assert_eq!(explained.body["webhooks"][0]["delivery"]["attempts"][0]["told"], "answered 500");
    let again = host
        .acme()
        .post(&format!("/deliveries/{}/redeliver", delivery["id"].as_str().expect("an id")), json!({}))
        .await;
    assert_eq!(again.status, 201, "{}", again.text);
    let new = host.acme().post(&format!("/messages/{id}/redeliver"), json!({"webhook": "1"})).await;
    assert_eq!(new.status, 201, "{}", new.text);
    assert_ne!(new.body["message"], json!(id));
    host.hooks.deliver_due().await.expect("made");
    assert_eq!(host.transport.requests().len(), 3);
    let told = host.acme().get("/webhooks/1/statistics").await;
    assert_eq!(told.body["recent"]["successes"], 2, "{}", told.text);
    assert_eq!(
        (&told.body["hours"][0]["attempts"], &told.body["hours"][0]["successes"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(host.acme().get("/statistics").await.body["deliveries"]["scheduled"], 1);
    assert_eq!(host.acme().send("DELETE", &format!("/messages/{id}/payload"), json!({})).await.status, 204);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let host = Host::assist();
    let draft =
        json!({"name": "Log", "url": "https://hooks.example.com/in", "subscriptions": [{"event_id": 13}]});
    host.acme().post("/webhooks", draft).await;
    let mut published = Vec::new();
    for _ in 0..5 {
        published.insert(0, publish(&host).await);
    }
    let (mut listed, mut path) = (Vec::new(), "/messages?limit=2&event=13".to_owned());
    loop {
        let page = host.acme().get(&path).await;
        let items = page.body["items"].as_array().expect("items").clone();
        assert!(items.len() <= 2);
        listed.extend(items.into_iter().map(|it| it["message_id"].as_str().expect("an id").to_owned()));
        let Some(next) = page.body["next"].as_str() else { break };
        path = format!("/messages?limit=2&event=13&after={next}");
    }
    assert_eq!(listed, published);
}

#[tokio::test]
async fn pings_tell_what_came_of_them() {
    let host = Host::plain();
    registered(&host).await;
    let bare = host.acme().post("/ping", json!({"url": "https://hooks.example.com/in"})).await;
    assert_eq!(
        (&bare.body["is_success"], &bare.body["told"]),
        (&json!(true), &json!("answered 200")),
        "{}",
        bare.text
    );
    let refused = host.acme().post("/ping", json!({"url": "http://hooks.example.com/s3cret"})).await;
    assert_eq!((refused.status, &refused.body["is_success"]), (200, &json!(false)));
    assert_eq!(refused.body["errors"][0]["code"], "not_https");
    assert!(!refused.text.contains("s3cret"));
    let sample = host
        .acme()
        .post("/ping", json!({"url": "https://hooks.example.com/in", "event": "DEVICE_ONLINE"}))
        .await;
    assert_eq!(sample.body["is_success"], true);
    let signed = host.acme().post("/webhooks/1/ping", json!({"event": "DEVICE_ONLINE"})).await;
    assert_eq!(signed.body["is_success"], true, "{}", signed.text);
    let unknown = host.acme().post("/webhooks/1/ping", json!({"event": "NONE"})).await;
    assert_eq!((unknown.status, unknown.problem()), (422, "unknown_event"));
    let checked = host.acme().post("/webhooks/1/check-receiver", json!({})).await;
    assert_eq!(checked.body["is_passed"], false, "it accepts everything: {}", checked.text);
    assert!(checked.body["told"].as_str().expect("text").contains("forgeries"), "{}", checked.text);
    assert_eq!(host.transport.requests().len(), 8);
}

#[tokio::test]
async fn what_was_missed_is_recovered_by_an_operation() {
    let host = Host::plain();
    registered(&host).await;
    host.acme().post("/webhooks/1/disable", json!({})).await;
    for _ in 0..150 {
        publish(&host).await;
    }
    host.acme().post("/webhooks/1/enable", json!({})).await;
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    let begun = host.acme().post("/webhooks/1/recover-skipped", since.clone()).await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.body["id"].as_str().expect("an id").to_owned();
    let path = format!("/operations/{id}");
    assert!(begun.header("location").ends_with(&path));
    let other = host.client("other", "ZohoAssist.webhooks.ALL");
    assert_eq!(other.get(&path).await.status, 404);
    let mut shown = host.acme().get(&path).await;
    while shown.body["state"] == "running" {
        tokio::task::yield_now().await;
        shown = host.acme().get(&path).await;
    }
    assert_eq!((&shown.body["state"], &shown.body["made"]), (&json!("done"), &json!(150)), "{}", shown.text);
    let cancelled = host.acme().send("DELETE", &path, json!({})).await;
    assert_eq!(cancelled.body["state"], "done", "it had ended");
    let none = host.acme().post("/webhooks/9/recover", since).await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn an_operation_that_is_cancelled_makes_no_more() {
    let host = Host::plain();
    registered(&host).await;
    host.acme().post("/webhooks/1/disable", json!({})).await;
    for _ in 0..250 {
        publish(&host).await;
    }
    host.acme().post("/webhooks/1/enable", json!({})).await;
    // On one thread, and without waiting between the two calls, no second step is made before the cancellation.
    let begun =
        host.acme().post("/webhooks/1/recover-skipped", json!({"since": "2020-01-01T00:00:00Z"})).await;
    let path = format!("/operations/{}", begun.body["id"].as_str().expect("an id"));
    let cancelled = host.acme().send("DELETE", &path, json!({})).await;
    assert_eq!(cancelled.body["state"], "cancelled", "{}", cancelled.text);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let shown = host.acme().get(&path).await;
    assert_eq!(shown.body["state"], "cancelled");
    assert!(shown.body["made"].as_u64().expect("a number") < 250, "{}", shown.text);
}

#[tokio::test]
async fn events_and_departments_are_listed_to_choose_from() {
    let host = Host::plain();
    let listed = host.acme().get("/event-types").await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(18));
    let module = listed.body["items"][0]["module"].as_str().expect("text").replace(' ', "%20");
    let of_one = host.acme().get(&format!("/event-types?module={module}")).await;
    let number = of_one.body["items"].as_array().map_or(0, Vec::len);
    assert!((1..18).contains(&number), "{number} of {module}");
    assert_eq!(host.acme().get("/departments").await.body["items"], json!([{"id": 7, "name": "Sales"}]));
}
