//! Point 8: who is served next.

use std::collections::BTreeSet;
use std::time::Duration;

use super::StoreFixture;
use super::claiming::by_hook;
use super::scene::{ANA, BEN, Scene, attempt, greedy};
use crate::delivery::{Next, Report};
use crate::model::{End, HookId};
use crate::registry::RegistryChange;
use crate::store::{Claim, ClaimRequest, HolderId, Quota, Settlement};

const SECOND: Duration = Duration::from_secs(1);
/// A holder for which nothing counts yet.
const CAL: HolderId = HolderId::new(3);

/// Point 8: lanes of equal use take turns.
///
/// # Panics
///
/// When the store breaks it.
pub async fn lanes_take_turns(fixture: &dyn StoreFixture) {
    lanes_of_equal_use_take_turns(&Scene::new(fixture)).await;
}

/// Point 8, the rest: who used least is served next, and within a lane first attempts come first.
///
/// # Panics
///
/// When the store breaks it.
pub async fn least_use_is_next(fixture: &dyn StoreFixture) {
    let scene = Scene::new(fixture);
    a_new_tenant_has_a_first_place(&scene).await;
    who_used_least_is_next(&[scene.of("slow"), scene.of("quick")], "tenant").await;
    let tenant = scene.of("both");
    who_used_least_is_next(&[tenant.of("both"), tenant], "webhook").await;
    first_attempts_come_first(&scene.of("mixed")).await;
    the_last_places_are_for_those_who_use_little(&scene).await;
}

/// While unproven lanes hold all places of their class, a tenant that holds nothing gets one place.
async fn a_new_tenant_has_a_first_place(scene: &Scene<'_>) {
    const DAN: HolderId = HolderId::new(4);
    let quota = Quota::default().with_in_all(64).with_per_tenant(64).with_per_webhook(16);
    let request = ClaimRequest { quota, ..greedy(DAN) };
    let claim = async || scene.claim_with(&request).await.deliveries;
    let slow = scene.of("slow-ones");
    let hooks = slow.create_many(3).await;
    slow.publish_many("slow", 16, &hooks).await;
    assert_eq!(claim().await.len(), 32, "receivers of which nothing is known have half");
    for name in ["new", "newer"] {
        let new = scene.of(name);
        let hook = new.create().await;
        new.publish_many(name, 2, &[hook]).await;
        let claims = claim().await;
        let tenants: Vec<_> = claims.iter().map(|it| it.tenant.as_str()).collect();
        assert_eq!(tenants, [name], "a new tenant has one place all the same");
    }
    let last = scene.of("newest");
    last.publish("newest", &[last.create().await]).await;
    assert_eq!(claim().await.len(), 0, "a thirty-second of all is for that");
    scene.store.release(DAN).await.expect("release");
    leave_nothing(&slow, &hooks).await;
    for tenant in [scene.of("new"), scene.of("newer"), last] {
        leave_nothing(&tenant, &[HookId::new(1)]).await;
    }
}

async fn lanes_of_equal_use_take_turns(scene: &Scene<'_>) {
    let busy = scene.create_many(5).await;
    scene.publish_many("backlog", 60, &busy).await;
    let first = ClaimRequest { limit: 50, ..greedy(ANA) };
    let claims = scene.claim_with(&first).await.deliveries;
    assert_eq!(by_hook(&claims).into_values().collect::<Vec<_>>(), [10; 5], "each has its share");
    let one = ClaimRequest { limit: 1, ..greedy(ANA) };
    let mut served = BTreeSet::new();
    for _ in &busy {
        let claims = scene.claim_with(&one).await.deliveries;
        served.extend(claims.iter().map(|claim| claim.hook.hook_id()));
    }
    assert_eq!(served.len(), busy.len(), "claims of one each serve every lane by turns");
    let quiet = scene.create().await;
    scene.publish("quiet", &[quiet]).await;
    let round = ClaimRequest { limit: busy.len() + 1, ..greedy(ANA) };
    let claims = scene.claim_with(&round).await.deliveries;
    let hooks: BTreeSet<_> = claims.iter().map(|claim| claim.hook.hook_id()).collect();
    assert!(hooks.contains(&quiet), "a quiet webhook is served within one round");
    let narrow = Quota::default().with_in_all(4_000).with_per_tenant(4_000).with_per_webhook(1);
    let narrow = ClaimRequest { quota: narrow, holder: BEN, ..first };
    let claims = scene.claim_with(&narrow).await;
    assert_eq!(by_hook(&claims.deliveries).len(), 5, "what has no room leaves the others their turns");
    let saturated = scene.claim_with(&narrow).await;
    assert!(saturated.deliveries.is_empty(), "none has room left");
    let idle = saturated.next_in.is_none_or(|next_in| next_in > Duration::ZERO);
    assert!(idle, "due work of saturated lanes is no reason to ask again at once");
    leave_nothing(scene, &[&busy[..], &[quiet]].concat()).await;
}

