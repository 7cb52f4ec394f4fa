//! Points 1, 2, 15 and 17: publications, message ids, absence, routing.

use std::sync::Arc;

use serde_json::json;

use super::StoreFixture;
use super::scene::{ANA, BEN, DAY, LEASE, MOMENT, Scene, event_json, greedy, message};
use crate::delivery::Next;
use crate::model::{
    DeliveryId, DeliveryQuery, DeliveryState, End, HookId, MessageId, Status, TenantId, Timestamp,
    TraceContext,
};
use crate::registry::Backlog;
use crate::routing::SkipReason;
use crate::store::{
    Claim, ClaimRequest, Publication, PublishAnswer, Quota, Receipt, RouteAnswer, Routed, Routing,
    RoutingRecord, Settlement, Stats, StatsScope, Unrouted,
};

/// Point 1: each publication is all or nothing, seen by every later read, and fails alone.
///
/// # Panics
///
/// When the store breaks it.
pub async fn publications_are_whole(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hooks = scene.create_many(2).await;
    let good = scene.publication("good", &hooks).await;
    let bad = scene.publication("bad", &[hooks[0], HookId::new(99)]).await;
    let mut skipping = scene.publication("skipping", &hooks[..1]).await;
    skipping.routing.skipped = vec![(hooks[1], SkipReason::OwnSource)];
    let answers = scene.write(&[good, bad, skipping]).await;
    let [PublishAnswer::Stored(first), PublishAnswer::Failed(_), PublishAnswer::Stored(second)] =
        &answers[..]
    else {
        panic!("one bad item fails alone: {answers:?}");
    };
    assert_eq!((first.targets, first.skipped), (2, 0), "the receipt counts what was written");
    assert_eq!((second.targets, second.skipped), (1, 1), "and what was passed over");
    assert!(event(&scene, "bad").await.is_none(), "a failed item leaves nothing");
    let skipped = RoutingRecord::Routed(vec![(hooks[1], SkipReason::OwnSource)]);
    assert_eq!(event(&scene, "skipping").await, Some(skipped), "the reason is kept");
    assert_eq!(scene.deliveries(DeliveryQuery::new()).await.len(), 3, "what was published is seen");
    held_publications_are_claimed(&scene, hooks[0]).await;
    every_read_shows_them(&scene.of("globex")).await;
    counts_tell_what_waits_for_what(&scene.of("initech")).await;
}

/// Publishing under a hold writes deliveries already claimed, only on idle lanes that have room.
async fn held_publications_are_claimed(scene: &Scene<'_>, busy: HookId) {
    let idle = scene.create().await;
    let items = [scene.publication("held", &[busy, idle]).await];
    let held = scene.publish_held(&items, &greedy(ANA)).await.held;
    let hooks: Vec<_> = held.iter().map(|claim| claim.hook.hook_id()).collect();
    assert_eq!(hooks, [idle], "a lane with work waiting is not overtaken");
    let others = scene.claim(BEN).await;
    assert!(others.iter().all(|claim| claim.id != held[0].id), "what is held is claimed");
    scene.deliver(&held[0]).await;
    let no_room = ClaimRequest { limit: 0, ..greedy(ANA) };
    let items = [scene.publication("unheld", &[idle]).await];
    assert!(scene.publish_held(&items, &no_room).await.held.is_empty(), "no more than asked for");
    holds_count_as_claims(scene).await;
}

async fn holds_count_as_claims(scene: &Scene<'_>) {
    let hook = scene.create().await;
    let one = ClaimRequest { quota: Quota::default().with_per_webhook(1), ..greedy(ANA) };
    for (id, room) in [("fits", 1), ("crowded", 0)] {
        let items = [scene.publication(id, &[hook]).await];
        assert_eq!(scene.publish_held(&items, &one).await.held.len(), room, "the quota counts holds too");
    }
}

