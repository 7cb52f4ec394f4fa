//! Points 13, 16 and 18: ends, paging, upkeep.

use std::collections::BTreeSet;

use super::StoreFixture;
use super::scene::{ANA, DAY, HOUR, Scene, attempt, greedy};
use crate::delivery::Next;
use crate::model::{
    Delivery, DeliveryId, DeliveryQuery, DeliveryState, End, EventId, MessageQuery, PageRequest, Status,
    Timestamp,
};
use crate::registry::{Backlog, RegistryChange};
use crate::store::{Redelivery, Settled, Settlement, StatsScope, StoreErrorKind};

/// Point 13: everything ends, and what has ended stays so.
///
/// # Panics
///
/// When the store breaks it.
pub async fn everything_ends(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hooks = scene.create_many(2).await;
    let disabled = Status::Disabled;
    scene.edit(hooks[1], Backlog::Resume, |it| it.webhook = it.webhook.clone().with_status(disabled)).await;
    scene.publish_many("m", 2, &hooks).await;
    fixture.advance(DAY).await;
    let claimed = scene.claim_with(&greedy(ANA)).await;
    assert!(claimed.deliveries.is_empty(), "an expired delivery is not sent");
    let tended = scene.tend(DAY).await;
    assert_eq!(claimed.expired + tended, 4, "claim and upkeep tell how many they have ended");
    let ended = scene.deliveries(DeliveryQuery::new()).await;
    let expired = |it: &Delivery| it.state == DeliveryState::Ended(End::Expired);
    assert!(ended.iter().all(expired), "all have expired, of disabled webhooks too: {ended:?}");
    let of_hook = |it: &&Delivery| it.hook_id == hooks[0];
    redelivered_ones_are_new(&scene, ended.iter().find(of_hook).expect("published")).await;
    what_was_dropped_does_not_expire(&scene).await;
}

/// An ended delivery never becomes pending again.
async fn redelivered_ones_are_new(scene: &Scene<'_>, old: &Delivery) {
    let redelivery = [Redelivery { origin: old.id, expires: DAY }];
    let redeliver = async || scene.store.redeliver(&scene.tenant, &redelivery).await.expect("redeliver");
    let new = redeliver().await[0].expect("the webhook is there");
    assert_ne!(new, old.id, "a new delivery is made");
    let claim = scene.claim_one(ANA).await;
    assert_eq!((claim.id, &claim.event.message_id), (new, &old.message_id), "of the same message");
    let delivery = scene.delivery(new).await.expect("logged");
    assert_eq!((delivery.origin, delivery.attempts), (Some(old.id), 0), "it tells whence it came");
    scene.deliver(&claim).await;
    let late = scene.settle(Settlement::new(&claim, Next::Release)).await;
    assert_eq!(late, Settled::Fenced, "what has ended is not settled again");
    assert_eq!(state(scene, old.id).await, old.state, "the old one stays as it was");
    assert_eq!(state(scene, new).await, DeliveryState::Ended(End::Delivered));
    scene.change(RegistryChange::Delete(old.hook_id)).await;
    assert_eq!(redeliver().await, [None], "not for a webhook that is gone");
}

