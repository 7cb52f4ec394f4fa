//! Cases of what waits although it is due: pauses and suspensions, and what exceeds a webhook's limits.

use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, BEN, LEASE, MOMENT, Scene, greedy, ids};
use crate::delivery::Next;
use crate::model::{DeliveryOptions, HookId, Timestamp};
use crate::registry::{Backlog, RegistryChange};
use crate::store::ClaimRequest;

/// Point 12: no new claim is made for a paused webhook, nor for one of a suspended tenant; their deliveries wait.
///
/// # Panics
///
/// When the store breaks it.
pub async fn paused_and_suspended_wait(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    pauses_wait(&scene).await;
    suspensions_wait(&scene).await;
}

/// Sets since when a webhook is paused, and returns what the registry tells of it then.
async fn set_paused(scene: &Scene<'_>, hook: HookId, paused: Option<Timestamp>) -> Option<Timestamp> {
    scene.edit(hook, Backlog::Resume, |it| it.paused = paused).await;
    scene.registered(hook).await.expect("there").paused
}

async fn pauses_wait(scene: &Scene<'_>) {
    let (since, hook) = (Some(Timestamp::from_secs(1)), scene.create().await);
    let other = scene.create().await;
    scene.publish("before", &[hook]).await;
    let held = scene.claim_one(ANA).await;
    scene.publish("with-it", &[hook]).await;
    assert_eq!(set_paused(scene, hook, since).await, since, "the registry says since when it is paused");
    scene.publish("after", &[hook, other]).await;
    scene.finish(&held, Next::Release).await;
    let claims = scene.claim(ANA).await;
    let claimed: Vec<_> = claims.iter().map(|claim| claim.hook.hook_id()).collect();
    assert_eq!(claimed, [other], "a paused webhook's deliveries wait, and no other's");
    scene.deliver(&claims[0]).await;
    scene.fixture.advance(LEASE).await;
    assert_eq!(ids(&scene.claim(ANA).await).len(), 0, "however long");
    let elsewhere = scene.elsewhere(hook).await;
    scene.edit(hook, Backlog::Resume, |it| it.webhook = elsewhere).await;
    assert_eq!(ids(&scene.claim(ANA).await).len(), 0, "no edit ends a pause");
    assert_eq!(set_paused(scene, hook, None).await, None, "the registry says that it is resumed");
    let claims = scene.claim(ANA).await;
    assert_eq!(claims.len(), 3, "and what waited is due");
    for claim in &claims {
        scene.deliver(claim).await;
    }
}

async fn suspensions_wait(scene: &Scene<'_>) {
    let (since, other) = (Some(Timestamp::from_secs(1)), scene.of("other"));
    let (hook, neighbour) = (scene.create().await, other.create().await);
    scene.publish("suspended", &[hook]).await;
    other.publish("served", &[neighbour]).await;
    let version = scene.registered(hook).await.expect("there").version;
    scene.change(RegistryChange::Suspend(since)).await;
    let registry = scene.store.registry(&scene.tenant).await.expect("registry");
    assert_eq!(registry.suspended, since, "the registry says since when the tenant is suspended");
    let suspended = registry.get(hook).expect("there").version;
    assert_eq!(suspended, version.next(), "each webhook has a new version, so that older claims are known");
    let claim = scene.claim_one(ANA).await;
    assert_eq!(claim.tenant, other.tenant, "a suspended tenant's deliveries wait, and no other's");
    other.deliver(&claim).await;
    let late = scene.create().await;
    scene.publish("late", &[late]).await;
    scene.edit(hook, Backlog::Resume, |_| ()).await;
    assert!(scene.claim(ANA).await.is_empty(), "those of new and of edited webhooks too");
    let paused = Some(Timestamp::from_secs(2));
    set_paused(scene, late, paused).await;
    scene.change(RegistryChange::Suspend(None)).await;
    let claim = scene.claim_one(ANA).await;
    assert_eq!(claim.hook.hook_id(), hook, "they are due when it ends, unless they are paused");
    scene.deliver(&claim).await;
    set_paused(scene, late, None).await;
    scene.deliver(&scene.claim_one(ANA).await).await;
}

