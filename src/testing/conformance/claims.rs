//! Points 3 to 6 and 19: claims, leases, fences, settlements, releases.

use std::collections::BTreeSet;
use std::time::Duration;

use super::StoreFixture;
use super::scene::{ANA, BEN, LEASE, MOMENT, Scene, attempt, greedy, ids};
use crate::delivery::{Health, LaneClass, Next, Report};
use crate::model::{Attempt, DeliveryState, DisableReason, End, Status};
use crate::registry::Backlog;
use crate::retry::Uncounted;
use crate::store::{Claim, ClaimRequest, Disable, Effect, Fence, Settled, Settlement};

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
    assert_eq!(ids(&claims).len(), claims.len(), "nothing is claimed twice");
    assert_eq!(claims.len(), 80, "and all that is due is shared out");
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
    let claim = scene.claim_one(BEN).await;
    a_lease_is_shortened(&scene, &claim).await;
}

/// `Extend` counts from now, so it can shorten a lease.
async fn a_lease_is_shortened(scene: &Scene<'_>, claim: &Claim) {
    let short = LEASE / 4;
    scene.finish(claim, Next::Extend(short)).await;
    scene.fixture.advance(short - MOMENT).await;
    let early = scene.claim_with(&greedy(ANA)).await;
    assert!(early.deliveries.is_empty(), "a shortened lease holds until it ends");
    assert!(early.next_in.is_some_and(|next_in| next_in <= MOMENT), "its new end is foretold");
    scene.fixture.advance(MOMENT).await;
    let again = scene.claim(ANA).await;
    assert_eq!(ids(&again), [claim.id].into(), "a shortened lease ends when it says");
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
    let everything = all_there_is(&old);
    let forged = Settlement { fence: Fence::new(u64::MAX >> 1), ..everything.clone() };
    let real =
        Settlement { attempt: Some(attempt(1, 200)), ..Settlement::new(&new, Next::End(End::Delivered)) };
    let answers = scene.store.settle(&[everything, forged, real.clone()]).await.expect("settle");
    let are_applied: Vec<_> = answers.iter().map(Settled::is_applied).collect();
    assert_eq!(are_applied, [false, false, true], "one holds it");
    let attempts = scene.attempts(new.id).await.expect("known");
    assert_eq!(attempts, [attempt(1, 200)], "nothing of a stale settlement is recorded");
    let webhook = scene.registered(hook).await.expect("there").webhook;
    assert_eq!(webhook.status(), Status::Enabled, "nor is the webhook disabled");
    assert_eq!(scene.settle(real).await, Settled::Fenced, "settled once");
    scene.publish("next", &[hook]).await;
    assert_eq!(scene.claim_one(ANA).await.health, Health::default(), "nor is the lane touched");
}

fn all_there_is(claim: &Claim) -> Settlement {
    Settlement {
        attempt: Some(attempt(1, 410)),
        report: Report::Failure,
        backoff: Some(LEASE),
        disable: Some(Disable { reason: DisableReason::Gone, version: claim.hook.version }),
        ..Settlement::new(claim, Next::End(End::Exhausted))
    }
}

/// Point 6: an attempt, the delivery's next state and the lane are recorded together.
///
/// # Panics
///
/// When the store breaks it.
pub async fn attempt_and_state_go_together(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    let again = a_failed_attempt_waits(&scene).await;
    the_last_attempt_ends(&scene, &again).await;
    attempts_without_a_step_are_counted(&scene).await;
    backoffs_hold(&scene).await;
    what_was_judged_is_disabled(&scene).await;
    a_changed_receiver_starts_afresh(&scene).await;
    what_has_recovered_stays_enabled(&scene).await;
}

async fn effect_of(scene: &Scene<'_>, settlement: Settlement) -> Effect {
    match scene.settle(settlement).await {
        Settled::Applied(effect) => effect,
        Settled::Fenced => panic!("a live claim is settled"),
    }
}

