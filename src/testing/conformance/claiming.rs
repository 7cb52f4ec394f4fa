//! Points 7 and 9: a claim stays within its limits, and no due delivery is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, BEN, LEASE, Scene, event_json, greedy};
use crate::delivery::{Next, Report};
use crate::model::{DeliveryId, End, HookId, Status};
use crate::registry::Backlog;
use crate::store::{Claim, ClaimRequest, Quota, Settlement};

/// Point 7: a claim gives only what is due, at most as much as it asks for, and as far as the quota
/// leaves room.
///
/// # Panics
///
/// When the store breaks it.
pub async fn caps_hold(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let quota = Quota::default().with_in_all(12).with_per_tenant(9).with_per_webhook(2);
    let capped = ClaimRequest { quota, ..greedy(ANA) };
    let held = unproven_lanes_share_half(&scene, &capped).await;
    proven_lanes_share_all(&scene, &capped, &held).await;
    bytes_are_capped(&scene).await;
    hanging_lanes_get_one(&scene).await;
}

/// Point 7: a claim for one tenant gives all that is due of it, and nothing of others.
///
/// # Panics
///
/// When the store breaks it.
pub async fn one_tenant_is_claimed_alone(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let scenes = ["alpha", "mine", "omega"].map(|name| scene.of(name));
    for scene in &scenes {
        let hooks = scene.create_many(2).await;
        scene.publish_many("m", 3, &hooks).await;
        fixture.write_unrouted(&scene.tenant, event_json("unrouted", &1.into())).await;
    }
    let mine = &scenes[1].tenant;
    let few = scene.claim_of(mine, &ClaimRequest { limit: 1, ..greedy(ANA) }).await;
    assert_eq!(
        (few.deliveries.len(), few.next_in),
        (1, Some(Duration::ZERO)),
        "at most `limit` of the tenant's"
    );
    let rest = scene.claim_of(mine, &greedy(ANA)).await;
    let claimed = || few.deliveries.iter().chain(&rest.deliveries);
    assert!(claimed().all(|it| it.tenant == *mine), "none of another tenant's");
    assert_eq!(claimed().count(), 6, "all of the tenant's");
    let unrouted: Vec<_> = few.unrouted.iter().chain(&rest.unrouted).map(|it| &it.tenant).collect();
    assert_eq!(unrouted, [mine], "the tenant's unrouted event alone");
    let others = scene.claim(BEN).await;
    assert_eq!(others.len(), 12, "the others are left to whoever claims");
}

async fn unproven_lanes_share_half(scene: &Scene<'_>, capped: &ClaimRequest) -> Vec<Claim> {
    let hooks = scene.create_many(3).await;
    scene.publish_many("m", 10, &hooks).await;
    let few = scene.claim_with(&ClaimRequest { limit: 1, ..*capped }).await.deliveries;
    assert_eq!(few.len(), 1, "at most `limit`");
    // Nothing is proven yet, so half of nine, which is four, may be held of this tenant.
    let more = scene.claim_with(capped).await.deliveries;
    assert_eq!(more.len(), 3, "what is held already counts");
    let other = scene.of("globex");
    let theirs = other.create_many(2).await;
    other.publish_many("m", 5, &theirs).await;
    let rest = scene.claim_with(capped).await.deliveries;
    assert!(!rest.is_empty(), "a full tenant leaves the others their room");
    let held: Vec<_> = few.into_iter().chain(more).chain(rest).collect();
    assert_eq!(held.len(), 6, "six of twelve may be unproven");
    assert!(scene.claim_with(capped).await.deliveries.is_empty(), "no more than there is room for");
    held
}

async fn proven_lanes_share_all(scene: &Scene<'_>, capped: &ClaimRequest, held: &[Claim]) {
    let bens = scene.claim_with(&ClaimRequest { holder: BEN, ..*capped }).await.deliveries;
    assert_eq!(bens.len(), 6, "what another holds does not count");
    scene.store.release(BEN).await.expect("release");
    for claim in held {
        let success =
            Settlement { report: Report::Success, ..Settlement::new(claim, Next::End(End::Delivered)) };
        scene.settle(success).await;
    }
    let proven = scene.claim_with(capped).await.deliveries;
    assert!(by_hook(&proven).values().all(|number| *number <= 2), "at most two of a webhook");
    assert_eq!(proven.len(), 10, "five webhooks, two of each, once they are proven");
}

pub(super) fn by_hook(claims: &[Claim]) -> BTreeMap<(String, HookId), usize> {
    let mut numbers = BTreeMap::new();
    for claim in claims {
        let key = (claim.tenant.to_string(), claim.hook.hook_id());
        *numbers.entry(key).or_default() += 1;
    }
    numbers
}

async fn bytes_are_capped(scene: &Scene<'_>) {
    let scene = scene.of("initech");
    let hook = scene.create().await;
    scene.publish_many("m", 6, &[hook]).await;
    scene.store.release(ANA).await.expect("release");
    let size = r#"{"id":"m0"}"#.len();
    let least = ClaimRequest { max_bytes: 1, ..greedy(BEN) };
    assert_eq!(scene.claim_with(&least).await.deliveries.len(), 1, "a larger one comes alone");
    let some = ClaimRequest { max_bytes: 3 * size, ..greedy(BEN) };
    let claims = scene.claim_with(&some).await.deliveries;
    let bytes: usize = claims.iter().map(|claim| claim.event.payload.get().len()).sum();
    assert!(!claims.is_empty() && bytes <= 3 * size, "at most `max_bytes`: {bytes}");
    scene.store.release(BEN).await.expect("release");
}

