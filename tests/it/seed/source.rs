//! "Source ID is a customizable ID assigned to a webhook to prevent the loop of notifications triggered for
//! the same event", and `ignore_src`: "Client ID excluded from triggering webhooks".

use hookwire::model::{Rule, WebhookPatch};
use hookwire::routing::SkipReason;
use hookwire::service::{Fate, Tenant};
use hookwire::{Event, SourceId, assist};
use serde_json::json;

use super::support::{Service, create, event, from_json, invalid, named};

fn from_source(source: &str) -> Event {
    event(assist::DEVICE_ADD).source(SourceId::new(source).expect("a plain name"))
}

async fn publish(tenant: &Tenant, event: Event) {
    tenant.publish(event).await.expect("the event is known");
}

#[tokio::test]
async fn a_webhook_that_ignores_a_source_does_not_hear_of_it_and_the_others_do() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("crm").ignore_source("crm-sync").subscribe(assist::DEVICE_ADD)).await;
    create(&acme, &named("billing").ignore_source("billing").subscribe(assist::DEVICE_ADD)).await;
    create(&acme, &named("log").subscribe(assist::DEVICE_ADD)).await;
    publish(&acme, from_source("crm-sync")).await;
    assert_eq!(service.heard().await, ["billing", "log"]);
}

#[tokio::test]
async fn a_client_that_reacts_to_its_own_webhook_does_not_loop() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("crm").ignore_source("crm-sync").subscribe(assist::DEVICE_ADD)).await;
    publish(&acme, from_source("agent")).await;
    let mut hops = 0;
    while !service.heard().await.is_empty() {
        hops += 1;
        publish(&acme, from_source("crm-sync")).await; // the client's write in answer
    }
    assert_eq!(hops, 1);
}

#[tokio::test]
async fn sources_match_exactly_or_not_at_all() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("crm").ignore_source("crm-sync").subscribe(assist::DEVICE_ADD)).await;
    for other in ["CRM-sync", "crm-sync ", " crm-sync", "crm", "crm-sync2"] {
        publish(&acme, from_source(other)).await;
        assert_eq!(service.heard().await, ["crm"], "{other:?}");
    }
}

#[tokio::test]
async fn no_source_never_matches() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("ignores").ignore_source("crm-sync").subscribe(assist::DEVICE_ADD)).await;
    create(&acme, &named("open").subscribe(assist::DEVICE_ADD)).await;
    publish(&acme, event(assist::DEVICE_ADD)).await;
    assert_eq!(service.heard().await, ["ignores", "open"]);
    publish(&acme, from_source("crm-sync")).await;
    assert_eq!(service.heard().await, ["open"]);
}

#[tokio::test]
async fn the_reason_is_kept_with_the_event() {
    let service = Service::new();
    let acme = service.acme();
    let crm = create(&acme, &named("crm").ignore_source("crm-sync").subscribe(assist::DEVICE_ADD)).await;
    let sent = acme.publish(from_source("crm-sync")).await.expect("known");
    acme.patch(crm.hook_id(), &WebhookPatch::new().clear_ignored_source()).await.expect("it is there");
    let why = acme.explain(sent.message_id()).await.expect("published");
    assert_eq!(sent.webhooks(), 0);
    assert_eq!(why.fates(), [(crm.hook_id(), Fate::Skipped(SkipReason::OwnSource))]);
    assert_eq!(why.record.event.source.as_ref().map(SourceId::as_str), Some("crm-sync"));
    assert!(why.to_string().contains("comes from the source that the webhook ignores"), "{why}");
}

#[tokio::test]
async fn a_source_can_be_set_and_cleared_later() {
    let service = Service::new();
    let acme = service.acme();
    let id = create(&acme, &named("crm").subscribe(assist::DEVICE_ADD)).await.hook_id();
    acme.patch(id, &WebhookPatch::new().ignore_source("crm-sync")).await.expect("it is there");
    publish(&acme, from_source("crm-sync")).await;
    assert!(service.heard().await.is_empty());
    let clear = serde_json::from_str(r#"{"ignore_src": null}"#).expect("a patch");
    acme.patch(id, &clear).await.expect("it is there");
    publish(&acme, from_source("crm-sync")).await;
    assert_eq!(service.heard().await, ["crm"]);
}

#[tokio::test]
async fn the_source_does_not_stand_in_the_body() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("log").ignore_source("mine").subscribe(assist::DEVICE_ADD)).await;
    publish(&acme, from_source("hidden-source")).await;
    let sent = service.deliver().await;
    let text = format!("{sent:?}");
    assert!(!text.contains("hidden-source") && !text.contains("mine"), "{text}");
}

#[tokio::test]
async fn an_empty_source_is_refused_and_never_none() {
    let acme = Service::new().acme();
    for (source, rule) in [("", Rule::Empty), ("a\u{0}b", Rule::Format), (&*"a".repeat(129), Rule::Format)] {
        let draft = named("a").ignore_source(source).subscribe(assist::DEVICE_ADD);
        let error = acme.create(&draft).await.expect_err("no source id");
        assert_eq!(invalid(&error), [("ignore_src", rule)], "{source:?}");
    }
    let null = json!({"name": "a", "url": "https://a.example/", "ignore_src": null,
        "subscriptions": [{"event_id": 12}]});
    assert_eq!(create(&acme, &from_json(null)).await.ignore_src(), None);
}