async fn a_failed_attempt_waits(scene: &Scene<'_>) -> Claim {
    let hook = scene.create().await;
    scene.publish("m", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let failed = Settlement {
        attempt: Some(attempt(1, 503)),
        report: Report::Failure,
        ..Settlement::new(&claim, Next::Again(LEASE))
    };
    let effect = effect_of(scene, failed).await;
    let delivery = scene.delivery(claim.id).await.expect("logged");
    assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Pending, 1), "an attempt is logged");
    let waiting = scene.claim_with(&greedy(ANA)).await;
    assert!(waiting.deliveries.is_empty(), "not before it is due");
    assert_eq!(waiting.next_in, Some(LEASE), "and when that is, is foretold");
    scene.fixture.advance(LEASE).await;
    let again = scene.claim_one(ANA).await;
    assert_eq!((again.attempts, again.health.class()), (1, LaneClass::Proven), "and the lane has learnt");
    assert_eq!((effect.end, effect.disabled), (None, None), "the answer tells of no end");
    let changed = Some((Health::default(), again.health));
    assert_eq!(effect.health, changed, "the answer tells how the lane's health changes");
    again
}

async fn the_last_attempt_ends(scene: &Scene<'_>, claim: &Claim) {
    let delivered =
        Settlement { attempt: Some(attempt(2, 200)), ..Settlement::new(claim, Next::End(End::Delivered)) };
    let effect = effect_of(scene, delivered).await;
    let delivery = scene.delivery(claim.id).await.expect("logged");
    let ended = (DeliveryState::Ended(End::Delivered), 2);
    assert_eq!((delivery.state, delivery.attempts), ended, "the last attempt ends it");
    assert_eq!(effect.end, Some(End::Delivered), "the answer tells of an end");
    let attempts = scene.attempts(claim.id).await.expect("known");
    assert_eq!(attempts, [attempt(1, 503), attempt(2, 200)], "all attempts, in order");
}

/// Of attempts in a row that use no step of the schedule the log keeps the first and the last.
async fn attempts_without_a_step_are_counted(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("unsigned", &[hook]).await;
    for number in 1..=4 {
        let claim = scene.claim_one(ANA).await;
        assert_eq!((claim.attempts, claim.retry.in_a_row()), (number - 1, number - 1), "a position is kept");
        let made = Attempt { uncounted: number, ..attempt(number, 503) };
        let retry = claim.retry.uncounted(Uncounted::Local);
        let next = Next::Again(Duration::ZERO);
        let waits = Settlement { attempt: Some(made), retry, ..Settlement::new(&claim, next) };
        scene.settle(waits).await;
    }
    let claim = scene.claim_one(ANA).await;
    let last =
        Settlement { attempt: Some(attempt(5, 200)), ..Settlement::new(&claim, Next::End(End::Delivered)) };
    scene.settle(last).await;
    let attempts = scene.attempts(claim.id).await.expect("known");
    let kept: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.uncounted)).collect();
    assert_eq!(kept, [(1, 1), (4, 4), (5, 0)], "the first and the last of a row are kept");
    let delivery = scene.delivery(claim.id).await.expect("logged");
    assert_eq!(delivery.attempts, 5, "those that are not kept are counted");
}

async fn backoffs_hold(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("first", &[hook]).await;
    let back_off = async || {
        let claim = scene.claim_one(ANA).await;
        let backed_off = Settlement { backoff: Some(LEASE), ..Settlement::new(&claim, Next::Release) };
        assert!(scene.settle(backed_off).await.is_applied());
        let nothing = scene.claim_with(&greedy(ANA)).await;
        assert!(nothing.deliveries.is_empty(), "a lane that backs off gives nothing");
        assert_eq!(nothing.next_in, Some(LEASE), "until its backoff ends");
    };
    back_off().await;
    scene.fixture.advance(LEASE).await;
    back_off().await;
    scene.edit(hook, Backlog::Resume, |_| ()).await;
    let claim = scene.claim_one(ANA).await; // An update ends the backoff.
    scene.deliver(&claim).await;
}

