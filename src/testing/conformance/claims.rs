use std::collections::BTreeSet;
use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, BEN, LEASE, Scene, attempt, greedy, ids, settlement};
use crate::delivery::{Health, LaneClass, Next, Report};
use crate::model::{DeliveryState, DisableReason, End, Status};
use crate::registry::{Backlog, Version};
use crate::store::{Claim, ClaimRequest, Disable, Fence, Settled, Settlement};

const MOMENT: Duration = Duration::from_millis(1);

/// Point 3: a delivery has at most one live claim, and interleaved claims share out what is due.
///
/// # Panics
///
/// When the store breaks it.
pub async fn a_delivery_has_one_claim(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hooks = scene.create_many(4).await;
    scene.publish_many("m", 20, &hooks).await;
    let small = |holder| ClaimRequest { limit: 7, ..greedy(holder) };
    let (ana, ben) = (small(ANA), small(BEN));
    let mut claims = Vec::new();
    for _ in 0..12 {
        let (first, second) = tokio::join!(scene.claim_with(&ana), scene.claim_with(&ben));
        claims.extend(first.deliveries);
        claims.extend(second.deliveries);
    }
    assert_eq!(claims.len(), 80, "what is due is shared out whole");
    assert_eq!(ids(&claims).len(), 80, "and none of it twice");
    let fences: BTreeSet<_> = claims.iter().map(|claim| (claim.id, claim.fence)).collect();
    assert_eq!(fences.len(), 80);
}

/// Point 4: after its lease has ended a delivery may be claimed again, with a fence never used before.
///
/// # Panics
///
/// When the store breaks it.
pub async fn leases_end(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish("m", &[hook]).await;
    let mut fences = BTreeSet::new();
    for round in 0..5 {
        let holder = if round % 2 == 0 { ANA } else { BEN };
        let claim = scene.claim_one(holder).await;
        assert!(fences.insert(claim.fence), "a fence was used before");
        fixture.advance(LEASE - MOMENT).await;
        let request = greedy(BEN);
        let early = scene.claim_with(&request).await;
        assert!(early.deliveries.is_empty(), "the lease still holds");
        assert!(early.next_in.is_some_and(|next_in| next_in <= MOMENT), "and its end is foretold");
        fixture.advance(MOMENT).await;
    }
    let claim = scene.claim_one(ANA).await;
    scene.finish(&claim, Next::Extend(2 * LEASE)).await;
    fixture.advance(LEASE).await;
    assert!(scene.claim(BEN).await.is_empty(), "an extended lease holds");
    fixture.advance(LEASE).await;
    scene.claim_one(BEN).await;
}

/// Point 5: a settlement with a stale fence does nothing of its item.
///
/// # Panics
///
/// When the store breaks it.
pub async fn stale_fences_do_nothing(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish("m", &[hook]).await;
    let old = scene.claim_one(ANA).await;
    fixture.advance(LEASE).await;
    let new = scene.claim_one(BEN).await;
    let everything = Settlement {
        attempt: Some(attempt(1, 410)),
        report: Report::Failure,
        pause: Some(LEASE),
        disable: Some(Disable { reason: DisableReason::Gone, version: old.hook.version }),
        ..settlement(&old, Next::End(End::Exhausted))
    };
    let forged = Settlement { fence: Fence::new(u64::MAX >> 1), ..everything.clone() };
    let real = Settlement { attempt: Some(attempt(1, 200)), ..settlement(&new, Next::End(End::Delivered)) };
    let answers = scene.store.settle(&[everything, forged, real.clone()]).await.expect("settle");
    assert_eq!(answers, [Settled::Fenced, Settled::Fenced, Settled::Applied]);
    let attempts = scene.store.attempts(&scene.tenant, new.id).await.expect("attempts").expect("known");
    assert_eq!(attempts, [attempt(1, 200)], "nothing of a stale settlement is recorded");
    let webhook = scene.registered(hook).await.expect("there").webhook;
    assert_eq!(webhook.status(), Status::Enabled);
    assert_eq!(scene.settle(real).await, Settled::Fenced, "settled once");
    scene.publish("next", &[hook]).await;
    assert_eq!(scene.claim_one(ANA).await.health, Health::default(), "nor is the lane touched");
}