async fn every_read_shows_them(scene: &Scene<'_>) {
    let hooks = scene.create_many(2).await;
    scene.publish("first", &hooks).await;
    let claims = scene.claim(ANA).await;
    let ours: Vec<_> = claims.iter().filter(|claim| claim.tenant == scene.tenant).collect();
    scene.deliver(ours[0]).await;
    scene.fixture.advance(MOMENT).await;
    scene.publish("second", &hooks).await;
    filters_hold(scene, hooks[0]).await;
    scene.fixture.advance(MOMENT).await;
    let stats = async |scope| scene.store.stats(&scope).await.expect("stats");
    let counted = stats(StatsScope::Tenant(scene.tenant.clone())).await;
    assert_eq!((counted.pending(), counted.held), (3, 1), "one is held, one has ended");
    assert_eq!(counted.oldest_due, Some(MOMENT), "since the second event was published");
    let counted = stats(StatsScope::Webhook(scene.tenant.clone(), ours[0].hook.hook_id())).await;
    assert_eq!((counted.pending(), counted.held), (1, 0), "of the webhook whose first has ended");
}

/// Each delivery is counted once, and what waits for routing counts for its tenant.
async fn counts_tell_what_waits_for_what(scene: &Scene<'_>) {
    let hooks = scene.create_many(3).await;
    scene.publish("waits", &hooks).await;
    let claims = scene.claim(ANA).await;
    let of = |hook: HookId| {
        let ours = |claim: &&Claim| claim.tenant == scene.tenant && claim.hook.hook_id() == hook;
        claims.iter().find(ours).expect("it was claimed")
    };
    scene.settle(Settlement::new(of(hooks[0]), Next::Again(DAY))).await;
    scene.settle(Settlement { backoff: Some(DAY), ..Settlement::new(of(hooks[1]), Next::Release) }).await;
    scene.settle(Settlement::new(of(hooks[2]), Next::Release)).await;
    let disabled = Status::Disabled;
    scene.edit(hooks[2], Backlog::Resume, |it| it.webhook = it.webhook.clone().with_status(disabled)).await;
    scene.fixture.write_unrouted(&scene.tenant, event_json("unrouted", &json!({}))).await;
    scene.fixture.advance(MOMENT).await;
    let stats = async |scope| scene.store.stats(&scope).await.expect("stats");
    let all = stats(StatsScope::Tenant(scene.tenant.clone())).await;
    let counted = (all.due, all.scheduled, all.stopped, all.held, all.unrouted);
    assert_eq!(counted, (0, 2, 1, 0, 1), "each counts as what it waits for");
    assert_eq!(all.oldest_due, Some(MOMENT), "what waits for routing is late too");
    let of_webhook = stats(StatsScope::Webhook(scene.tenant.clone(), hooks[1])).await;
    assert_eq!(of_webhook, Stats { scheduled: 1, ..Stats::default() }, "it has no webhook yet");
}

async fn filters_hold(scene: &Scene<'_>, hook: HookId) {
    let all = scene.deliveries(DeliveryQuery::new()).await;
    let queries = [
        DeliveryQuery::new().webhook(hook),
        DeliveryQuery::new().message(message("first")),
        DeliveryQuery::new().state(DeliveryState::Ended(End::Delivered)),
        DeliveryQuery::new().since(all[0].created_at),
    ];
    for query in queries {
        let wanted: Vec<_> = all.iter().filter(|delivery| query.matches(delivery)).cloned().collect();
        assert!(!wanted.is_empty() && wanted.len() < all.len());
        assert_eq!(scene.deliveries(query.clone()).await, wanted, "filtered as asked: {query:?}");
    }
}

async fn event(scene: &Scene<'_>, id: &str) -> Option<RoutingRecord> {
    let record = scene.store.event(&scene.tenant, &message(id)).await.expect("event");
    record.map(|record| record.routing)
}