fn disabling(claim: &Claim, reason: DisableReason) -> Settlement {
    let disable = Some(Disable { reason, version: claim.hook.version });
    Settlement { disable, ..Settlement::new(claim, Next::Again(Duration::ZERO)) }
}

/// A webhook that was changed since the claim is not the one that was judged.
async fn what_was_judged_is_disabled(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("gone", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    scene.edit(hook, Backlog::Resume, |_| ()).await;
    let effect = effect_of(scene, disabling(&claim, DisableReason::Gone)).await;
    assert_eq!(effect.disabled, None, "it was changed since it was judged");
    let present = scene.registered(hook).await.expect("there");
    assert_eq!(present.webhook.status(), Status::Enabled, "it was changed since it was judged");
    let claim = scene.claim_one(ANA).await;
    let before = scene.revision().await;
    let effect = effect_of(scene, disabling(&claim, DisableReason::Gone)).await;
    let disabled = scene.registered(hook).await.expect("there");
    assert_eq!(disabled.webhook.status(), Status::Disabled, "what was judged is disabled");
    let kept = disabled.disabled.unwrap_or_default();
    assert_eq!(kept.reason, Some(DisableReason::Gone), "the reason is kept");
    assert!(kept.at.is_some(), "and the time");
    assert_eq!(effect.disabled, Some(kept), "and the answer tells of it");
    assert!(disabled.version > present.version, "a disabled webhook is another version");
    assert!(scene.revision().await > before, "and the registry at another revision");
    assert!(scene.claim(ANA).await.is_empty(), "a disabled webhook gets nothing");
}

/// One success since is enough: the lane's health no longer confirms that it fails.
async fn what_has_recovered_stays_enabled(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish("slow", &[hook]).await;
    let claim = scene.claim_one(ANA).await;
    let failure =
        Settlement { report: Report::Failure, ..Settlement::new(&claim, Next::Again(Duration::ZERO)) };
    scene.settle(failure).await;
    let slow = scene.claim_one(ANA).await;
    let since = slow.health.failing_since().expect("it has failed");
    scene.publish("quick", &[hook]).await;
    let quick = scene.claim_one(ANA).await;
    let success =
        Settlement { report: Report::Success, ..Settlement::new(&quick, Next::End(End::Delivered)) };
    scene.settle(success).await;
    scene.settle(disabling(&slow, DisableReason::Failing { since })).await;
    let webhook = scene.registered(hook).await.expect("there").webhook;
    assert_eq!(webhook.status(), Status::Enabled, "it has recovered since it was judged");
}

/// A webhook that is enabled anew, or sent elsewhere, is not held to what was known of its receiver.
async fn a_changed_receiver_starts_afresh(scene: &Scene<'_>) {
    let hook = scene.create().await;
    let fail = async |id: &str| {
        scene.publish(id, &[hook]).await;
        let claim = scene.claim_one(ANA).await;
        let failed =
            Settlement { report: Report::Failure, ..Settlement::new(&claim, Next::End(End::Exhausted)) };
        assert!(scene.settle(failed).await.is_applied());
        claim.health
    };
    fail("a").await;
    scene.edit(hook, Backlog::Resume, |_| ()).await;
    assert_ne!(fail("b").await, Health::default(), "another change keeps it");
    for status in [Status::Disabled, Status::Enabled] {
        scene.edit(hook, Backlog::Resume, |it| it.webhook = it.webhook.clone().with_status(status)).await;
    }
    assert_eq!(fail("c").await, Health::default(), "enabled anew");
    let elsewhere = scene.elsewhere(hook).await;
    scene.edit(hook, Backlog::Resume, |it| it.webhook = elsewhere).await;
    assert_eq!(fail("d").await, Health::default(), "sent elsewhere");
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
    let late = scene.settle(Settlement::new(&anas[0], Next::Release)).await;
    assert_eq!(late, Settled::Fenced, "what was released is no longer held");
    scene.finish(&again[0], Next::Release).await;
    assert_eq!(scene.claim_one(ANA).await.id, again[0].id, "a claim alone is given back as well");
    scene.deliver(&bens[0]).await;
}
