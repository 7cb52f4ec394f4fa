//! `status`, 0 (disabled) or 1 (enabled).

use hookwire::model::{Delivery, DeliveryState, End, HookId, Status, WebhookPatch};
use hookwire::registry::Backlog;
use hookwire::routing::SkipReason;
use hookwire::service::{Fate, Tenant};
use hookwire::{DeliveryQuery, assist};

use super::support::{Answer, RecordingTransport, Service, create, event, named};

/// A webhook for one event, and a delivery that waits for it.
async fn with_backlog(tenant: &Tenant) -> HookId {
    let hook_id = create(tenant, &named("a").subscribe(assist::DEVICE_ADD)).await.hook_id();
    tenant.publish(event(assist::DEVICE_ADD)).await.expect("known");
    hook_id
}

async fn only_delivery(tenant: &Tenant) -> Delivery {
    let page = tenant.deliveries(&DeliveryQuery::new()).await.expect("in memory");
    assert_eq!(page.items.len(), 1);
    page.items[0].clone()
}

#[tokio::test]
async fn a_webhook_is_enabled_unless_it_asks_otherwise() {
    let acme = Service::new().acme();
    let draft = named("a").subscribe(assist::DEVICE_ADD);
    assert_eq!(create(&acme, &draft).await.status(), Status::Enabled);
    assert_eq!(create(&acme, &draft.status(Status::Disabled)).await.status(), Status::Disabled);
}

#[tokio::test]
async fn a_disabled_webhook_gets_no_event_and_the_others_do() {
    let service = Service::new();
    let acme = service.acme();
    let off = named("off").status(Status::Disabled).subscribe(assist::DEVICE_ADD);
    let off = create(&acme, &off).await.hook_id();
    create(&acme, &named("on").subscribe(assist::DEVICE_ADD)).await;
    let sent = acme.publish(event(assist::DEVICE_ADD)).await.expect("known");
    assert_eq!(service.heard().await, ["on"]);
    let why = acme.explain(sent.message_id()).await.expect("published");
    assert_eq!(why.fates()[0], (off, Fate::Skipped(SkipReason::Disabled)));
}

#[tokio::test]
async fn what_happened_while_a_webhook_was_disabled_is_not_sent_later() {
    let service = Service::new();
    let acme = service.acme();
    let draft = named("off").status(Status::Disabled).subscribe(assist::DEVICE_ADD);
    let off = create(&acme, &draft).await.hook_id();
    acme.publish(event(assist::DEVICE_ADD)).await.expect("known");
    acme.enable(off, Backlog::Resume).await.expect("it is there");
    assert!(service.heard().await.is_empty());
}

#[tokio::test]
async fn what_waited_before_a_webhook_was_disabled_goes_on_waiting() {
    let service = Service::new();
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    assert_eq!(acme.disable(id).await.expect("it is there").status(), Status::Disabled);
    assert!(service.heard().await.is_empty());
    assert_eq!(only_delivery(&acme).await.state, DeliveryState::Pending);
    assert_eq!(acme.stats().await.expect("in memory").pending(), 1);
}

#[tokio::test]
async fn enabling_resumes_what_waited() {
    let service = Service::new();
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    acme.disable(id).await.expect("it is there");
    assert_eq!(acme.enable(id, Backlog::Resume).await.expect("it is there").status(), Status::Enabled);
    assert_eq!(service.heard().await, ["a"]);
    assert_eq!(only_delivery(&acme).await.state, DeliveryState::Ended(End::Delivered));
}

#[tokio::test]
async fn enabling_can_drop_what_waited() {
    let service = Service::new();
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    acme.disable(id).await.expect("it is there");
    acme.enable(id, Backlog::Drop).await.expect("it is there");
    assert!(service.heard().await.is_empty());
    assert_eq!(only_delivery(&acme).await.state, DeliveryState::Ended(End::Cancelled));
    acme.publish(event(assist::DEVICE_ADD)).await.expect("known");
    assert_eq!(service.heard().await, ["a"], "what comes afterwards is sent");
}

#[tokio::test]
async fn a_status_can_be_patched_as_zero_and_one() {
    let service = Service::new();
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    for (json, status) in [(r#"{"status": 0}"#, Status::Disabled), (r#"{"status": "1"}"#, Status::Enabled)] {
        let patch: WebhookPatch = serde_json::from_str(json).expect("a patch");
        assert_eq!(acme.patch(id, &patch).await.expect("it is there").webhook().status(), status);
    }
    assert_eq!(service.heard().await, ["a"], "a patch that enables resumes");
}

#[tokio::test]
async fn a_replacement_that_names_no_status_keeps_it() {
    let acme = Service::new().acme();
    let draft = named("a").subscribe(assist::DEVICE_ADD);
    let id = create(&acme, &draft.clone().status(Status::Disabled)).await.hook_id();
    assert_eq!(acme.replace(id, &draft).await.expect("it is there").webhook().status(), Status::Disabled);
    let on = draft.status(Status::Enabled);
    assert_eq!(acme.replace(id, &on).await.expect("it is there").webhook().status(), Status::Enabled);
}

#[tokio::test]
async fn a_disabled_webhook_can_be_edited() {
    let acme = Service::new().acme();
    let id = with_backlog(&acme).await;
    acme.disable(id).await.expect("it is there");
    let renamed = acme.patch(id, &WebhookPatch::new().name("renamed")).await.expect("it is there");
    assert_eq!((renamed.webhook().name(), renamed.webhook().status()), ("renamed", Status::Disabled));
}

#[tokio::test]
async fn a_disabled_webhook_can_be_pinged() {
    let service = Service::new();
    let acme = service.acme();
    let draft = named("off").status(Status::Disabled).subscribe(assist::DEVICE_ADD);
    let off = create(&acme, &draft).await.hook_id();
    assert!(acme.ping_event(off, assist::DEVICE_ADD).await.expect("sent").is_success());
    assert_eq!(service.transport.requests().len(), 1);
}

#[tokio::test]
async fn a_webhook_whose_receiver_is_gone_is_disabled_with_the_reason() {
    let service = Service::on(RecordingTransport::answering(|_, nth| match nth {
        0 => Answer::status(410),
        _ => Answer::status(200),
    }));
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    assert_eq!(service.heard().await, ["a"]);
    let details = acme.details(id).await.expect("it is there");
    assert_eq!(details.webhook.status(), Status::Disabled);
    assert_eq!(
        details.disabled.and_then(|it| it.reason).expect("a reason").to_string(),
        "the receiver answered 410 Gone"
    );
    acme.enable(id, Backlog::Resume).await.expect("it is there");
    assert_eq!(acme.details(id).await.expect("it is there").disabled, None);
}

#[tokio::test]
async fn disabling_and_enabling_twice_is_harmless() {
    let service = Service::new();
    let acme = service.acme();
    let id = with_backlog(&acme).await;
    for _ in 0..2 {
        acme.disable(id).await.expect("it is there");
    }
    for _ in 0..2 {
        acme.enable(id, Backlog::Resume).await.expect("it is there");
    }
    assert_eq!(service.heard().await, ["a"]);
}