/// Point 23: no more deliveries of a webhook are claimed than its limits allow, by all holders together.
///
/// # Panics
///
/// When the store breaks it.
pub async fn limits_of_webhooks_hold(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    caps_are_everybodys(&scene).await;
    rates_are_everybodys(&scene).await;
}

/// Creates a webhook with options in which five deliveries are due, and one without.
async fn limited(scene: &Scene<'_>, options: DeliveryOptions) -> (HookId, HookId) {
    let (hook, free) = (scene.create().await, scene.create().await);
    scene.edit(hook, Backlog::Resume, |it| it.options = options).await;
    let item = scene.publication(&format!("held-{hook}"), &[hook]).await;
    let published = scene.publish_held(&[item], &greedy(ANA)).await;
    assert_eq!(published.held.len(), 0, "of a limited webhook, publishing holds nothing");
    scene.publish_many(&format!("limited-{hook}-"), 4, &[hook]).await;
    (hook, free)
}

async fn caps_are_everybodys(scene: &Scene<'_>) {
    let options = DeliveryOptions::new().with_max_in_flight(2).expect("valid");
    let (hook, free) = limited(scene, options).await;
    let first = scene.claim_few(1, ANA).await;
    let second = scene.claim(BEN).await;
    assert_eq!((first.len(), second.len()), (1, 1), "no more are held than may be, by all together");
    scene.publish_many("free", 3, &[free]).await;
    let others = scene.claim(ANA).await;
    assert!(others.len() == 3 && others.iter().all(|it| it.hook.hook_id() == free), "others are not limited");
    for claim in others.iter().chain(&first) {
        scene.deliver(claim).await;
    }
    let again = scene.claim_one(ANA).await;
    assert_eq!(again.hook.hook_id(), hook, "what is given back is room for the next");
    scene.finish(&second[0], Next::Release).await;
    scene.claim_one(BEN).await;
    scene.fixture.advance(LEASE).await;
    let claims = scene.claim(ANA).await;
    assert_eq!(claims.len(), 2, "a holder that has died gives its places back when its leases end");
    for claim in &claims {
        scene.deliver(claim).await;
    }
    for claim in scene.claim(ANA).await {
        scene.deliver(&claim).await;
    }
    assert_eq!(scene.claim(ANA).await.len(), 0, "all are delivered");
}

const SECOND: Duration = Duration::from_secs(1);

async fn rates_are_everybodys(scene: &Scene<'_>) {
    let options = DeliveryOptions::new().with_rate(3).expect("valid");
    let (_, free) = limited(scene, options).await;
    let request = |holder| ClaimRequest { start_within: SECOND / 4, ..greedy(holder) };
    let claim = async |holder| scene.claim_with(&request(holder)).await.deliveries;
    let window = SECOND + SECOND / 4;
    // A store may not know what was claimed of it before it was opened.
    scene.fixture.advance(window).await;
    let first = scene.claim_with(&ClaimRequest { limit: 2, ..request(ANA) }).await.deliveries;
    let second = claim(BEN).await;
    assert_eq!((first.len(), second.len()), (2, 1), "no more begin than the rate, by all together");
    for claim in first.iter().chain(&second) {
        scene.deliver(claim).await;
    }
    scene.publish("free-of-rates", &[free]).await;
    scene.deliver(&scene.claim_one(ANA).await).await;
    scene.fixture.advance(window - SECOND / 10).await;
    let early = scene.claim_with(&request(ANA)).await;
    assert_eq!(early.deliveries.len(), 0, "within the second that follows their beginning, no more do");
    let next_in = early.next_in.expect("something waits");
    assert!(next_in <= SECOND / 10, "the answer says when more may: {next_in:?}");
    scene.fixture.advance(SECOND / 10 + MOMENT).await;
    let rest = claim(BEN).await;
    assert_eq!(rest.len(), 2, "then the rest is claimed");
    for claim in &rest {
        scene.deliver(claim).await;
    }
}
