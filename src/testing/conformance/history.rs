use std::collections::BTreeSet;
use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, DAY, Scene, settlement};
use crate::delivery::Next;
use crate::model::{DeliveryQuery, DeliveryState, End, PageRequest};
use crate::registry::RegistryChange;
use crate::store::{Redelivery, Settled, StatsScope, TendRequest};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Point 13: everything ends, and what has ended stays so.
///
/// # Panics
///
/// When the store breaks it.
pub async fn everything_ends(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish_many("m", 2, &[hook]).await;
    fixture.advance(DAY).await;
    assert!(scene.claim(ANA).await.is_empty(), "an expired delivery is not sent");
    tend(&scene, DAY).await;
    let ended = scene.deliveries(DeliveryQuery::new()).await;
    assert!(ended.iter().all(|it| it.state == DeliveryState::Ended(End::Expired)), "{ended:?}");
    let origin = ended[0].id;
    let redelivery = Redelivery { origin, expires: DAY };
    let made = scene.store.redeliver(&scene.tenant, &[redelivery]).await.expect("redeliver");
    let new = made[0].expect("the webhook is there");
    let claim = scene.claim_one(ANA).await;
    assert_eq!(claim.id, new);
    assert_eq!(claim.event.message_id, ended[0].message_id, "the same message");
    let delivery = scene.delivery(new).await.expect("logged");
    assert_eq!((delivery.origin, delivery.attempts), (Some(origin), 0));
    scene.deliver(&claim).await;
    assert_eq!(scene.settle(settlement(&claim, Next::Release)).await, Settled::Fenced);
    let states = |id| async move { scene_state(fixture, id).await };
    assert_eq!(states(origin).await, DeliveryState::Ended(End::Expired), "the old one stays as it was");
    assert_eq!(states(new).await, DeliveryState::Ended(End::Delivered));
    scene.change(RegistryChange::Delete(hook)).await;
    let made = scene.store.redeliver(&scene.tenant, &[redelivery]).await.expect("redeliver");
    assert_eq!(made, [None], "not for a webhook that is gone");
}

async fn scene_state(fixture: &dyn StoreFixture, id: crate::model::DeliveryId) -> DeliveryState {
    Scene::new(fixture).delivery(id).await.expect("logged").state
}

async fn tend(scene: &Scene<'_>, keep: Duration) {
    while scene.store.tend(&TendRequest { keep, limit: 2 }).await.expect("tend").more {}
}

/// Point 16: paging shows each item that was visible at the first page once.
///
/// # Panics
///
/// When the store breaks it.
pub async fn paging_is_stable(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish_many("m", 23, &[hook]).await;
    let visible: BTreeSet<_> =
        scene.deliveries(DeliveryQuery::new()).await.into_iter().map(|delivery| delivery.id).collect();
    let mut query = DeliveryQuery::new().page(PageRequest::first().with_limit(10));
    let mut seen = Vec::new();
    for round in 0.. {
        let page = scene.store.deliveries(&scene.tenant, &query).await.expect("deliveries");
        assert!(page.items.len() <= 10);
        seen.extend(page.items.into_iter().map(|delivery| delivery.id));
        let Some(next) = page.next else { break };
        query = query.page(PageRequest::after(next).with_limit(10));
        scene.publish(&format!("meanwhile{round}"), &[hook]).await;
    }
    let shown: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(shown.len(), seen.len(), "none twice");
    assert!(visible.is_subset(&shown), "and none left out");
    assert!(seen.is_sorted_by(|newer, older| newer > older), "newest first");
    tenants_are_listed(&scene).await;
}

async fn tenants_are_listed(scene: &Scene<'_>) {
    for name in ["d", "b", "e", "a", "c"] {
        scene.of(name).create().await;
    }
    let mut names = Vec::new();
    let mut page = PageRequest::first().with_limit(2);
    loop {
        let listed = scene.store.tenants(&page).await.expect("tenants");
        names.extend(listed.items.iter().map(ToString::to_string));
        let Some(next) = listed.next else { break };
        page = PageRequest::after(next).with_limit(2);
    }
    names.sort();
    assert_eq!(names, ["a", "acme", "b", "c", "d", "e"]);
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
    tend(&scene, 2 * HOUR).await;
    assert_eq!(kept(&scene).await, [true, true, true], "nothing is old enough");
    tend(&scene, HOUR / 2).await;
    assert_eq!(kept(&scene).await, [false, false, true], "what is pending stays whatever its age");
    assert!(scene.delivery(claim.id).await.is_none());
    assert!(scene.store.attempts(&scene.tenant, claim.id).await.expect("attempts").is_none());
    scene.publish("done", &hooks[..1]).await;
    let stats = scene.store.stats(&StatsScope::Tenant(scene.tenant.clone())).await.expect("stats");
    assert_eq!(stats.pending, 2, "a removed message id may be published again");
    erasing_removes_all(&scene).await;
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
    let before = scene.revision().await;
    while scene.store.erase(&scene.tenant, 1).await.expect("erase").more {}
    let registry = scene.store.registry(&scene.tenant).await.expect("registry");
    assert!(registry.webhooks.is_empty() && registry.revision > before);
    assert_eq!(kept(scene).await, [false; 3]);
    assert!(scene.deliveries(DeliveryQuery::new()).await.is_empty());
    assert_eq!(scene.settle(settlement(&claims[0], Next::Release)).await, Settled::Fenced);
    assert!(scene.claim(ANA).await.is_empty(), "claimed ones too");
    let listed = scene.store.tenants(&PageRequest::first()).await.expect("tenants");
    assert!(!listed.items.contains(&scene.tenant));
    let stats = scene.store.stats(&StatsScope::All).await.expect("stats");
    assert_eq!((stats.pending, stats.held), (0, 0));
}