/// Point 2: a message id is published once a tenant.
///
/// # Panics
///
/// When the store breaks it.
pub async fn message_ids_are_published_once(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    let item = scene.publication("once", &[hook]).await;
    let answers = scene.write(&[item.clone(), item.clone()]).await;
    let [PublishAnswer::Stored(first), PublishAnswer::Duplicate(second)] = answers[..] else {
        panic!("the second of one call is known: {answers:?}");
    };
    assert_eq!(second, first, "the first outcome is answered");
    scene.fixture.advance(LEASE).await;
    scene.create().await; // A repeated publish is known whatever changed since.
    assert_eq!(repeated(&scene, &item).await, first, "the first outcome is answered, later too");
    same_content_is_the_same_message(&scene, &item, first).await;
    assert_eq!(scene.deliveries(DeliveryQuery::new()).await.len(), 1, "written once");
    let claim = scene.claim_one(ANA).await;
    scene.deliver(&claim).await;
    assert_eq!(repeated(&scene, &item).await, first, "also when it has ended");
    let elsewhere = scene.of("globex");
    let theirs = elsewhere.publication("once", &[]).await;
    let answers = elsewhere.write(&[theirs]).await;
    assert!(matches!(answers[..], [PublishAnswer::Stored(_)]), "each tenant has its own ids: {answers:?}");
}