/// It has ended already, whether upkeep has come upon it or not.
async fn what_was_dropped_does_not_expire(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("dropped", &[hook]).await;
    scene.edit(hook, Backlog::Drop, |_| ()).await;
    scene.fixture.advance(2 * DAY).await;
    let cancelled = [DeliveryState::Ended(End::Cancelled)];
    let states = async || {
        let dropped = scene.deliveries(DeliveryQuery::new().webhook(hook)).await;
        dropped.into_iter().map(|it| it.state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, cancelled, "what was dropped does not expire");
    scene.tend(3 * DAY).await;
    assert_eq!(states().await, cancelled, "nor by upkeep");
}

async fn state(scene: &Scene<'_>, id: DeliveryId) -> DeliveryState {
    scene.delivery(id).await.expect("logged").state
}

/// Point 16: paging shows each item that was visible at the first page once.
///
/// # Panics
///
/// When the store breaks it.
pub async fn paging_is_stable(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    listings_filter(&scene.of("globex")).await;
    let hook = scene.create().await;
    scene.publish_many("m", 23, &[hook]).await;
    let visible: BTreeSet<_> =
        scene.deliveries(DeliveryQuery::new()).await.into_iter().map(|delivery| delivery.id).collect();
    let mut query = DeliveryQuery::new().page(PageRequest::first().with_limit(10));
    let mut seen = Vec::new();
    for round in 0.. {
        let page = scene.store.deliveries(&scene.tenant, &query).await.expect("deliveries");
        assert!(page.items.len() <= 10, "no page is longer than asked for");
        seen.extend(page.items.into_iter().map(|delivery| delivery.id));
        let Some(next) = page.next else { break };
        query = query.page(PageRequest::after(next).with_limit(10));
        scene.publish(&format!("meanwhile{round}"), &[hook]).await;
    }
    let shown: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(shown.len(), seen.len(), "none twice");
    assert!(visible.is_subset(&shown), "and none left out");
    assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first");
    attempts_are_read_together(&scene.of("initech")).await;
    tenants_are_listed(&scene).await;
    other_cursors_are_refused(&scene).await;
}

/// Two webhooks and two events an hour apart, the later one to nobody.
async fn listings_filter(scene: &Scene<'_>) {
    let hooks = scene.create_many(2).await;
    scene.publish("first", &hooks).await;
    scene.fixture.advance(HOUR).await;
    scene.publish("second", &hooks[..1]).await;
    scene.publish("to-nobody", &[]).await;
    let claim = scene.claim_few(1, ANA).await.pop().expect("one is due");
    scene.deliver(&claim).await;
    let all = scene.deliveries(DeliveryQuery::new()).await;
    let later = all.first().expect("three").created_at;
    let any = DeliveryQuery::new;
    let queries = [
        any().webhook(hooks[1]),
        any().message(super::scene::message("first")),
        any().event(EventId::new(1)),
        any().event(EventId::new(2)),
        any().state(DeliveryState::Ended(End::Delivered)),
        any().state(DeliveryState::Pending).webhook(hooks[0]),
        any().since(later),
        any().until(later),
    ];
    for query in queries {
        let passing: Vec<_> = all.iter().filter(|delivery| query.matches(delivery)).cloned().collect();
        assert_eq!(scene.deliveries(query.clone()).await, passing, "a listing shows what passes: {query:?}");
    }
    messages_are_listed(scene, later).await;
}

/// One delivery was tried twice, one once and one never; one is of nobody.
async fn attempts_are_read_together(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish_many("tried", 3, &[hook]).await;
    let mut claims = scene.claim(ANA).await;
    claims.retain(|claim| claim.tenant == scene.tenant);
    let [twice, once, never] = &claims[..] else { panic!("three are due: {}", claims.len()) };
    let tried = |claim, number, next| {
        let attempt = Some(attempt(number, 503));
        Settlement { attempt, ..Settlement::new(claim, next) }
    };
    scene.settle(tried(twice, 1, Next::Extend(HOUR))).await;
    scene.settle(tried(twice, 2, Next::End(End::Exhausted))).await;
    scene.settle(tried(once, 1, Next::End(End::Exhausted))).await;
    let asked = [once.id, DeliveryId::new(999), never.id, twice.id, once.id];
    let read = scene.store.attempts(&scene.tenant, &asked).await.expect("attempts");
    let read: Vec<_> = read.iter().map(|made| made.as_ref().map(Vec::len)).collect();
    let made = [Some(1), None, Some(0), Some(2), Some(1)];
    assert_eq!(read, made, "attempts of many deliveries come in the order of the request");
    assert!(scene.store.attempts(&scene.tenant, &[]).await.expect("attempts").is_empty(), "none for none");
}

async fn messages_are_listed(scene: &Scene<'_>, later: Timestamp) {
    let listed = async |query: MessageQuery| {
        let (mut query, mut all) = (query.page(PageRequest::first().with_limit(2)), Vec::new());
        loop {
            let page = scene.store.messages(&scene.tenant, &query).await.expect("messages");
            assert!(page.items.len() <= 2, "no page is longer than asked for");
            all.extend(page.items);
            let Some(next) = page.next else { return all };
            query = query.page(PageRequest::after(next).with_limit(2));
        }
    };
    let all = listed(MessageQuery::new()).await;
    let told: Vec<_> = all.iter().map(|it| (it.message_id.as_str(), it.targets, it.is_waiting)).collect();
    let right = [("to-nobody", 0, false), ("second", 1, false), ("first", 2, false)];
    assert_eq!(told, right, "every message is listed, newest first");
    let any = MessageQuery::new;
    let queries =
        [any().event(EventId::new(1)), any().event(EventId::new(2)), any().since(later), any().until(later)];
    for query in queries {
        let passing: Vec<_> = all.iter().filter(|message| query.matches(message)).cloned().collect();
        assert_eq!(
            listed(query.clone()).await,
            passing,
            "a listing of messages shows what passes: {query:?}"
        );
    }
}

/// A store that returned the first page instead would make a caller read for ever.
async fn other_cursors_are_refused(scene: &Scene<'_>) {
    let query = DeliveryQuery::new().page(PageRequest::after("no cursor"));
    for tenant in [&scene.tenant, &super::scene::tenant("nobody")] {
        let refused = scene.store.deliveries(tenant, &query).await;
        let kind = refused.expect_err("no listing of deliveries gave this cursor").kind();
        assert_eq!(kind, StoreErrorKind::InvalidCursor);
    }
    let messages = MessageQuery::new().page(PageRequest::after("no cursor"));
    let refused = scene.store.messages(&scene.tenant, &messages).await;
    let kind = refused.expect_err("no listing of messages gave this cursor").kind();
    assert_eq!(kind, StoreErrorKind::InvalidCursor);
    let refused = scene.store.tenants(&PageRequest::after("")).await;
    let kind = refused.expect_err("no listing of tenants gave this cursor").kind();
    assert_eq!(kind, StoreErrorKind::InvalidCursor);
}

async fn tenants_are_listed(scene: &Scene<'_>) {
    for name in ["d", "b", "e", "a", "c"] {
        scene.of(name).create().await;
    }
    let mut names = Vec::new();
    let mut page = PageRequest::first().with_limit(2);
    for round in 0.. {
        let listed = scene.store.tenants(&page).await.expect("tenants");
        names.extend(listed.items.iter().map(ToString::to_string));
        let Some(next) = listed.next else { break };
        page = PageRequest::after(next).with_limit(2);
        // Meanwhile two come, one before and one after all others, wherever the cursor stands; not for
        // ever, or a store that lists by age would never be done.
        if round < 3 {
            scene.of(&format!("0{round}")).create().await;
            scene.of(&format!("z{round}")).create().await;
        }
    }
    // Those that came meanwhile may be listed or not.
    names.retain(|name| ["a", "acme", "b", "c", "d", "e"].contains(&name.as_str()));
    names.sort();
    assert_eq!(names, ["a", "acme", "b", "c", "d", "e"], "each tenant once");
}

/// Point 18: upkeep removes only what has ended and is older; erasing removes all of a tenant.
///
/// # Panics
///
/// When the store breaks it.
pub async fn upkeep_removes_what_ended(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hooks = scene.create_many(2).await;
    scene.publish("done", &hooks[..1]).await;
    let claim = scene.claim_one(ANA).await;
    scene.deliver(&claim).await;
    scene.publish("nowhere", &[]).await;
    scene.publish("half", &hooks).await;
    let claims = scene.claim(ANA).await;
    scene.deliver(&claims[0]).await;
    fixture.advance(HOUR).await;
    scene.tend(2 * HOUR).await;
    assert_eq!(kept(&scene).await, [true, true, true], "nothing is old enough");
    scene.tend(HOUR / 2).await;
    assert_eq!(kept(&scene).await, [false, false, true], "what is pending stays whatever its age");
    assert!(scene.delivery(claim.id).await.is_none(), "its deliveries go with it");
    let attempts = scene.attempts(claim.id).await;
    assert!(attempts.is_none(), "and their attempts");
    scene.publish("done", &hooks[..1]).await;
    let stats = scene.store.stats(&StatsScope::Tenant(scene.tenant.clone())).await.expect("stats");
    assert_eq!(stats.pending(), 2, "a removed message id may be published again");
    the_latest_end_counts(&scene).await;
    erasing_removes_all(&scene).await;
}

/// An event is as old as the last of its deliveries, in whatever order they were seen to end.
async fn the_latest_end_counts(scene: &Scene<'_>) {
    let hooks = scene.create_many(2).await;
    scene.publish("mixed", &hooks).await;
    scene.change(RegistryChange::Delete(hooks[0])).await;
    scene.fixture.advance(2 * HOUR).await;
    let (id, claims) = (super::scene::message("mixed"), scene.claim(ANA).await);
    scene.deliver(claims.iter().find(|it| it.event.message_id == id).expect("it is due")).await;
    let is_kept = async || scene.store.event(&scene.tenant, &id).await.expect("event").is_some();
    scene.tend(HOUR).await;
    assert!(is_kept().await, "one of its deliveries has just ended");
    scene.fixture.advance(2 * HOUR).await;
    scene.tend(HOUR).await;
    assert!(!is_kept().await, "and in time it goes");
}

async fn kept(scene: &Scene<'_>) -> Vec<bool> {
    let mut kept = Vec::new();
    for id in ["done", "nowhere", "half"] {
        let id = super::scene::message(id);
        kept.push(scene.store.event(&scene.tenant, &id).await.expect("event").is_some());
    }
    kept
}

async fn erasing_removes_all(scene: &Scene<'_>) {
    let claims = scene.claim(ANA).await;
    assert!(!claims.is_empty());
    let unrouted = super::scene::event_json("unrouted", &().into());
    scene.fixture.write_unrouted(&scene.tenant, unrouted).await;
    let before = scene.revision().await;
    while scene.store.erase(&scene.tenant, 1).await.expect("erase").more {}
    let registry = scene.store.registry(&scene.tenant).await.expect("registry");
    assert!(registry.webhooks.is_empty(), "no webhook is left");
    assert!(registry.revision > before, "what was routed before is out of date");
    assert_eq!(kept(scene).await, [false; 3], "no event is left");
    assert!(scene.deliveries(DeliveryQuery::new()).await.is_empty(), "no delivery is left");
    let late = scene.settle(Settlement::new(&claims[0], Next::Release)).await;
    assert_eq!(late, Settled::Fenced, "claimed ones are erased too");
    let claimed = scene.claim_with(&greedy(ANA)).await;
    assert!(claimed.deliveries.is_empty(), "nothing is left to send");
    assert!(claimed.unrouted.is_empty(), "nor to route");
    let listed = scene.store.tenants(&PageRequest::first()).await.expect("tenants");
    assert!(!listed.items.contains(&scene.tenant), "the tenant is not listed");
    let stats = scene.store.stats(&StatsScope::All).await.expect("stats");
    assert_eq!((stats.pending(), stats.held), (0, 0), "nothing is counted");
}
