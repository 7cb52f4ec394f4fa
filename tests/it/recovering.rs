//! Delivering anew what a webhook was skipped for, or under a new id, and erasing payloads, through the service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hookwire::model::{DeliveryState, End, HookId, MessageId, PageRequest, Status, Timestamp};
use hookwire::policy::Policy;
use hookwire::registry::Backlog;
use hookwire::store::MemoryStore;
use hookwire::testing::{Call, Fault, FaultyStore};
use hookwire::{DeptId, ErrorKind, Event, Tenant, WebhookDraft, assist};
use serde_json::json;

use crate::seed::support::{Answer, RecordingTransport, Service, create, event, named};

async fn publish(acme: &Tenant) -> MessageId {
    acme.publish(event(assist::DEVICE_ADD)).await.expect("published").message_id().clone()
}

async fn recover_all(acme: &Tenant, hook: HookId, since: Timestamp) -> usize {
    let (mut page, mut made) = (PageRequest::first().with_limit(2), 0);
    loop {
        let recovered = acme.recover_skipped(hook, since, &page).await.expect("recovered");
        made += recovered.made;
        let Some(next) = recovered.next else { return made };
        page = PageRequest::after(next).with_limit(2);
    }
}

#[tokio::test]
async fn a_webhook_gets_what_it_was_skipped_for_once_and_only_what_it_would_get_today() {
    let service = Service::on(RecordingTransport::new());
    let acme = service.acme();
    let before = publish(&acme).await;
    let hook = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
    publish(&acme).await;
    acme.disable(hook).await.expect("disabled");
    publish(&acme).await;
    acme.publish(event(assist::DEVICE_ONLINE)).await.expect("published");
    assert_eq!(recover_all(&acme, hook, Timestamp::default()).await, 0, "today it would get nothing");
    acme.enable(hook, Backlog::Resume).await.expect("enabled");
    assert_eq!(recover_all(&acme, hook, Timestamp::from_secs(i64::MAX / 2_000)).await, 0, "none is so new");
    assert_eq!(recover_all(&acme, hook, Timestamp::default()).await, 2);
    assert_eq!(recover_all(&acme, hook, Timestamp::default()).await, 0, "they are made once");
    assert_eq!(service.deliver().await.len(), 3);
    let told = acme.explain(&before).await.expect("published");
    assert_eq!(told.fates().len(), 1);
    assert!(told.to_string().contains("delivered after 1 attempt"), "{told}");
}

/// A service that counts how often an event is read, with payloads of at most 100 bytes.
fn counting() -> (Service, Arc<MemoryStore>, Arc<AtomicU64>) {
    let (store, reads) = (Arc::new(MemoryStore::new()), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&reads);
    let counting = FaultyStore::new(Arc::clone(&store), move |call, _| {
        if call == Call::Event {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Fault::None
    });
    let policy = Policy::default().with_payload_bytes(100);
    let service = Service::build(RecordingTransport::new(), |builder| builder.store(counting).policy(policy));
    (service, store, reads)
}

#[tokio::test]
async fn events_are_read_only_if_the_webhook_asks_for_more_than_their_kind() {
    let (service, store, reads) = counting();
    let acme = service.acme();
    create(&acme, &named("first").subscribe(assist::DEVICE_ADD)).await;
    for department in [7, 8, 7] {
        let event = event(assist::DEVICE_ADD).department(DeptId::new(department));
        acme.publish(event).await.expect("published");
    }
    let large = Event::new(assist::DEVICE_ADD, &"x".repeat(101)).expect("JSON");
    store.publish_sql_document(&acme.to_sql_document(&large)).expect("its own text");
    service.deliver().await;
    let taken = async |draft: &WebhookDraft| {
        let hook = create(&acme, draft).await.hook_id();
        let made = recover_all(&acme, hook, Timestamp::default()).await;
        (made, reads.swap(0, Ordering::SeqCst))
    };
    let all = named("all").subscribe(assist::DEVICE_ADD);
    assert_eq!(taken(&all).await, (3, 1), "one whose record does not tell that it could not be routed");
    let narrowed = named("narrowed").subscribe_in(assist::DEVICE_ADD, [DeptId::new(7)]);
    assert_eq!(taken(&narrowed).await, (2, 4));
    assert_eq!(taken(&named("other").subscribe(assist::DEVICE_ONLINE)).await, (0, 0));
    let disabled = named("disabled").subscribe(assist::DEVICE_ADD).status(Status::Disabled);
    assert_eq!(taken(&disabled).await, (0, 0));
}

#[tokio::test]
async fn a_message_is_sent_again_as_a_new_one_to_one_webhook() {
    let service = Service::on(RecordingTransport::new());
    let acme = service.acme();
    let hook = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
    create(&acme, &named("other").subscribe(assist::DEVICE_ADD)).await;
    let old = publish(&acme).await;
    let first = service.deliver().await;
    let new = acme.redeliver_as_new(&old, hook).await.expect("published");
    assert_ne!(new, old);
    let again = service.deliver().await;
    let [again] = &again[..] else { panic!("to one webhook: {again:?}") };
    assert_eq!(again.headers()["webhook-id"], new.as_str());
    let same = first.iter().find(|it| it.uri() == again.uri()).expect("it was sent before");
    assert_eq!(again.body(), same.body(), "with the same time and payload");
    for (message, hook) in [(&new, HookId::new(99)), (&MessageId::new("never").expect("valid"), hook)] {
        let missing = acme.redeliver_as_new(message, hook).await.expect_err("not there");
        assert_eq!(missing.kind(), &ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn an_erased_payload_is_sent_to_nobody_and_shown_to_nobody() {
    let service = Service::on(RecordingTransport::answering(|_, _| Answer::status(500).body("LAB-4?")));
    let acme = service.acme().for_operator();
    let hook = create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await.hook_id();
    let id = publish(&acme).await;
    service.deliver().await;
    acme.erase_payload(&id).await.expect("erased");
    acme.erase_payload(&id).await.expect("erased already");
    service.clock.advance(std::time::Duration::from_secs(60 * 60));
    assert_eq!(service.deliver().await.len(), 0);
    let told = acme.explain(&id).await.expect("it stays");
    assert_eq!(told.deliveries[0].state, DeliveryState::Ended(End::Erased));
    let (text, json) = (told.to_string(), json!(told).to_string());
    assert!(text.contains("not sent, because its payload was erased, after 1 attempt"), "{text}");
    assert!(!text.contains("LAB-4") && !json.contains("LAB-4"), "{text} {json}");
    let gone = acme.redeliver_as_new(&id, hook).await.expect_err("the payload is gone");
    assert_eq!(gone.kind(), &ErrorKind::NotFound);
    let unknown = acme.erase_payload(&MessageId::new("never").expect("valid")).await.expect_err("not there");
    assert_eq!(unknown.kind(), &ErrorKind::NotFound);
}
