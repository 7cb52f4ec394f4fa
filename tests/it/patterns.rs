//! Subscriptions to patterns of events, through the service.

use std::sync::Arc;

use hookwire::model::{Departments, EventPattern, EventType, Rule, Status, Subscription, WebhookPatch};
use hookwire::service::Tenant;
use hookwire::store::MemoryStore;
use hookwire::testing::RecordingTransport;
use hookwire::{Catalog, DeptId, Event, EventId, TenantId, Webhooks};
use serde_json::json;

use crate::seed::support::{Service, from_json, invalid, named};

const PAID: EventId = EventId::new(1);
const SENT: EventId = EventId::new(2);
const LATER: EventId = EventId::new(3);

/// A service of one release of the host: its catalog has these events.
fn release(store: &Arc<MemoryStore>, events: &[(EventId, &str)]) -> Webhooks {
    let event = |(id, key): &(EventId, &str)| EventType::new(*id, *key, "name", &json!({}));
    let builder = events.iter().map(event).fold(Catalog::builder(), |builder, event| builder.event(event));
    let catalog = builder.allow_patterns().build().expect("sound");
    let builder = Webhooks::builder(catalog).store(Arc::clone(store)).transport(RecordingTransport::new());
    builder.build().expect("a sound service")
}

fn acme(hooks: &Webhooks) -> Tenant {
    hooks.tenant(TenantId::new("acme").expect("valid"))
}

/// Publishes an event, and returns how many webhooks get it.
async fn webhooks_of(tenant: &Tenant, event: Event) -> usize {
    tenant.publish(event).await.expect("known").webhooks()
}

fn event(id: EventId) -> Event {
    Event::new(id, &json!({})).expect("JSON")
}

#[tokio::test]
async fn a_pattern_gets_events_of_later_releases_too() {
    let store = Arc::new(MemoryStore::new());
    let first = release(&store, &[(PAID, "invoice.paid"), (SENT, "order.sent")]);
    for (name, pattern) in [("all", "*"), ("invoices", "invoice.*"), ("orders", "order.*")] {
        acme(&first).create(&named(name).subscribe_matching(pattern)).await.expect("sound");
    }
    assert_eq!(webhooks_of(&acme(&first), event(PAID)).await, 2);
    let later = [(PAID, "invoice.paid"), (SENT, "order.sent"), (LATER, "invoice.overdue")];
    let second = release(&store, &later);
    assert_eq!(webhooks_of(&acme(&second), event(LATER)).await, 2);
    let document = acme(&second).to_sql_document(&event(LATER));
    store.publish_sql_document(&document).expect("its own text");
    assert_eq!(second.deliver_due().await.expect("in memory"), 2 + 2 + 2, "by SQL alike");
}

#[tokio::test]
async fn the_subscription_by_id_decides_beside_a_pattern() {
    let hooks = release(&Arc::new(MemoryStore::new()), &[(PAID, "invoice.paid"), (SENT, "invoice.sent")]);
    let acme = acme(&hooks);
    let seven = named("a").subscribe_matching("*").subscribe_in(PAID, [DeptId::new(7)]);
    acme.create(&seven).await.expect("sound");
    assert_eq!(webhooks_of(&acme, event(PAID).department(DeptId::new(7))).await, 1);
    assert_eq!(webhooks_of(&acme, event(PAID).department(DeptId::new(8))).await, 0);
    assert_eq!(webhooks_of(&acme, event(SENT).department(DeptId::new(8))).await, 1);
}

#[tokio::test]
async fn a_pattern_from_code_is_that_from_json_and_an_edit_keeps_it() {
    let hooks = release(&Arc::new(MemoryStore::new()), &[(PAID, "invoice.paid")]);
    let acme = acme(&hooks);
    let pattern = EventPattern::new("invoice.*").expect("a pattern");
    let subscription = Subscription::matching(pattern, Departments::All);
    let json = from_json(json!({"name": "a", "url": "https://a.example/",
        "subscriptions": [{"events": "invoice.*"}]}));
    for draft in [named("a").subscribe_to(&subscription), named("a").subscribe_matching("invoice.*"), json] {
        let created = acme.create(&draft).await.expect("sound").webhook().clone();
        assert_eq!(created.subscriptions(), std::slice::from_ref(&subscription));
        let off = WebhookPatch::new().status(Status::Disabled);
        let patched = acme.patch(created.hook_id(), &off).await.expect("sound");
        assert_eq!(patched.webhook().subscriptions(), created.subscriptions());
    }
}

#[tokio::test]
async fn zoho_assist_has_no_patterns() {
    let acme = Service::new().acme();
    let error = acme.create(&named("a").subscribe_matching("*")).await.expect_err("not offered");
    assert_eq!(invalid(&error), [("subscriptions[0].events", Rule::NotOffered)]);
}