/// Two webhooks, of which the first is slow and the second quick.
async fn who_used_least_is_next(scenes: &[Scene<'_>; 2], whose: &str) {
    let [slow, quick] = [scenes[0].create().await, scenes[1].create().await];
    scenes[0].publish_many("slow", 20, &[slow]).await;
    scenes[1].publish_many("quick", 20, &[quick]).await;
    let is_quick = |claim: &Claim| claim.tenant == scenes[1].tenant && claim.hook.hook_id() == quick;
    let both = scenes[0].claim_with(&ClaimRequest { limit: 2, ..greedy(ANA) }).await.deliveries;
    let [first] = &both.iter().filter(|claim| is_quick(claim)).collect::<Vec<_>>()[..] else {
        panic!("of equal use each {whose} is served once")
    };
    scenes[0].fixture.advance(SECOND).await;
    scenes[1].deliver(first).await;
    scenes[0].fixture.advance(SECOND).await;
    for _ in 0..3 {
        let next = scenes[0].claim_few(1, ANA).await;
        assert!(next.iter().all(is_quick), "the {whose} that used least is next");
    }
    scenes[0].fixture.advance(4 * SECOND).await;
    let next = scenes[0].claim_few(1, ANA).await;
    assert!(!next.iter().any(is_quick), "a place counts while it is held: the other {whose} is next");
    leave_nothing(&scenes[0], &[slow]).await;
    leave_nothing(&scenes[1], &[quick]).await;
}

/// A lane with six retries and twelve first attempts, all due.
async fn first_attempts_come_first(scene: &Scene<'_>) {
    let hook = scene.create().await;
    scene.publish_many("old", 6, &[hook]).await;
    for claim in scene.claim_few(6, ANA).await {
        let (attempt, next) = (Some(attempt(1, 503)), Next::Again(Duration::ZERO));
        scene.settle(Settlement { attempt, ..Settlement::new(&claim, next) }).await;
    }
    scene.publish_many("new", 12, &[hook]).await;
    let mut retries = Vec::new();
    for _ in 0..8 {
        retries.extend(scene.claim_few(1, ANA).await.iter().map(|claim| claim.attempts > 0));
    }
    let count = retries.iter().filter(|is_retry| **is_retry).count();
    assert!(count <= 2, "first attempts come before retries: {retries:?}");
    assert_eq!((retries.len(), count), (8, 2), "every fourth place is a retry's: {retries:?}");
    let rest = scene.claim_few(18, ANA).await;
    assert_eq!(rest.len(), 10, "a place is nobody's alone when the other kind has nothing due");
    leave_nothing(scene, &[hook]).await;
}

/// Two tenants that hold what they can leave a sixteenth to a third.
async fn the_last_places_are_for_those_who_use_little(scene: &Scene<'_>) {
    let quota = Quota::default().with_in_all(32);
    let few = |limit| ClaimRequest { quota, limit, ..greedy(CAL) };
    for tenant in [scene.of("heavy"), scene.of("large"), scene.of("light")] {
        prove(&tenant, tenant.create().await).await;
    }
    for heavy in [scene.of("heavy"), scene.of("large")] {
        heavy.publish_many("m", 20, &[HookId::new(1)]).await;
    }
    let first = scene.claim_with(&few(2)).await.deliveries;
    assert_eq!(first.len(), 2);
    scene.fixture.advance(SECOND).await;
    let more = scene.claim_with(&few(99)).await.deliveries;
    assert_eq!(more.len(), 28, "two places of thirty-two are kept for tenants that use little");
    let (light, untried) = (scene.of("light"), scene.of("untried"));
    let hook = untried.create().await;
    untried.publish_many("m", 5, &[hook]).await;
    light.publish_many("m", 5, &[HookId::new(1)]).await;
    let rest = scene.claim_with(&few(99)).await.deliveries;
    assert!(rest.iter().all(|claim| claim.tenant == light.tenant));
    assert_eq!(rest.len(), 2, "they are for such a tenant");
}

/// Has a webhook answer in time.
async fn prove(scene: &Scene<'_>, hook: HookId) {
    scene.publish("proof", &[hook]).await;
    for claim in scene.claim_few(1, BEN).await {
        let report = Report::Success;
        scene.settle(Settlement { report, ..Settlement::new(&claim, Next::End(End::Delivered)) }).await;
    }
}

/// Ends what is held, and what waits for these webhooks.
async fn leave_nothing(scene: &Scene<'_>, hooks: &[HookId]) {
    for holder in [ANA, BEN] {
        scene.store.release(holder).await.expect("release");
    }
    for hook in hooks {
        scene.change(RegistryChange::Delete(*hook)).await;
    }
}