/// However a payload is written, its content tells whether it is the same.
async fn same_content_is_the_same_message(scene: &Scene<'_>, item: &Publication, first: Receipt) {
    let written = |payload: &str| {
        let mut other = item.clone();
        Arc::make_mut(&mut other.event).payload = serde_json::from_str(payload).expect("JSON");
        other.digest = other.event.digest();
        other
    };
    for same in ["{ \"id\": \"once\" }", r#"{"\u0069d":"o\u006ece"}"#] {
        assert_eq!(repeated(scene, &written(same)).await, first, "the same content: {same}");
    }
    for other in [r#"{"id":"once","id":"once"}"#, r#"{"id":"twice"}"#, r#"["id","once"]"#] {
        let reused = scene.write(&[written(other)]).await;
        assert!(matches!(reused[..], [PublishAnswer::IdReused]), "other content: {reused:?}");
    }
    // So it is with an event that a host's own transaction wrote.
    let unrouted = event_json("unrouted", &json!({"a": 1, "b": [2]}));
    scene.fixture.write_unrouted(&scene.tenant, unrouted).await;
    let mut again = scene.publication("unrouted", &[]).await;
    Arc::make_mut(&mut again.event).payload = serde_json::from_str(r#"{"b":[2],"a":1}"#).expect("JSON");
    again.digest = again.event.digest();
    let answers = scene.write(&[again]).await;
    assert!(matches!(answers[..], [PublishAnswer::Duplicate(_)]), "of whichever way it came: {answers:?}");
}

async fn repeated(scene: &Scene<'_>, item: &Publication) -> Receipt {
    let again = scene.write(std::slice::from_ref(item)).await;
    let [PublishAnswer::Duplicate(receipt)] = again[..] else { panic!("known: {again:?}") };
    receipt
}

/// Point 15: absence is `None`, and payload bytes and the trace come back identical.
///
/// # Panics
///
/// When the store breaks it.
pub async fn absence_is_none_and_bytes_stay(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let record = scene.store.event(&scene.tenant, &message("none")).await;
    assert!(record.expect("absence is no error").is_none(), "no event is `None`");
    assert!(scene.attempts(DeliveryId::new(1)).await.is_none(), "no delivery is `None`");
    assert!(scene.store.registry(&scene.tenant).await.expect("registry").webhooks.is_empty());
    assert!(scene.claim(ANA).await.is_empty());
    let hook = scene.create().await;
    let odd = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";
    let mut item = scene.publication("odd", &[hook]).await;
    let event = Arc::make_mut(&mut item.event);
    event.payload = serde_json::from_str(odd).expect("JSON");
    event.trace = Some(trace());
    scene.write(&[item]).await;
    let sent = scene.claim_one(ANA).await.event;
    assert_eq!(sent.payload.get(), odd, "what is sent");
    assert_eq!(sent.trace, Some(trace()), "the trace that is sent");
    let record = scene.store.event(&scene.tenant, &message("odd")).await.expect("event").expect("kept");
    assert_eq!(record.event.payload.get(), odd, "what is logged");
}

fn trace() -> TraceContext {
    let context: TraceContext =
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("a traceparent");
    context.with_state("a=\"1\\").expect("a tracestate")
}

/// Point 17: an unrouted event is routed once, in order within its tenant.
///
/// # Panics
///
/// When the store breaks it.
pub async fn unrouted_events_are_routed_once(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    let order = ["c", "a", "b"];
    for id in order {
        fixture.write_unrouted(&scene.tenant, event_json(id, &json!({"id": id}))).await;
    }
    assert_eq!(event(&scene, "c").await, Some(RoutingRecord::Waiting), "the log shows that it waits");
    let given = scene.claim_with(&greedy(ANA)).await.unrouted;
    assert_eq!(names(&given), order.map(message), "in the order of publishing");
    assert!(scene.claim_with(&greedy(BEN)).await.unrouted.is_empty(), "one holder at a time");
    let to_hook = Routing { targets: vec![hook], skipped: Vec::new() };
    let routings = [Ok(to_hook.clone()), Err("no such event".to_owned()), Ok(Routing::default())];
    let mut items = Vec::new();
    for (item, routing) in given.iter().zip(routings) {
        items.push(routed(&scene, item, routing).await);
    }
    let answers = scene.store.route(&items).await.expect("route");
    assert_eq!(answers, [RouteAnswer::Routed; 3], "by whoever was given them");
    assert_eq!(scene.store.route(&items).await.expect("route"), [RouteAnswer::Fenced; 3], "routed once");
    assert_eq!(scene.claim(ANA).await.len(), 1, "the routed one is delivered");
    let unroutable = RoutingRecord::Unroutable("no such event".into());
    assert_eq!(event(&scene, "a").await, Some(unroutable), "the log has the reason");
    unrouted_events_come_again(&scene, to_hook).await;
}

async fn routed(scene: &Scene<'_>, item: &Unrouted, routing: Result<Routing, String>) -> Routed {
    let routed_at = scene.revision().await;
    Routed { unrouted: item.clone(), routed_at, routing, expires: DAY }
}

fn names(unrouted: &[Unrouted]) -> Vec<MessageId> {
    unrouted.iter().map(|item| item.event.message_id.clone()).collect()
}

/// Events whose routing was out of date, or whose router stopped, are given again.
async fn unrouted_events_come_again(scene: &Scene<'_>, to_hook: Routing) {
    let write = async |tenant: &TenantId, id| {
        let event = event_json(id, &json!({"at": Timestamp::from_millis(1)}));
        scene.fixture.write_unrouted(tenant, event).await;
    };
    write(&scene.tenant, "late").await;
    let given = scene.claim_with(&greedy(ANA)).await.unrouted;
    let outdated = routed(scene, &given[0], Ok(to_hook)).await;
    scene.create().await;
    let answers = scene.store.route(&[outdated]).await.expect("route");
    assert!(matches!(answers[..], [RouteAnswer::Stale(_)]), "routed too early: {answers:?}");
    let again = scene.claim_with(&greedy(BEN)).await.unrouted;
    assert_eq!(names(&again), [message("late")], "given again at once");
    scene.fixture.advance(LEASE).await;
    let third = scene.claim_with(&greedy(ANA)).await.unrouted;
    assert_eq!(names(&third), [message("late")], "given again when the lease has ended");
    assert_ne!(third[0].fence, again[0].fence, "another lease has another fence");
}