/// Point 6: an attempt, the delivery's next state and the lane are recorded together.
///
/// # Panics
///
/// When the store breaks it.
pub async fn attempt_and_state_go_together(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish("m", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let failed = Settlement {
        attempt: Some(attempt(1, 503)),
        report: Report::Failure,
        ..settlement(&claim, Next::Again(LEASE))
    };
    assert_eq!(scene.settle(failed).await, Settled::Applied);
    let delivery = scene.delivery(claim.id).await.expect("logged");
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 1));
    let waiting = scene.claim_with(&greedy(ANA)).await;
    assert!(waiting.deliveries.is_empty(), "not before it is due");
    assert_eq!(waiting.next_in, Some(LEASE), "and when that is, is foretold");
    fixture.advance(LEASE).await;
    let claim = scene.claim_one(ANA).await;
    assert_eq!((claim.attempts, claim.health.class()), (1, LaneClass::Open));
    let delivered =
        Settlement { attempt: Some(attempt(2, 200)), ..settlement(&claim, Next::End(End::Delivered)) };
    assert_eq!(scene.settle(delivered).await, Settled::Applied);
    let delivery = scene.delivery(claim.id).await.expect("logged");
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Ended(End::Delivered), 2));
    let attempts = scene.store.attempts(&scene.tenant, claim.id).await.expect("attempts").expect("known");
    assert_eq!(attempts, [attempt(1, 503), attempt(2, 200)]);
    the_lane_learns(&scene).await;
}

/// Pauses hold, and a webhook is disabled only as the one that was judged.
async fn the_lane_learns(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("first", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let paused = Settlement { pause: Some(LEASE), ..settlement(&claim, Next::End(End::Delivered)) };
    assert_eq!(scene.settle(paused).await, Settled::Applied);
    scene.publish("second", &[hook]).await;
    let request = greedy(ANA);
    assert_eq!(scene.claim_with(&request).await.next_in, Some(LEASE), "a paused lane gives nothing");
    scene.fixture.advance(LEASE).await;
    let claim = scene.claim_one(ANA).await;
    scene.edit(hook, Backlog::Resume, |_| ()).await;
    let gone = |claim: &Claim, version| Settlement {
        disable: Some(Disable { reason: DisableReason::Gone, version }),
        ..settlement(claim, Next::Again(Duration::ZERO))
    };
    scene.settle(gone(&claim, claim.hook.version)).await;
    let present = scene.registered(hook).await.expect("there");
    assert_eq!(present.webhook.status(), Status::Enabled, "it was changed since it was judged");
    let claim = scene.claim_one(ANA).await;
    let before = scene.revision().await;
    scene.settle(gone(&claim, present.version)).await;
    let present = scene.registered(hook).await.expect("there");
    assert_eq!(present.webhook.status(), Status::Disabled);
    assert_eq!(present.disabled, Some(DisableReason::Gone), "the reason is kept");
    assert!(present.version > Version::default() && scene.revision().await > before);
    assert!(scene.claim(ANA).await.is_empty());
}

/// Point 19: a stopped holder's deliveries are due at once.
///
/// # Panics
///
/// When the store breaks it.
pub async fn released_claims_are_due(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let hook = scene.create().await;
    scene.publish_many("m", 3, &[hook]).await;
    let one = ClaimRequest { limit: 1, ..greedy(BEN) };
    let bens = scene.claim_with(&one).await.deliveries;
    let anas = scene.claim(ANA).await;
    assert_eq!((anas.len(), bens.len()), (2, 1));
    scene.store.release(ANA).await.expect("release");
    let again = scene.claim(BEN).await;
    assert_eq!(ids(&again), ids(&anas), "what Ana held, and nothing of what Ben holds");
    assert_eq!(scene.settle(settlement(&anas[0], Next::Release)).await, Settled::Fenced);
    scene.finish(&again[0], Next::Release).await;
    assert_eq!(scene.claim_one(ANA).await.id, again[0].id, "a claim alone is given back as well");
    scene.deliver(&bens[0]).await;
}
