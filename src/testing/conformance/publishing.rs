use serde_json::json;

use super::StoreFixture;
use super::scene::{ANA, BEN, DAY, LEASE, Scene, event_json, greedy, message};
use crate::model::{DeliveryId, DeliveryQuery, HookId, MessageId, TenantId, Timestamp};
use crate::routing::SkipReason;
use crate::store::{
    ClaimRequest, Publication, PublishAnswer, Receipt, RouteAnswer, Routed, Routing, RoutingRecord, Unrouted,
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
    assert_eq!((first.targets, first.skipped), (2, 0));
    assert_eq!((second.targets, second.skipped), (1, 1));
    assert!(event(&scene, "bad").await.is_none(), "a failed item leaves nothing");
    let skipped = RoutingRecord::Routed(vec![(hooks[1], SkipReason::OwnSource)]);
    assert_eq!(event(&scene, "skipping").await, Some(skipped), "the reason is kept");
    assert_eq!(scene.deliveries(DeliveryQuery::new()).await.len(), 3);
    held_publications_are_claimed(&scene, hooks[0]).await;
}

/// What is published under a hold is written already claimed, on idle lanes that have room alone.
async fn held_publications_are_claimed(scene: &Scene<'_>, busy: HookId) {
    let idle = scene.create().await;
    let items = [scene.publication("held", &[busy, idle]).await];
    let held = scene.publish_held(&items, &greedy(ANA)).await.held;
    let hooks: Vec<_> = held.iter().map(|claim| claim.hook.webhook.hook_id()).collect();
    assert_eq!(hooks, [idle], "a lane with work waiting is not overtaken");
    let others = scene.claim(BEN).await;
    assert!(others.iter().all(|claim| claim.id != held[0].id), "what is held is claimed");
    scene.deliver(&held[0]).await;
    let no_room = ClaimRequest { limit: 0, ..greedy(ANA) };
    let items = [scene.publication("unheld", &[idle]).await];
    assert!(scene.publish_held(&items, &no_room).await.held.is_empty(), "no more than asked for");
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
    let first = receipt(&scene.write(&[item.clone(), item.clone()]).await, 2);
    scene.fixture.advance(LEASE).await;
    scene.create().await; // A repeated publish is known whatever changed since.
    let again = scene.write(std::slice::from_ref(&item)).await;
    let [PublishAnswer::Duplicate(repeated)] = again[..] else { panic!("known: {again:?}") };
    assert_eq!(repeated, first, "the first outcome is answered");
    let other = Publication { digest: [0; 32], ..item.clone() };
    let reused = scene.write(&[other]).await;
    assert!(matches!(reused[..], [PublishAnswer::IdReused]), "other content: {reused:?}");
    assert_eq!(scene.deliveries(DeliveryQuery::new()).await.len(), 1);
    let elsewhere = scene.of("globex");
    let theirs = elsewhere.publication("once", &[]).await;
    assert!(matches!(elsewhere.write(&[theirs]).await[..], [PublishAnswer::Stored(_)]));
}

/// The receipt of a first item that was stored, followed by duplicates of it.
fn receipt(answers: &[PublishAnswer], number: usize) -> Receipt {
    assert_eq!(answers.len(), number);
    let PublishAnswer::Stored(first) = answers[0] else { panic!("stored first: {answers:?}") };
    for answer in &answers[1..] {
        assert!(matches!(answer, PublishAnswer::Duplicate(again) if *again == first), "{answers:?}");
    }
    first
}

/// Point 15: absence is `None`, and payload bytes come back identical.
///
/// # Panics
///
/// When the store breaks it.
pub async fn absence_is_none_and_bytes_stay(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    assert!(scene.store.event(&scene.tenant, &message("none")).await.expect("event").is_none());
    let attempts = scene.store.attempts(&scene.tenant, DeliveryId::new(1)).await.expect("attempts");
    assert!(attempts.is_none());
    assert!(scene.store.registry(&scene.tenant).await.expect("registry").webhooks.is_empty());
    assert!(scene.claim(ANA).await.is_empty());
    let hook = scene.create().await;
    let odd = "{\"b\": 1.10,\t\"a\":1e2, \"\\u00e9\":\"é\u{1F600}\", \"a\":[ ]}";
    let mut item = scene.publication("odd", &[hook]).await;
    item.event.payload = serde_json::from_str(odd).expect("JSON");
    scene.write(&[item]).await;
    assert_eq!(scene.claim_one(ANA).await.event.payload.get(), odd);
    let record = scene.store.event(&scene.tenant, &message("odd")).await.expect("event").expect("kept");
    assert_eq!(record.event.payload.get(), odd);
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
    assert_eq!(event(&scene, "c").await, Some(RoutingRecord::Waiting));
    let given = scene.claim_with(&greedy(ANA)).await.unrouted;
    assert_eq!(names(&given), order.map(message), "in the order of publishing");
    assert!(scene.claim_with(&greedy(BEN)).await.unrouted.is_empty(), "one holder at a time");
    let to_hook = Routing { targets: vec![hook], skipped: Vec::new() };
    let routings = [Ok(to_hook.clone()), Err("no such event".to_owned()), Ok(Routing::default())];
    let routed = routings.into_iter().zip(&given).map(|(routing, item)| routed(&scene, item, routing));
    let mut items = Vec::new();
    for item in routed {
        items.push(item.await);
    }
    let answers = scene.store.route(&items).await.expect("route");
    assert_eq!(answers, [RouteAnswer::Routed; 3]);
    let again = scene.store.route(&items).await.expect("route");
    assert_eq!(again, [RouteAnswer::Fenced; 3], "routed once");
    assert_eq!(scene.claim(ANA).await.len(), 1, "the routed one is delivered");
    assert_eq!(event(&scene, "a").await, Some(RoutingRecord::Unroutable("no such event".into())));
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
    assert!(matches!(answers[..], [RouteAnswer::Stale(_)]), "{answers:?}");
    let again = scene.claim_with(&greedy(BEN)).await.unrouted;
    assert_eq!(names(&again), [message("late")], "given again at once");
    scene.fixture.advance(LEASE).await;
    let third = scene.claim_with(&greedy(ANA)).await.unrouted;
    assert_eq!(names(&third), [message("late")], "given again when the lease has ended");
    assert_ne!(third[0].fence, again[0].fence);
}