/// A lane whose last two attempts timed out has one at a time.
async fn hanging_lanes_get_one(scene: &Scene<'_>) {
    let scene = scene.of("umbrella");
    let hook = scene.create().await;
    scene.publish_many("m", 5, &[hook]).await;
    let of_hook = |claims: Vec<Claim>| -> Vec<Claim> {
        claims.into_iter().filter(|claim| claim.tenant == scene.tenant).collect()
    };
    let mut claims = of_hook(scene.claim(ANA).await);
    assert_eq!(claims.len(), 5);
    for claim in claims.drain(..2) {
        let timeout =
            Settlement { report: Report::Timeout, ..Settlement::new(&claim, Next::End(End::Exhausted)) };
        scene.settle(timeout).await;
    }
    for claim in claims {
        scene.finish(&claim, Next::Release).await;
    }
    let probe = of_hook(scene.claim(BEN).await);
    assert_eq!(probe.len(), 1, "one probe");
    assert!(of_hook(scene.claim(BEN).await).is_empty(), "and no second beside it");
}

/// Point 9: no due delivery is ever stranded.
///
/// # Panics
///
/// When the store breaks it.
pub async fn nothing_is_stranded(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    full_hands_strand_nothing(&scene).await;
    let hooks = scene.create_many(3).await;
    hints_are_not_lost(&scene, hooks[0]).await;
    let publishers = (0..4).map(|n| publish_some(&scene, n, &hooks));
    let claimers = [ANA, BEN].map(|holder| claim_some(&scene, holder));
    let toggling = toggle(&scene, hooks[1]);
    let (published, claimed, ()) = tokio::join!(join_all(publishers), join_all(claimers), toggling);
    let mut delivered: BTreeSet<_> = claimed.into_iter().flatten().collect();
    loop {
        let claims = scene.claim(ANA).await;
        if claims.is_empty() {
            break;
        }
        for claim in claims {
            scene.deliver(&claim).await;
            assert!(delivered.insert(claim.id), "delivered twice");
        }
    }
    let published: usize = published.into_iter().sum();
    assert_eq!(delivered.len(), published, "every delivery that was published is found");
}

/// A delivery that is published while a holder's quota is used up is found once a tenant gives places back.
async fn full_hands_strand_nothing(scene: &Scene<'_>) {
    let quota = Quota::default().with_in_all(2);
    let full = ClaimRequest { quota, ..greedy(ANA) };
    let mut held = scene.claim_with(&full).await.deliveries;
    assert!(held.is_empty());
    for name in ["first", "second", "third"] {
        let scene = scene.of(name);
        let hook = scene.create().await;
        scene.publish("m", &[hook]).await;
        let claimed = scene.claim_with(&full).await;
        assert!(held.is_empty() || !claimed.took_all, "what is due was left for want of room");
        held.extend(claimed.deliveries);
    }
    assert_eq!(held.len(), 1, "half of two, as nothing is proven");
    for round in 1..=3 {
        let Some(claim) = held.pop() else { panic!("{} of 3 were found", round - 1) };
        scene.deliver(&claim).await;
        held.extend(scene.claim_with(&full).await.deliveries);
    }
}

/// Work that arrives between an empty claim and the wait for a hint is not missed.
async fn hints_are_not_lost(scene: &Scene<'_>, hook: HookId) {
    let nothing = scene.claim_with(&greedy(ANA)).await;
    assert!(nothing.deliveries.is_empty());
    scene.publish("news", &[hook]).await;
    if scene.store.poll_every().is_none() {
        let woken = tokio::time::timeout(LEASE, scene.store.wake(nothing.mark)).await;
        assert!(woken.is_ok(), "a store that is not polled must tell of news");
    }
    let claim = scene.claim_one(ANA).await;
    scene.deliver(&claim).await;
}

async fn publish_some(scene: &Scene<'_>, publisher: usize, hooks: &[HookId]) -> usize {
    let mut written = 0;
    for n in 0..30 {
        let targets = &hooks[n % hooks.len()..];
        let mut item = scene.publication(&format!("m{publisher}-{n}"), targets).await;
        // Others change the registry in between: route again until it was not.
        while matches!(
            scene.write(std::slice::from_ref(&item)).await[..],
            [crate::store::PublishAnswer::Stale(_)]
        ) {
            item.routed_at = scene.revision().await;
        }
        written += targets.len();
        tokio::task::yield_now().await;
    }
    written
}

async fn claim_some(scene: &Scene<'_>, holder: crate::store::HolderId) -> Vec<DeliveryId> {
    let mut delivered = Vec::new();
    for round in 0..60 {
        let few = ClaimRequest { limit: 3, ..greedy(holder) };
        for claim in scene.claim_with(&few).await.deliveries {
            let again = (round + claim.id.get()) % 4 == 0;
            let next = if again { Next::Again(Duration::ZERO) } else { Next::End(End::Delivered) };
            scene.finish(&claim, next).await;
            delivered.extend((!again).then_some(claim.id));
        }
        tokio::task::yield_now().await;
    }
    delivered
}

async fn toggle(scene: &Scene<'_>, hook: HookId) {
    for status in [Status::Disabled, Status::Enabled].repeat(10) {
        scene.edit(hook, Backlog::Resume, |it| it.webhook = it.webhook.clone().with_status(status)).await;
        tokio::task::yield_now().await;
    }
}

/// Polls all futures by turns; they yield to each other.
async fn join_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}
