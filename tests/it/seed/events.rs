//! The table "Webhook Events | Event ID".

use hookwire::model::{EventType, Rule};
use hookwire::{ErrorKind, Event, EventId, WebhookDraft, assist};
use serde_json::{json, value::RawValue};

use super::support::{Service, body, create, event, from_json, invalid, named};

/// The table as it stands on the page, and the constant that we gave each row.
const TABLE: [(&str, u32, EventId); 18] = [
    ("Outbound Session Start", 0, assist::OUTBOUND_SESSION_START),
    ("Session Start - Screen Share", 1, assist::SCREEN_SHARE_START),
    ("Session End - Remote Support", 2, assist::REMOTE_SUPPORT_END),
    ("Session End - Screen Share", 3, assist::SCREEN_SHARE_END),
    ("Customer Join - Remote Support", 4, assist::CUSTOMER_JOIN),
    ("Inbound Request Create", 5, assist::INBOUND_REQUEST_CREATE),
    ("Inbound Request Transfer", 6, assist::INBOUND_REQUEST_TRANSFER),
    ("Inbound Request Delegate", 7, assist::INBOUND_REQUEST_DELEGATE),
    ("Inbound Request Picked", 8, assist::INBOUND_REQUEST_PICKED),
    ("Inbound Request Declined", 9, assist::INBOUND_REQUEST_DECLINED),
    ("Inbound Request Dropped", 10, assist::INBOUND_REQUEST_DROPPED),
    ("Inbound Request Expired", 11, assist::INBOUND_REQUEST_EXPIRED),
    ("Device Add", 12, assist::DEVICE_ADD),
    ("Device Online", 13, assist::DEVICE_ONLINE),
    ("Device Offline", 14, assist::DEVICE_OFFLINE),
    ("Device Delete", 15, assist::DEVICE_DELETE),
    ("Session Start", 16, assist::UNATTENDED_SESSION_START),
    ("Session End", 17, assist::UNATTENDED_SESSION_END),
];

fn every_event() -> WebhookDraft {
    TABLE.iter().fold(named("all"), |draft, (_, _, id)| draft.subscribe(*id))
}

#[test]
fn the_catalog_holds_the_rows_of_the_page_and_no_other() {
    let catalog = assist::catalog();
    let rows: Vec<_> = catalog.iter().map(|it| (it.name(), it.id().get(), it.id())).collect();
    assert_eq!(rows, TABLE);
}

#[test]
fn the_two_keys_that_users_have_seen_are_theirs() {
    let catalog = assist::catalog();
    let key = |id| catalog.get(id).map(EventType::key);
    assert_eq!(key(assist::REMOTE_SUPPORT_END), Some("SESSION_END_RS"));
    assert_eq!(key(assist::UNATTENDED_SESSION_START), Some("SESSION_START_URS"));
}

#[tokio::test]
async fn one_callback_url_receives_every_event_under_its_key() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &every_event()).await;
    for kind in service.hooks.catalog().iter() {
        acme.publish(event(kind.id())).await.expect("it is in the catalog");
        let sent = service.deliver().await;
        let keys: Vec<_> = sent.iter().map(|request| body(request)["eventType"].clone()).collect();
        assert_eq!(keys, [kind.key()]);
    }
}

#[tokio::test]
async fn a_webhook_hears_of_the_events_that_it_names_and_of_no_other() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("some").subscribe(assist::DEVICE_ADD).subscribe(assist::DEVICE_DELETE)).await;
    acme.publish_all(TABLE.map(|(_, _, id)| event(id))).await;
    let sent = service.deliver().await;
    let mut keys: Vec<_> = sent.iter().map(|request| body(request)["eventType"].to_string()).collect();
    keys.sort();
    assert_eq!(keys, [r#""DEVICE_ADD""#, r#""DEVICE_DELETE""#]);
}

#[tokio::test]
async fn two_webhooks_may_share_one_url() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("shared").subscribe(assist::DEVICE_ADD)).await;
    create(&acme, &named("shared").subscribe(assist::DEVICE_ADD)).await;
    acme.publish(event(assist::DEVICE_ADD)).await.expect("known");
    assert_eq!(service.heard().await, ["shared", "shared"]);
}

#[tokio::test]
async fn an_event_outside_the_table_cannot_be_subscribed_to() {
    let acme = Service::new().acme();
    for id in [json!(18), json!(-1), json!("18"), json!(4_294_967_296_i64), json!(i64::MAX)] {
        let draft = json!({"name": "a", "url": "https://a.example/", "subscriptions": [{"event_id": id}]});
        let error = acme.create(&from_json(draft)).await.expect_err("unknown");
        assert_eq!(invalid(&error), [("subscriptions[0].event_id", Rule::UnknownEvent)], "{id}");
    }
}

#[tokio::test]
async fn an_event_outside_the_table_can_be_neither_published_nor_routed() {
    let acme = Service::new().acme();
    let unknown = event(EventId::new(18));
    let routed = acme.route(&unknown).await.expect_err("unknown");
    assert_eq!(routed.kind(), &ErrorKind::UnknownEvent);
    let published = acme.publish(unknown).await.expect_err("unknown");
    assert_eq!(published.kind(), &ErrorKind::UnknownEvent);
}

#[tokio::test]
async fn the_payload_arrives_byte_for_byte_in_assists_envelope() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &every_event()).await;
    let payload = RawValue::from_string(r#"{"b" : 1.10, "a":1e2}"#.into()).expect("JSON");
    let event = Event::new(assist::DEVICE_ONLINE, &payload).expect("serialises").actor("maria@zylker.com");
    acme.publish(event).await.expect("known");
    let sent = service.deliver().await;
    assert_eq!(
        sent[0].body(),
        r#"{"payload":{"b" : 1.10, "a":1e2},"eventType":"DEVICE_ONLINE","eventTime":"1767225600000","eventBy":"maria@zylker.com","orgId":"acme"}"#,
    );
}

#[tokio::test]
async fn an_actor_that_breaks_its_rules_publishes_nothing_and_every_violation_is_told() {
    let service = Service::new();
    let acme = service.acme();
    create(&acme, &named("hook").subscribe(assist::DEVICE_ADD)).await;
    let error = acme.publish(event(assist::DEVICE_ADD).actor("\n".repeat(257))).await.expect_err("too much");
    assert!(matches!(error.kind(), ErrorKind::Invalid(_)), "{error:?}");
    let broken: Vec<_> = error.violations().iter().map(|it| (it.field(), it.rule())).collect();
    assert_eq!(broken, [("actor", Rule::TooLong), ("actor", Rule::Format)]);
    let outcomes = acme.publish_all([event(assist::DEVICE_ADD).actor("\0"), event(assist::DEVICE_ADD)]).await;
    assert!(outcomes[0].is_err() && outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!(service.deliver().await.len(), 1);
}
