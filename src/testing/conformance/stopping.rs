//! Cases of what waits although it is due: pauses and suspensions.

use super::StoreFixture;
use super::scene::{ANA, LEASE, Scene, ids};
use crate::delivery::Next;
use crate::model::{HookId, Timestamp};
use crate::registry::{Backlog, RegistryChange};

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
