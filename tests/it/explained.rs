//! `explain` says how the last attempts ended, to each reader as much as it may see.

use std::time::Duration;

use hookwire::model::{FailureKind, MessageId, MessageQuery, Outcome};
use hookwire::policy::Policy;
use hookwire::registry::Backlog;
use hookwire::retry::RetryPolicy;
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::{Call, Fault, FaultyStore};
use hookwire::{DeliveryQuery, WebhookDraft, assist};
use serde_json::json;

use crate::seed::support::{Answer, RecordingTransport, Service, create, event, named};

fn draft() -> WebhookDraft {
    named("hook").subscribe(assist::DEVICE_ADD)
}

async fn told(tenant: &Tenant, id: &MessageId) -> String {
    tenant.explain(id).await.expect("published").to_string()
}

/// Publishes to a webhook, and sends what is due after each of these waits.
async fn sent(service: &Service, waits: impl IntoIterator<Item = Duration>) -> MessageId {
    let acme = service.acme();
    create(&acme, &draft()).await;
    let id = acme.publish(event(assist::DEVICE_ADD)).await.expect("published").message_id().clone();
    service.deliver().await;
    for wait in waits {
        service.clock.advance(wait);
        service.deliver().await;
    }
    id
}

#[tokio::test]
async fn a_delivery_that_waits_or_was_given_up_tells_what_its_last_attempt_met() {
    let script = |_: &_, nth| Answer::status(if nth == 0 { 503 } else { 500 }).body("\u{1b}[31mno\nroom");
    let retry = RetryPolicy::default().with_delays([5, 5, 5].map(Duration::from_secs));
    let service = Service::build(RecordingTransport::answering(script), |builder| {
        builder.policy(Policy::default().with_retry(retry))
    });
    let id = sent(&service, []).await;
    let waiting = told(&service.acme(), &id).await;
    assert!(waiting.contains("pending after 1 attempt"), "{waiting}");
    assert!(waiting.ends_with("; the last answered 503"), "no body for a tenant: {waiting}");
    for _ in 0..3 {
        service.clock.advance(Duration::from_secs(60 * 60));
        service.deliver().await;
    }
    let given_up = told(&service.acme(), &id).await;
    let operator = told(&service.acme().for_operator(), &id).await;
    for text in [&given_up, &operator] {
        assert!(text.contains("given up after 4 attempts; the last answered 500"), "{text}");
    }
    assert!(given_up.ends_with("answered 500"), "{given_up}");
    assert!(operator.ends_with(r#"answered 500 ("\u{1b}[31mno\nroom")"#), "{operator}");
}

#[tokio::test]
async fn a_delivery_of_a_disabled_webhook_is_due_at_no_time_and_says_why_it_waits() {
    let service = Service::on(RecordingTransport::answering(|_, _| Answer::status(410)));
    let id = sent(&service, []).await;
    let acme = service.acme();
    let pending = DeliveryQuery::new().message(id.clone());
    let due_at = async || acme.deliveries(&pending).await.expect("listed").items[0].due_at;
    let text = told(&acme, &id).await;
    let why = "waits after 1 attempt: the webhook is disabled since 2026-01-01T00:00:00.000Z, because \
        the receiver answered 410 Gone";
    assert!(text.contains(why), "{text}");
    assert!(text.contains("DEVICE_ADD published"), "named by its key: {text}");
    assert_eq!(due_at().await, None, "nothing happens at the time of its next attempt");
    let stats = acme.stats().await.expect("counted");
    assert_eq!((stats.stopped, stats.pending(), stats.oldest_due), (1, 1, None));
    let hook = acme.list().await.expect("listed")[0].hook_id();
    acme.disable(hook).await.expect("it is already");
    assert!(told(&acme, &id).await.contains("410 Gone"), "the reason is kept");
    acme.enable(hook, Backlog::Resume).await.expect("enabled");
    assert!(due_at().await.is_some());
    assert!(told(&acme, &id).await.contains("pending after 1 attempt"));
}

#[tokio::test]
async fn an_explanation_is_json_for_whoever_shows_it() {
    let service = Service::on(RecordingTransport::answering(|_, _| Answer::status(410)));
    let acme = service.acme();
    create(&acme, &named("other").subscribe(assist::DEVICE_ONLINE)).await;
    let id = sent(&service, []).await;
    let explanation = acme.explain(&id).await.expect("published");
    let mut json = serde_json::to_value(&explanation).expect("JSON");
    let waiting = json["webhooks"][1]["fate"]["waiting"].take();
    assert!(json["webhooks"][1]["last_attempt"]["took_ms"].take().is_u64());
    let at = 1_767_225_600_000_i64;
    assert_eq!(
        (&waiting["delivery"]["state"], &waiting["stopped"]["disabled"]),
        (&json!("pending"), &json!({"reason": "gone", "at": at}))
    );
    let last = json!({"number": 1, "at": at, "took_ms": null,
        "outcome": {"answered": {"status": 410, "retry_after_ms": null, "body": ""}}});
    let right = json!({"message_id": id, "event": "DEVICE_ADD", "time": at, "published_at": at, "routing": "routed",
        "has_payload": true, "webhooks": [
            {"hook_id": 1, "fate": {"skipped": "not_subscribed"}},
            {"hook_id": 2, "fate": {"waiting": null}, "last_attempt": last}]});
    assert_eq!(json, right);
    let messages = acme.messages(&MessageQuery::new()).await.expect("listed");
    let shown = json!({"items": [{"message_id": id, "event_id": assist::DEVICE_ADD, "time": at, "published_at": at, "targets": 1,
        "skipped": 1, "is_waiting": false}], "next": null});
    assert_eq!(serde_json::to_value(&messages).expect("JSON"), shown);
    let ping = acme.ping_url("ftp://a.example/").await.expect("reported");
    let ping = serde_json::to_value(&ping).expect("JSON");
    assert_eq!((&ping["took_ms"], &ping["outcome"]["invalid"][0]["rule"]), (&json!(0), &json!("not_https")));
}

#[tokio::test]
async fn a_failure_is_told_by_its_kind_and_its_details_to_the_operator_alone() {
    let service = Service::on(RecordingTransport::answering(|_, _| Answer::fail(FailureKind::Connect)));
    let id = sent(&service, [Duration::from_secs(60)]).await;
    let tenant = told(&service.acme(), &id).await;
    assert!(tenant.ends_with("; the last failed: could not connect"), "{tenant}");
    let operator = told(&service.acme().for_operator(), &id).await;
    assert!(operator.contains("as the test says"), "{operator}");
}

#[tokio::test]
async fn a_tenant_sees_bodies_where_the_service_shows_them() {
    let transport = RecordingTransport::answering(|_, _| Answer::status(422).body("no such key"));
    let service = Service::build(transport, |builder| builder.show_response_bodies());
    let id = sent(&service, []).await;
    let tenant = told(&service.acme(), &id).await;
    assert!(tenant.ends_with(r#"; the last answered 422 ("no such key")"#), "{tenant}");
}

#[tokio::test]
async fn a_delivery_that_arrived_tells_of_no_attempt() {
    let service = Service::on(RecordingTransport::answering(|_, nth| Answer::status([500, 200][nth])));
    let id = sent(&service, [Duration::from_secs(60)]).await;
    let explanation = service.acme().explain(&id).await.expect("published");
    assert!(explanation.last_attempts.is_empty());
    assert!(explanation.to_string().ends_with("delivered after 2 attempts"), "{explanation}");
}

#[tokio::test]
async fn attempts_of_many_deliveries_are_read_by_one_call() {
    let once = |call, nth| match call {
        Call::Attempts if nth > 0 => Fault::Before,
        _ => Fault::None,
    };
    let service = || {
        let transport = RecordingTransport::answering(|_, _| Answer::status(500).body("words"));
        Service::build(transport, |builder| builder.store(FaultyStore::new(MemoryStore::new(), once)))
    };
    let explained = service();
    create(&explained.acme(), &named("other").subscribe(assist::DEVICE_ADD)).await;
    let id = sent(&explained, []).await;
    let explanation = explained.acme().explain(&id).await.expect("one call");
    assert_eq!(explanation.last_attempts.len(), 2);
    let listed = service();
    create(&listed.acme(), &named("other").subscribe(assist::DEVICE_ADD)).await;
    sent(&listed, []).await;
    let page = listed.acme().deliveries_with_attempts(&DeliveryQuery::new()).await.expect("one call");
    let json = serde_json::to_value(&page).expect("JSON");
    for (item, hook) in page.items.iter().zip([2, 1]) {
        assert_eq!((item.delivery.hook_id.get(), item.attempts.len()), (hook, 1), "newest first");
        let Outcome::Answered { body, .. } = &item.attempts[0].outcome else { panic!("it was answered") };
        assert_eq!(body, "", "a tenant sees no body");
    }
    assert_eq!(json["items"][1]["delivery"]["hook_id"], 1);
    assert_eq!(json["items"][1]["attempts"][0]["outcome"]["answered"]["status"], 500);
}
